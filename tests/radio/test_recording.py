"""Stored frames come through the same port as the radio's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.messages import DeviceId, FrameSequence, SessionId
from gateway.radio.frame_codec import (
    FrameHeader,
    FrameRefused,
    derive_frame_key,
    seal_frame,
)
from gateway.radio.gatt import GattCharacteristic
from gateway.radio.message_codec import SensorStatus
from gateway.radio.recording import RecordingError, RecordingSource, read_frames
from gateway.radio.source import SensorLink

FIRST = SessionId(DeviceId(0xA0001), 1, bytes(16))
SECOND = SessionId(DeviceId(0xA0001), 2, bytes(16))


def sealed(session: SessionId, sequence: int) -> bytes:
    key = derive_frame_key(bytes(32), session)
    header = FrameHeader(session, FrameSequence(sequence), 0, 0, 500)
    return seal_frame(key, header, np.zeros(187, np.int16))


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def connected(self, link: SensorLink, status: bytes) -> None:
        self.told.append(("connected", link.name, SensorStatus.decode(status).session))

    def received(
        self, link: SensorLink, characteristic: GattCharacteristic, message: bytes
    ) -> None:
        assert characteristic is GattCharacteristic.FRAMES
        self.told.append((message,))

    def disconnected(self, link: SensorLink, reason: str) -> None:
        self.told.append((reason,))


def test_each_session_of_a_file_is_one_link(tmp_path: Path) -> None:
    frames = [sealed(FIRST, 0), sealed(FIRST, 1), sealed(SECOND, 0)]
    path = tmp_path / "bed.frames"
    path.write_bytes(b"".join(frames))
    listener = Listener()
    asyncio.run(RecordingSource(read_frames(path)).run(listener))
    assert listener.told == [
        ("connected", "0001", FIRST),
        (frames[0],),
        (frames[1],),
        ("session ended",),
        ("connected", "0001", SECOND),
        (frames[2],),
        ("recording ended",),
    ]


def test_speed_paces_by_the_frames_own_rate() -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        frames = [sealed(FIRST, n) for n in range(3)]
        await RecordingSource(frames, speed=20).run(Listener())
        return loop.time() - began_s

    assert asyncio.run(scenario()) >= 3 * 187 / 500 / 20


def test_a_torn_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "torn.frames"
    path.write_bytes(sealed(FIRST, 0) + b"EC")
    with pytest.raises(RecordingError, match="ends within a frame"):
        list(read_frames(path))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        list(read_frames(tmp_path / "none"))


def test_bytes_that_are_no_frame_are_refused() -> None:
    with pytest.raises(FrameRefused):
        asyncio.run(RecordingSource([bytes(434)]).run(Listener()))
