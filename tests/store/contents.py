"""What is put into stores: a monitored bed, its frames and beats, an alarm."""

from __future__ import annotations

import random
from collections.abc import Iterable

from gateway.messages import (
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Beat,
    FrameSequence,
    SampleIndex,
    SessionId,
)
from gateway.radio.frame_codec import FRAME_BYTES
from gateway.store.entries import (
    AddBed,
    Admit,
    AssignSensor,
    BedCommand,
    Entry,
    SessionStarted,
    StoredFrame,
)

NOW_S = 1_000_000.0


def monitored_bed(
    name: str, started: SessionStarted, admitted_s: float = 0.0
) -> list[Entry | BedCommand]:
    """A patient in a new bed, with the sensor that has started this session."""
    device_id = started.session.device_id
    return [
        AddBed(name),
        Admit(name, admitted_s),
        AssignSensor(device_id, name, admitted_s),
        started,
    ]


def frame(
    session: SessionId, sequence: int, received_s: float = NOW_S, late: bool = False
) -> StoredFrame:
    """Of bytes that follow from its sequence alone, and that no key opens."""
    sealed = random.Random(sequence).randbytes(FRAME_BYTES)
    return StoredFrame(session, FrameSequence(sequence), sealed, received_s, late)


def unlabelled_beats(r_samples: Iterable[int]) -> tuple[Beat, ...]:
    return tuple(Beat(SampleIndex(sample), 1.0, None, False, None) for sample in r_samples)


def asystole(
    onset_s: float, state: AlarmState = AlarmState.ACTIVE, ended_s: float | None = None
) -> Alarm:
    """Raised after four seconds without a beat."""
    raised_s = onset_s + 4.0
    return Alarm(AlarmKind.ASYSTOLE, AlarmPriority.HIGH, onset_s, raised_s, state, ended_s)
