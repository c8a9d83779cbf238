"""Stored sealed frames as a source: a demo, a soak test and a bug report are one thing.

A recording is a file of sealed frames, 434 bytes each, one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.messages import SAMPLES_PER_FRAME
from gateway.radio.frame_codec import FRAME_BYTES, FrameHeader, read_header
from gateway.radio.gatt import GattCharacteristic
from gateway.radio.message_codec import SensorStatus, StatusFlags
from gateway.radio.source import LinkListener

FIRMWARE_VERSION = (0, 0, 0)  # unknown: a frame does not carry it


class RecordingError(Exception):
    """A recording can't be replayed; the message says why."""


def read_frames(path: Path) -> Iterator[bytes]:
    """A recording's sealed frames, in their order; raises RecordingError."""
    try:
        with path.open("rb") as file:
            while sealed := file.read(FRAME_BYTES):
                if len(sealed) != FRAME_BYTES:
                    raise RecordingError(f"{path} ends within a frame")
                yield sealed
    except OSError as error:
        raise RecordingError(f"can't read {path}: {error.strerror}") from error


class RecordedLink:
    """The SensorLink of one recorded session: it takes every message, and obeys none."""

    adapter = "recording"

    def __init__(self, header: FrameHeader) -> None:
        self._header = header
        self.session = header.session
        self.name = f"{header.session.device_id & 0xFFFF:04X}"

    async def read_status(self) -> bytes:
        return self.status()

    async def acknowledge(self, message: bytes) -> None:
        pass

    async def command(self, message: bytes) -> None:
        pass

    async def provision(self, message: bytes) -> None:
        pass

    takes_updates = False

    async def update(self, message: bytes) -> None:
        pass

    async def close(self) -> None:
        pass

    def status(self) -> bytes:
        """The status that the sensor would have shown."""
        flags = StatusFlags.PROVISIONED | StatusFlags.SAMPLING
        rate_millihertz = 1000 * self._header.sample_rate_hz
        return SensorStatus(FIRMWARE_VERSION, self.session, rate_millihertz, None, flags).encode()


class RecordingSource:
    """A Source that replays sealed frames in the order given, `speed` times real time.

    Each run of frames of one session is one link. With `speed` None it goes as fast as it can.
    Frames that are none are given on too: whoever takes them counts what it refuses.
    """

    def __init__(self, frames: Iterable[bytes], speed: float | None = None) -> None:
        self._frames = frames
        self._speed = speed

    async def run(self, listener: LinkListener) -> None:
        """Replay once; raises FrameRefused where the bytes are no frame."""
        link: RecordedLink | None = None
        for sealed in self._frames:
            header = read_header(sealed)
            if link is None or header.session != link.session:
                if link is not None:
                    listener.disconnected(link, "session ended")
                link = RecordedLink(header)
                listener.connected(link, link.status())
            await self._pause(header)
            listener.received(link, GattCharacteristic.FRAMES, sealed)
        if link is not None:
            listener.disconnected(link, "recording ended")

    async def _pause(self, header: FrameHeader) -> None:
        period_s = SAMPLES_PER_FRAME / header.sample_rate_hz
        await asyncio.sleep(period_s / self._speed if self._speed else 0)
