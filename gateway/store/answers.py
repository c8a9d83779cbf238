"""What the reader answers with, and how a row becomes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from gateway.messages import (
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Beat,
    BeatClass,
    BeatLabel,
    BedState,
    DeviceId,
    FrameSequence,
    Gap,
    GapReason,
    RhythmEvent,
    RhythmKind,
    SampleIndex,
    SessionId,
)
from gateway.store.entries import BedId, JournalId, MinuteSummary, StayId, StoredFrame


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the store knows it; `wall_offset_s` is Unix seconds of sample 0."""

    session: SessionId
    sample_rate_hz: int
    key_generation: int
    first_received_s: float
    wall_offset_s: float | None
    finished: bool


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


def journalled(session: SessionId, row: Row[Any]) -> JournalledFrame | JournalledGap:
    journal_id = JournalId(row.journal_id)
    if row.sealed is None:
        return JournalledGap(journal_id, gap_of(row))
    return JournalledFrame(journal_id, stored_frame(session, row))


def stored_session(row: Row[Any]) -> StoredSession:
    return StoredSession(
        SessionId(DeviceId(row.device_id), row.boot_id, row.salt),
        row.sample_rate_hz,
        row.key_generation,
        row.first_received_s,
        row.wall_offset_s,
        bool(row.finished),
    )


def stored_frame(session: SessionId, row: Row[Any]) -> StoredFrame:
    return StoredFrame(
        session, FrameSequence(row.sequence), row.sealed, row.received_s, bool(row.late)
    )


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
