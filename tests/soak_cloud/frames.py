"""What the live sensors were told is safe, looked for in the gateway's store."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gateway.messages import SAMPLES_PER_FRAME, FrameSequence
from gateway.store.answers import StoredSession
from gateway.store.reader import Reader
from tests.soak_cloud.poured_week import FIRST_DEVICE

LIVE_FRAMES = 8  # that a sensor holds while all is well: those of a commit interval, and some more


def frame_faults(store: Path, acknowledged: int) -> list[str]:
    """`acknowledged` is how many frames all live sensors were told of together."""
    received, found = 0, []
    with closing(Reader(store)) as reader:
        for sensor in reader.sensors():
            if sensor.device_id < FIRST_DEVICE:
                for session in reader.sessions_of(sensor.device_id):
                    here = _received(reader, session)
                    received += len(here)
                    gone = here - _readable(reader, session) - _removed(reader, session)
                    if gone:
                        found.append(f"{session.session.name}: {len(gone)} frames are gone")
    print(f"frames:  {received} stored, {acknowledged} acknowledged to live sensors")
    if received < acknowledged:
        found.append(f"{acknowledged - received} acknowledged frames were never stored")
    return found


def _received(reader: Reader, stored: StoredSession) -> set[int]:
    ranges = reader.received_ranges(stored.session)
    return {number for first, last in ranges for number in range(first, last + 1)}


def _readable(reader: Reader, stored: StoredSession) -> set[int]:
    everything = FrameSequence(0), FrameSequence(2**32 - 1)
    return {frame.sequence for frame in reader.frames(stored.session, *everything)}


def _removed(reader: Reader, stored: StoredSession) -> set[int]:
    """Those that had to make room."""
    return {
        number
        for gap in reader.removed(stored.session)
        for number in range(gap.start // SAMPLES_PER_FRAME, gap.end // SAMPLES_PER_FRAME)
    }
