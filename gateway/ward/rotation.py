"""Changes a connected sensor's root key, so that a cut at any step loses neither key nor frame."""

from __future__ import annotations

import asyncio
import os

from gateway.messages import DeviceId
from gateway.radio.conversation import Conversation
from gateway.radio.key_rotation import KeyExchange
from gateway.radio.keyring import Keyring, KeyringError
from gateway.radio.message_codec import AnswerCode, Command
from gateway.radio.source import LinkLost
from gateway.radio.x25519 import X25519_BYTES

ANSWER_S = 4.0  # each; the command line waits 10 s for both


class RotationFailed(Exception):
    """The message says why, and which key serves."""


async def rotate_root_key(conversation: Conversation, keyring: Keyring, device_id: DeviceId) -> int:
    """Agree on a new root key, keep it, use it; gives its generation. Raises RotationFailed.

    The new key is durable before the sensor hears it used, and the sensor takes it only then. Once
    it is stored, each new link offers it, until a frame or an answer proves that the sensor has it.
    """
    serving, new = await _agree(conversation)
    try:
        keyring.keep_pending(device_id, new, serving)
    except (OSError, KeyringError) as error:
        raise RotationFailed(
            f"nothing has changed: the new key can't be stored: {error}"
        ) from error
    try:
        async with asyncio.timeout(ANSWER_S):
            await conversation.offer_key(new)
    except (TimeoutError, LinkLost) as error:
        raise RotationFailed(
            "the new key is stored, and the sensor has not used it yet: it will as soon as it is"
            " connected again; until then the old one serves"
        ) from error
    return len(keyring.root_keys(device_id))


async def _agree(conversation: Conversation) -> tuple[bytes, bytes]:
    """The root key that serves and the new one, which the sensor keeps beside it."""
    serving = conversation.root_key
    exchange = KeyExchange(serving, conversation.session, os.urandom(X25519_BYTES))
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await conversation.ask(Command.rotate_key(exchange.public_key))
    except (TimeoutError, LinkLost) as error:
        raise RotationFailed("nothing has changed: the sensor did not answer; try again") from error
    if answer.code is not AnswerCode.DONE:
        reason = answer.code.name.lower().replace("_", " ")
        raise RotationFailed(f"nothing has changed: the sensor says {reason}")
    try:
        return serving, exchange.next_root_key(answer.body)
    except ValueError as error:
        raise RotationFailed("nothing has changed: the sensor's answer is no key") from error
