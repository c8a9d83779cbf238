"""What the recorder takes, in the order it is to be written. Each is one fact of the ward."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

from gateway.messages import (
    Alarm,
    AlarmKind,
    Beat,
    DeviceId,
    FrameSequence,
    Gap,
    RhythmEvent,
    SampleIndex,
    SessionId,
)

BedId = NewType("BedId", int)
StayId = NewType("StayId", int)
JournalId = NewType("JournalId", int)


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A session's first frame proved authentic. Everything else of the session comes after."""

    session: SessionId
    sample_rate_hz: int
    key_generation: int
    first_received_s: float
    wall_offset_s: float | None  # Unix seconds of sample 0, as far as it is known


@dataclass(frozen=True, slots=True)
class SessionTimed:
    """The newest estimate of when sample 0 was taken, in Unix seconds, and its error.

    `clock_unsynced`: by a clock that nobody had set. The first later entry without it says by how
    much the session's minutes and alarms are `wrong_by_s`; they are dated anew.
    """

    session: SessionId
    wall_fit_s: float
    wall_error_s: float
    clock_unsynced: bool
    wrong_by_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionFinished:
    """Nothing more is expected of the session; its checkpoint is no longer needed."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame that proved authentic, still sealed. `late`: below the live edge."""

    session: SessionId
    sequence: FrameSequence
    sealed: bytes
    received_s: float
    late: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredGap:
    """The stages were told of this gap; its place among the frames is kept for replay."""

    session: SessionId
    gap: Gap


@dataclass(frozen=True, slots=True)
class LateStretchAnalysed:
    """The gap that starts here was filled later, and what came late has been analysed."""

    session: SessionId
    gap_start: SampleIndex


@dataclass(frozen=True, slots=True)
class Found:
    """Beats and events of a session. One that is known already is not written twice.

    `model` is the short hash of the model that gave the beats' labels.
    """

    session: SessionId
    model: str
    beats: tuple[Beat, ...] = ()
    events: tuple[RhythmEvent, ...] = ()
    late: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The analysis state after every entry of this session that was recorded before it."""

    session: SessionId
    state: bytes


@dataclass(frozen=True, slots=True)
class AlarmChanged:
    """A new or changed alarm of a bed; `session` is None where no signal stands behind it.

    `dated_by` is the session that the bed's sensor was in: if its clock is found wrong, so is this.
    """

    bed: BedId
    alarm: Alarm
    session: SessionId | None = None
    dated_by: SessionId | None = None


@dataclass(frozen=True, slots=True)
class AlarmRedated:
    """An open alarm whose times were of an unset clock; what is told of it next is dated anew."""

    bed: BedId
    kind: AlarmKind
    onset_s: float  # by which it is known until now
    shift_s: float


@dataclass(frozen=True, slots=True)
class MinuteSummary:
    """One minute of a session. Rates are None where no second of it was usable, `rmssd_ms` where
    too little of it was normal beats. From `beats_by_class` on only the cloud is told: the store
    keeps the beats themselves."""

    session: SessionId
    minute_s: int  # Unix seconds at which the minute begins
    beats: int
    abnormal_beats: int
    heart_rate_min_bpm: float | None
    heart_rate_mean_bpm: float | None
    heart_rate_max_bpm: float | None
    usable_s: float
    gap_s: float
    rmssd_ms: float | None = None
    beats_by_class: Mapping[str, int] | None = None
    quality: float | None = None
    lead_off_s: int | None = None
    first_sequence: FrameSequence | None = None  # of the frames that hold the minute
    last_sequence: FrameSequence | None = None


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that no honest peer does."""

    occurred_s: float
    kind: str
    detail: str
    device_id: DeviceId | None = None


@dataclass(frozen=True, slots=True)
class AddBed:
    name: str


@dataclass(frozen=True, slots=True)
class Admit:
    """A patient comes: a new stay begins, the bed is monitored."""

    bed: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Discharge:
    """The patient leaves: the stay ends, the bed is vacant."""

    bed: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Standby:
    """The patient is away for a while; silence is no alarm."""

    bed: str


@dataclass(frozen=True, slots=True)
class Resume:
    bed: str


@dataclass(frozen=True, slots=True)
class AssignSensor:
    """The sensor watches this bed from now on, and no other."""

    device_id: DeviceId
    bed: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ReleaseSensor:
    """The sensor watches no bed any more."""

    device_id: DeviceId
    at_s: float


@dataclass(frozen=True, slots=True)
class SetLimits:
    """The bed's patient has alarm limits of their own until discharge, by key; None: no more."""

    bed: str
    limits: Mapping[str, float] | None


class BedRefusal(enum.StrEnum):
    """Why a bed command was not done."""

    UNKNOWN_BED = "no such bed"
    NAME_TAKEN = "a bed of this name exists"
    NOT_VACANT = "the bed is occupied"
    VACANT = "the bed is vacant"
    NOT_MONITORING = "the bed is not being monitored"
    NOT_ON_STANDBY = "the bed is not on standby"
    BED_HAS_SENSOR = "another sensor is assigned to the bed"
    NOT_ASSIGNED = "the sensor is assigned to no bed"


class BedCommandRefused(Exception):
    """A bed command that does not fit the beds as they are."""

    def __init__(self, reason: BedRefusal, subject: str) -> None:
        super().__init__(f"{subject}: {reason}")
        self.reason = reason
        self.subject = subject


BedCommand = (
    AddBed | Admit | Discharge | Standby | Resume | AssignSensor | ReleaseSensor | SetLimits
)
Entry = (
    SessionStarted
    | SessionTimed
    | SessionFinished
    | StoredFrame
    | DeclaredGap
    | LateStretchAnalysed
    | Found
    | Checkpoint
    | AlarmChanged
    | AlarmRedated
    | MinuteSummary
    | SecurityEvent
)
