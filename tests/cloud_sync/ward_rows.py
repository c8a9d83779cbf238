"""Rows of a ward, written by the store's own code: sessions, minutes, frames, alarms."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType

from gateway.messages import (
    SAMPLES_PER_FRAME,
    AlarmState,
    DeviceId,
    FrameSequence,
    SessionId,
)
from gateway.radio.frame_codec import FRAME_BYTES, HEADER_BYTES
from gateway.store.database import writer_engine
from gateway.store.entries import (
    AlarmChanged,
    BedId,
    MinuteSummary,
    SessionStarted,
    SessionTimed,
    StoredFrame,
)
from gateway.store.outbox import DeliveredRows
from gateway.store.transactions import StoreWriter
from tests.store.contents import asystole, monitored_bed

BEGUN_S = 1_795_000_000.0  # in Unix time
RATE_HZ = 250
COUNTS = {"N": 70, "S": 1, "V": 2, "F": 0, "Q": 0, "unlabelled": 3}


class WardRows:
    """Opens the store at `path`. Time is in seconds since the sessions' first sample, which was
    taken at `begun_s` in Unix time."""

    def __init__(self, path: Path, beds: int, begun_s: float = BEGUN_S) -> None:
        self._path = path
        self.begun_s = begun_s
        self.now_s = begun_s
        self.beds = beds
        self._writer = StoreWriter(writer_engine(path), lambda: self.now_s)
        self._sessions = [
            SessionId(DeviceId(bed + 1), 1, bytes([bed + 1]) * 16) for bed in range(beds)
        ]
        for bed, session in enumerate(self._sessions):
            started = SessionStarted(session, RATE_HZ, 0, begun_s, begun_s)
            self._writer.write(monitored_bed(f"Bed {bed + 1}", started, begun_s))

    def __enter__(self) -> WardRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write_minute(self, number: int, with_frames: Collection[int]) -> None:
        """The minute of every bed in one transaction, with the frames of some beds."""
        self.now_s = self.begun_s + 60 * (number + 1) + 10
        entries: list[StoredFrame | MinuteSummary] = []
        for bed, session in enumerate(self._sessions):
            if bed in with_frames:
                entries += frames_of_minute(session, number, self.now_s)
            entries.append(minute_summary(session, number, self.begun_s))
        self._writer.write(entries)

    def prune(self, delivered: Path) -> None:
        """As the recorder does: what the cloud has leaves the outbox."""
        rows, more = DeliveredRows(self._path, delivered), True
        while more:
            message_ids, more = rows.look()
            self._writer.remove_delivered(message_ids)

    def raise_alarm(self, bed: int, at_s: float) -> None:
        self._alarm(bed, at_s, AlarmState.ACTIVE)

    def end_alarm(self, bed: int, at_s: float) -> None:
        self._alarm(bed, at_s, AlarmState.ENDED)

    def clock_unsynced(self) -> None:
        """From here on rows are of a clock that nobody has set."""
        self._writer.write(
            [SessionTimed(each, self.begun_s, 0.0, clock_unsynced=True) for each in self._sessions]
        )

    def clock_known(self, wrong_by_s: float) -> None:
        """All that was dated since then was wrong by so much, and is dated anew."""
        self.begun_s += wrong_by_s
        self._writer.write(
            [
                SessionTimed(each, self.begun_s, 0.0, clock_unsynced=False, wrong_by_s=wrong_by_s)
                for each in self._sessions
            ]
        )
        while self._writer.redate():
            pass

    def _alarm(self, bed: int, at_s: float, state: AlarmState) -> None:
        onset_s = self.begun_s + at_s
        self.now_s = onset_s + 5.0
        ended_s = onset_s + 20.0 if state is AlarmState.ENDED else None
        alarm = asystole(onset_s, state, ended_s)
        self._writer.write([AlarmChanged(BedId(bed + 1), alarm, self._sessions[bed])])


def minute_summary(session: SessionId, number: int, begun_s: float) -> MinuteSummary:
    """Of a session whose sample 0 was taken at `begun_s`."""
    start = number * 60 * RATE_HZ
    return MinuteSummary(
        session,
        math.ceil(begun_s) + 60 * number,  # within the stay
        76,
        3,
        61.0,
        72.5,
        88.0,
        58.0,
        2.0,
        31.2,
        COUNTS,
        0.93,
        1,
        FrameSequence(start // SAMPLES_PER_FRAME),
        FrameSequence((start + 60 * RATE_HZ - 1) // SAMPLES_PER_FRAME),
    )


def frames_of_minute(session: SessionId, number: int, now_s: float) -> Iterator[StoredFrame]:
    """The frames that begin in the minute."""
    first = -(-number * 60 * RATE_HZ // SAMPLES_PER_FRAME)
    past = -(-(number + 1) * 60 * RATE_HZ // SAMPLES_PER_FRAME)
    for sequence in range(first, past):
        clear = session.salt + sequence.to_bytes(HEADER_BYTES - len(session.salt), "big")
        sealed = clear + random.Random(sequence).randbytes(FRAME_BYTES - HEADER_BYTES)
        yield StoredFrame(session, FrameSequence(sequence), sealed, now_s)
