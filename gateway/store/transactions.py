"""Entries → rows, one transaction at a time. All of it runs on the recorder's thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.sql.dml import Insert

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    FrameSequence,
    RhythmEvent,
    SampleIndex,
    SessionId,
)
from gateway.session import SequenceRanges
from gateway.store.beds import SensorStays, apply_bed_command, note_sensor, stay_of_bed
from gateway.store.entries import (
    AlarmChanged,
    BedCommand,
    BedCommandRefused,
    Checkpoint,
    DeclaredGap,
    Entry,
    Found,
    JournalId,
    LateStretchAnalysed,
    MinuteSummary,
    OutboxDelivered,
    SecurityEvent,
    SessionFinished,
    SessionStarted,
    SessionTimed,
    StayId,
    StoredFrame,
)
from gateway.store.outbox import Lane, outbox_values
from gateway.store.schema import (
    alarms,
    beats,
    beds,
    checkpoints,
    events,
    frames,
    gaps,
    installation,
    outbox,
    received_ranges,
    security_events,
    sessions,
    stays,
    summaries,
)

MAX_KNOWN_SESSIONS = 64  # 8 sensors, each with the older sessions whose backlog still comes
MAX_SECURITY_EVENTS = 10_000  # a stranger who floods the radio must not fill the disk

_INSERT_FRAMES = insert(frames)
_INSERT_BEATS = upsert(beats).on_conflict_do_nothing()
_upsert_events = upsert(events)
_UPSERT_EVENTS = _upsert_events.on_conflict_do_update(
    index_elements=["session_id", "kind", "onset"],
    set_={"end": func.coalesce(_upsert_events.excluded.end, events.c.end)},
)


@dataclass(frozen=True, slots=True)
class Commit:
    """What has become durable.

    `frames` are to be acknowledged, repeats of the same bytes among them. `conflicts` are not:
    other valid bytes were stored under that sequence before. `refused` are the bed commands that
    did not fit.
    """

    frames: Mapping[SessionId, tuple[FrameSequence, ...]]
    conflicts: tuple[StoredFrame, ...] = ()
    refused: Mapping[BedCommand, BedCommandRefused] = field(default_factory=dict)


@dataclass(slots=True)
class _KnownSession:
    row_id: int
    sample_rate_hz: int
    wall_offset_s: float | None
    received: SequenceRanges
    stored_ranges: dict[int, int]  # first → last, as the table has them

    def time_of(self, sample: int, otherwise_s: float) -> float:
        if self.wall_offset_s is None:
            return otherwise_s
        return self.wall_offset_s + sample / self.sample_rate_hz
