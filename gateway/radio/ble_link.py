"""One sensor's link: subscriptions, pieces put together, writes cut, a watchdog over silence."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial

from gateway.counters import Counters
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, SAMPLES_PER_FRAME
from gateway.radio.ble_retries import RadioError, RadioFailure
from gateway.radio.bleak_port import GattClient
from gateway.radio.frame_codec import FRAME_BYTES
from gateway.radio.gatt import (
    ACKNOWLEDGE_UUID,
    CONTROL_UUID,
    FIRMWARE_UUID,
    PROVISION_UUID,
    STATUS_UUID,
    GattCharacteristic,
)
from gateway.radio.message_codec import MAX_MESSAGE_BYTES
from gateway.radio.pieces import Reassembler, cut
from gateway.radio.silence import SilenceTimer
from gateway.radio.source import LinkListener, LinkLost

CLOSED = "closed"  # the reason of a link that the gateway itself has ended
DISCONNECTED = "disconnected"  # of one whose end BlueZ has told
LINK_SILENCE_S = max(5.0, 3 * SAMPLES_PER_FRAME / min(LEGAL_SAMPLE_RATES_HZ))
MAX_WAITING_PIECES = 1024  # 40 frames at the least MTU; the event loop takes them at once

_COUNTER_AT = 1  # a sealed message's counter follows its type
_MAX_BYTES = {
    GattCharacteristic.FRAMES: FRAME_BYTES,
    GattCharacteristic.CONTROL: MAX_MESSAGE_BYTES,
    GattCharacteristic.PROVISION: MAX_MESSAGE_BYTES,
    GattCharacteristic.FIRMWARE: MAX_MESSAGE_BYTES,
}


class BleLink:
    """A SensorLink over one connection: `open` it once, then `serve` until it ends."""

    def __init__(
        self,
        client: GattClient,
        name: str,
        adapter: str,
        counters: Counters,
        on_life: Callable[[], None],
    ) -> None:
        self.name = name
        self.adapter = adapter
        self._client = client
        self._counters = counters
        self._on_life = [on_life]
        self._end: str | None = None
        self._wake = asyncio.Event()
        self._pieces: deque[tuple[GattCharacteristic, bytes]] = deque()
        self._updating = False  # it is subscribed to answers on firmware
        self._provisions = 0  # messages of the pairing handshake that this link has taken
        self._writing = asyncio.Lock()  # the pieces of two messages must not mix

    async def open(self) -> bytes:
        """Connect, subscribe to all but the frames, and give the status; raises RadioError."""
        try:
            await self._client.connect(lambda: self._finish(DISCONNECTED))
            await self._subscribe(GattCharacteristic.CONTROL)
            await self._client.subscribe(STATUS_UUID, lambda _: self._alive())
            self._piece_bytes = self._client.piece_bytes
            self._takes_updates = self._client.offers(FIRMWARE_UUID)
            return await self._client.read(STATUS_UUID)
        except RadioError as error:
            await self._client.disconnect()
            if error.failure is RadioFailure.NOT_A_SENSOR:
                await self._client.forget()  # perhaps its table was never read to the end
            raise

    async def serve(self, listener: LinkListener, status: bytes) -> str:
        """Give `listener` all that the sensor sends, until the link ends; returns why it did."""
        silence = SilenceTimer(LINK_SILENCE_S, lambda: self._finish("silent"))
        self._on_life.append(silence.heard)
        listener.connected(self, status)
        try:
            await self._start_frames()
            await self._deliver(listener)
        finally:
            silence.cancel()
            reason = self._end or "closed"
            self._finish(reason)
            await self._client.disconnect()
            listener.disconnected(self, reason)
        return reason

    async def read_status(self) -> bytes:
        async with self._until_lost():
            return await self._client.read(STATUS_UUID)

    async def acknowledge(self, message: bytes) -> None:
        await self._write(ACKNOWLEDGE_UUID, message, message[_COUNTER_AT], response=False)

    async def command(self, message: bytes) -> None:
        await self._write(CONTROL_UUID, message, message[_COUNTER_AT], response=True)

    async def provision(self, message: bytes) -> None:
        if self._provisions == 0:
            async with self._until_lost():
                await self._subscribe(GattCharacteristic.PROVISION)
        await self._write(PROVISION_UUID, message, self._provisions, response=True)
        self._provisions += 1

    @property
    def takes_updates(self) -> bool:
        return self._takes_updates

    async def update(self, message: bytes) -> None:
        if not self._updating:
            async with self._until_lost():
                await self._subscribe(GattCharacteristic.FIRMWARE)
            self._updating = True
        await self._write(FIRMWARE_UUID, message, message[_COUNTER_AT], response=False)

    async def close(self) -> None:
        self._finish(CLOSED)

    async def _write(self, uuid: str, message: bytes, low_byte: int, response: bool) -> None:
        async with self._writing, self._until_lost():
            for piece in cut(message, self._piece_bytes, low_byte):
                await self._client.write(uuid, piece, response)

    @contextlib.asynccontextmanager
    async def _until_lost(self) -> AsyncIterator[None]:
        """A failed call ends the link: raises LinkLost, now and from then on."""
        if self._end is not None:
            raise LinkLost(self._end)
        try:
            yield
        except RadioError as error:
            self._finish(error.failure.value)
            raise LinkLost(error.failure.value) from error

    async def _start_frames(self) -> None:
        with contextlib.suppress(LinkLost):  # `_deliver` ends at once, with its reason
            async with self._until_lost():
                await self._subscribe(GattCharacteristic.FRAMES)

    async def _subscribe(self, characteristic: GattCharacteristic) -> None:
        await self._client.subscribe(characteristic, partial(self._gather, characteristic))

    def _gather(self, characteristic: GattCharacteristic, piece: bytes) -> None:
        """Queue a piece. (An error raised inside bleak's callback would be swallowed there.)"""
        if len(self._pieces) >= MAX_WAITING_PIECES:
            self._counters.add("ecg_pieces_refused_total", reason="too many waiting")
            return
        self._pieces.append((characteristic, piece))
        self._alive()
        self._wake.set()

    async def _deliver(self, listener: LinkListener) -> None:
        reassemblers = {c: Reassembler(max_bytes) for c, max_bytes in _MAX_BYTES.items()}
        now_s = asyncio.get_running_loop().time
        while self._pieces or self._end is None:
            await self._wake.wait()
            self._wake.clear()
            while self._pieces:
                characteristic, piece = self._pieces.popleft()
                message = reassemblers[characteristic].push(piece, now_s())
                if message is not None:
                    listener.received(self, characteristic, message)
        for reassembler in reassemblers.values():
            for reason, count in reassembler.refused.items():
                self._counters.add("ecg_pieces_refused_total", count, reason=reason)

    def _alive(self) -> None:
        for on_life in self._on_life:
            on_life()

    def _finish(self, reason: str) -> None:
        """End the link, unless it has ended."""
        self._end = self._end or reason
        self._wake.set()
