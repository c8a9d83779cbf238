"""The ten seconds around an alarm, opened for those who may see a patient's curve.

The one function that reads root keys. They lie in escrow as a JSON list of hex texts, oldest
generation first, at `/ecg/<gateway>/root-keys/<device>`; the frames are opened by the very
code that the gateway opens them with.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from cloud_sync.aws.functions.account import Account, account
from cloud_sync.aws.functions.ledger import Ledger, facts_of
from cloud_sync.aws.functions.read_feed import Answer, reply
from gateway.messages import INVALID_STEP, MICROVOLTS_PER_STEP, Frame
from gateway.radio.frame_codec import FrameRefused, derive_frame_key, open_frame, read_header


class NoStrip(Exception):
    """There is nothing to show; the text says why."""


def read_strip(parts: Account, gateway: str, message_id: str) -> Answer:
    """Raises NoStrip."""
    item = Ledger(parts.table).get(gateway, message_id)
    if item is None or "strip" not in item:
        raise NoStrip("no such alarm, or one without a strip")
    facts, strip = facts_of(item), json.loads(item["strip"])
    root_keys = _root_keys(parts, gateway, facts["device"])
    frames = [None if text is None else _opened(text, root_keys) for text in strip["frames"]]
    return {
        "alarm_id": facts["alarm_id"],
        "bed": facts["bed"],
        "onset_s": facts["onset_s"],
        "first_sequence": strip["first_sequence"],
        "sample_rate_hz": strip["sample_rate_hz"],
        "frames_uv": [None if frame is None else _microvolts(frame) for frame in frames],
    }


def _root_keys(parts: Account, gateway: str, device: str) -> list[bytes]:
    name = f"/ecg/{gateway}/root-keys/{device}"
    try:
        answer = parts.parameters.get_parameter(Name=name, WithDecryption=True)
    except parts.parameters.exceptions.ParameterNotFound as error:
        raise NoStrip(f"the root key of {device} is not in escrow") from error
    return [bytes.fromhex(text) for text in json.loads(answer["Parameter"]["Value"])]


def _opened(text: str, root_keys: Sequence[bytes]) -> Frame:
    """The newest key first: a sensor that was paired anew seals under it."""
    try:
        sealed = base64.b64decode(text, validate=True)
        session = read_header(sealed).session
    except (ValueError, FrameRefused) as error:
        raise NoStrip(f"a frame of the strip is none: {error}") from error
    for root_key in reversed(root_keys):
        try:
            return open_frame(derive_frame_key(root_key, session), sealed)
        except FrameRefused:
            continue
    raise NoStrip("no root key in escrow opens this strip")


def _microvolts(frame: Frame) -> list[int | None]:
    steps = frame.steps.tolist()
    return [None if step == INVALID_STEP else step * MICROVOLTS_PER_STEP for step in steps]


def handler(event: Mapping[str, Any], _context: object) -> Answer:
    path = event["pathParameters"]
    try:
        return reply(200, read_strip(account(os.environ), path["gateway"], path["id"]))
    except NoStrip as error:
        return reply(404, {"error": str(error)})
