"""What the reader answers with, and how a row becomes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Beat,
    BeatClass,
    BeatLabel,
    BedState,
    DeviceId,
    Gap,
    GapReason,
    RhythmEvent,
    RhythmKind,
    SampleIndex,
    SessionId,
)
from gateway.store.entries import BedId, JournalId, MinuteSummary, StayId, StoredFrame
from gateway.store.frame_blocks import FiledFrame


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the store knows it.

    `wall_offset_s` is Unix seconds of sample 0 as its rows are dated, from its first frame;
    `wall_fit_s` is the newest estimate, which differs by `wall_error_s` at most unless nobody had
    set the gateway's clock.
    """

    session: SessionId
    sample_rate_hz: int
    key_generation: int
    first_received_s: float
    wall_offset_s: float | None
    finished: bool
    wall_fit_s: float | None = None
    wall_error_s: float | None = None
    clock_unsynced: bool = False

    @property
    def start_s(self) -> float | None:
        """The best that is known of when sample 0 was taken."""
        return self.wall_offset_s if self.wall_fit_s is None else self.wall_fit_s


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A session's newest analysis state; the journal goes on after `journal_id`."""

    journal_id: JournalId
    state: bytes


@dataclass(frozen=True, slots=True)
class JournalledFrame:
    journal_id: JournalId
    frame: StoredFrame


@dataclass(frozen=True, slots=True)
class JournalledGap:
    journal_id: JournalId
    gap: Gap


@dataclass(frozen=True, slots=True)
class Stay:
    id: StayId
    bed: BedId
    admitted_s: float
    discharged_s: float | None


@dataclass(frozen=True, slots=True)
class Bed:
    """A bed, its patient's stay and its sensor, where it has them."""

    id: BedId
    name: str
    state: BedState
    stay: StayId | None
    device_id: DeviceId | None
    limits: Mapping[str, float] | None = None  # alarm limits of the patient's own, by key


def bed_of(row: Row[Any]) -> Bed:
    return Bed(
        BedId(row.id),
        row.name,
        BedState(row.state),
        row.stay_id,
        row.device_id,
        None if row.limits is None else json.loads(row.limits),
    )


@dataclass(frozen=True, slots=True)
class Sensor:
    device_id: DeviceId
    first_seen_s: float
    bed: BedId | None


@dataclass(frozen=True, slots=True)
class StoredBeat:
    """A beat and the short hash of the model that labelled it.

    None: it has no label, or was stored before labels were told apart by model.
    """

    beat: Beat
    model: str | None


@dataclass(frozen=True, slots=True)
class StoredAlarm:
    """An alarm with the bed and stay that it belongs to."""

    bed: BedId
    bed_name: str
    stay: StayId | None
    alarm: Alarm


def stored_session(row: Row[Any]) -> StoredSession:
    return StoredSession(
        SessionId(DeviceId(row.device_id), row.boot_id, row.salt),
        row.sample_rate_hz,
        row.key_generation,
        row.first_received_s,
        row.wall_offset_s,
        bool(row.finished),
        row.wall_fit_s,
        row.wall_error_s,
        bool(row.clock_unsynced),
    )


def stored_frame(session: SessionId, frame: FiledFrame) -> StoredFrame:
    return StoredFrame(session, frame.sequence, frame.sealed, frame.received_s, frame.late)


def removed_gap(row: Row[Any]) -> Gap:
    frames = row.last_sequence - row.first_sequence + 1
    start = SampleIndex(row.first_sequence * SAMPLES_PER_FRAME)
    return Gap(start, frames * SAMPLES_PER_FRAME, GapReason.REMOVED)


def gap_of(row: Row[Any]) -> Gap:
    return Gap(SampleIndex(row.start), row.length, GapReason(row.reason))


def beat_of(row: Row[Any]) -> StoredBeat:
    label = None
    if row.beat_class is not None:
        label = BeatLabel(BeatClass(row.beat_class), row.p_abnormal)
    beat = Beat(
        SampleIndex(row.r_sample), row.amplitude_uv, row.rr_ms, bool(row.searched_back), label
    )
    return StoredBeat(beat, row.short_hash)


def event_of(row: Row[Any]) -> RhythmEvent:
    return RhythmEvent(
        RhythmKind(row.kind),
        SampleIndex(row.onset),
        SampleIndex(row.decided),
        row.end,
        1.0 if row.confidence is None else row.confidence,
        tuple(json.loads(row.evidence or "[]")),
    )


def summary_of(session: SessionId, row: Row[Any]) -> MinuteSummary:
    return MinuteSummary(
        session,
        row.minute_s,
        row.beats,
        row.abnormal_beats,
        row.heart_rate_min_bpm,
        row.heart_rate_mean_bpm,
        row.heart_rate_max_bpm,
        row.usable_s,
        row.gap_s,
        row.rmssd_ms,
    )


def alarm_of(row: Row[Any]) -> StoredAlarm:
    alarm = Alarm(
        AlarmKind(row.kind),
        AlarmPriority(row.priority),
        row.onset_s,
        row.raised_s,
        AlarmState(row.state),
        row.ended_s,
        row.acknowledged_s,
        row.escalated_s,
        row.confidence,
    )
    return StoredAlarm(BedId(row.bed_id), row.bed_name, row.stay_id, alarm)
