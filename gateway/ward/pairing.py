"""Pairing: a sensor hands its root key over to the gateway that knows the secret on its label."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
from collections.abc import Callable

from gateway.messages import SessionId, device_name
from gateway.radio.keyring import Keyring, KeyringError
from gateway.radio.message_codec import MessageRefused, SensorStatus, StatusFlags
from gateway.radio.pairing_handshake import GatewayHandshake, HandshakeRefused
from gateway.radio.sensor_label import SensorLabel
from gateway.radio.source import LinkLost, SensorLink
from gateway.radio.x25519 import X25519_BYTES

MAX_WAITING = 4  # messages of a sensor; it sends two, and whoever sends more is none
CLOSE_S = 5.0  # BlueZ disconnects within that, or has forgotten to say so


class PairingFailure(enum.StrEnum):
    """Why a pairing has ended without a sensor that is paired."""

    BUSY = "busy"
    ALREADY_PAIRED = "already paired"
    NOT_FOUND = "not found"
    NOT_IN_PAIRING_MODE = "not in pairing mode"
    WRONG_SECRET = "wrong secret"
    LINK_LOST = "link lost"
    NOT_STORED = "not stored"
    STOPPED = "stopped"


class PairingFailed(Exception):
    """`failure` says of which kind, the message what to do."""

    def __init__(self, failure: PairingFailure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class Pairing:
    """One sensor's pairing. `run` is its task; `steps` say how far it has come.

    It is over once `generation`, the number of the stored root key, or `failed` is set.
    """

    def __init__(
        self,
        label: SensorLabel,
        keyring: Keyring,
        on_paired: Callable[[SensorLink, SessionId], None],
        patience_s: float,
        answer_s: float,
    ) -> None:
        """Gives up after `patience_s`, or when the sensor is silent for `answer_s`."""
        self._patience_s = patience_s
        self._answer_s = answer_s
        self.device_id = label.device_id
        self._secret = label.secret
        self._keyring = keyring
        self._on_paired = on_paired
        self.steps: list[str] = []
        self.generation: int | None = None
        self.failed: PairingFailed | None = None
        self._deadline: asyncio.Timeout | None = None
        self._stopped = False
        self._links: asyncio.Queue[tuple[SensorLink, bool]] = asyncio.Queue()
        self._link: SensorLink | None = None
        self._guest = False
        self._heard: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: the link has ended
        self._changed = asyncio.Condition()

    @property
    def over(self) -> bool:
        return self.failed is not None or self.generation is not None

    async def run(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s) as self._deadline:
                generation = await self._pair()
        except TimeoutError:
            await self._fail(self._too_late())
        except PairingFailed as failed:
            await self._fail(failed)
        else:
            self.generation = generation
            await self._say(f"paired, key generation {generation}")
        while not self._links.empty():  # others that claimed its name
            link, guest = self._links.get_nowait()
            if guest:
                await link.close()

    def stop(self) -> None:
        """Give up now."""
        self._stopped = True
        if self._deadline is not None and not self.over:
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def change_after(self, steps: int) -> None:
        """Wait until there are more steps than these, or it is over."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.over or len(self.steps) > steps)

    # What the radio brings.

    def use(self, link: SensorLink, guest: bool) -> None:
        """The sensor has connected; a `guest` is nobody but for this pairing."""
        self._links.put_nowait((link, guest))

    def received(self, link: SensorLink, message: bytes) -> None:
        if link is self._link and self._heard.qsize() < MAX_WAITING:
            self._heard.put_nowait(message)

    def disconnected(self, link: SensorLink) -> None:
        if link is self._link:
            self._heard.put_nowait(None)

    # Its way.

    async def _pair(self) -> int:
        await self._say(f"looking for {device_name(self.device_id)}")
        while True:
            self._link, self._guest = await self._links.get()
            self._heard = asyncio.Queue()
            try:
                return await self._shake_hands(self._link)
            except LinkLost as lost:
                self._link = None
                await self._say(f"the link was lost ({lost.reason}); waiting for it to come back")

    async def _shake_hands(self, link: SensorLink) -> int:
        status = await _status(link)
        if StatusFlags.PAIRING_WINDOW not in status.flags:
            raise PairingFailed(
                PairingFailure.NOT_IN_PAIRING_MODE,
                "the sensor is here, and not in pairing mode: press its button briefly, its light"
                " blinks, and pair it within two minutes",
            )
        await self._say("found it; it is asked for its root key")
        handshake = GatewayHandshake(self.device_id, self._secret, os.urandom(X25519_BYTES))
        await link.provision(handshake.hello())
        try:
            handshake.take_hello(await self._answer())
            root_key = handshake.root_key(await self._answer())
        except HandshakeRefused as refused:
            raise PairingFailed(
                PairingFailure.WRONG_SECRET,
                "what answers under this sensor's name does not know the secret of the label",
            ) from refused
        generation = self._store(root_key)
        await self._say("the root key is stored")
        await link.provision(handshake.stored())
        self._on_paired(link, status.session)
        return generation

    async def _answer(self) -> bytes:
        """The sensor's next message; it says nothing at all to whom it does not trust."""
        try:
            async with asyncio.timeout(self._answer_s):
                message = await self._heard.get()
        except TimeoutError:
            raise PairingFailed(
                PairingFailure.WRONG_SECRET,
                "the sensor does not answer: this is not its label, or it was asked with wrong"
                " ones five times; then its button opens the pairing anew",
            ) from None
        if message is None:
            raise LinkLost("disconnected")
        return message

    def _store(self, root_key: bytes) -> int:
        try:
            return self._keyring.add(self.device_id, root_key)
        except (OSError, KeyringError) as error:
            raise PairingFailed(
                PairingFailure.NOT_STORED, f"the root key can't be stored: {error}"
            ) from error

    def _too_late(self) -> PairingFailed:
        if self._stopped:
            return PairingFailed(PairingFailure.STOPPED, "the pairing was stopped")
        if len(self.steps) == 1:
            return PairingFailed(
                PairingFailure.NOT_FOUND,
                f"{device_name(self.device_id)} was not heard for {self._patience_s:.0f} s: is it"
                " charged, near, and free of other gateways?",
            )
        stored = self._keyring.root_keys(self.device_id)
        return PairingFailed(
            PairingFailure.LINK_LOST,
            "the sensor went away in the middle and did not come back; "
            + ("a key of it is stored: pair it --again" if stored else "nothing is stored"),
        )

    async def _fail(self, failed: PairingFailed) -> None:
        """Show a guest the door, so that the next attempt finds the sensor free."""
        if self._link is not None and self._guest:
            await self._link.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    while await self._heard.get() is not None:
                        pass
        self.failed = failed
        await self._notify()

    async def _say(self, step: str) -> None:
        self.steps.append(step)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _status(link: SensorLink) -> SensorStatus:
    try:
        return SensorStatus.decode(await link.read_status())
    except MessageRefused as refused:
        raise LinkLost(f"its status is refused, {refused.reason}") from refused
