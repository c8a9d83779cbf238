"""Which alarms are true: the episodes of each kind in the annotations of MIT-BIH.

An alarm is false where no episode of its kind comes within 150 ms of the time for which its
condition held. The rules are the gateway's own, asked of the annotated beats and rhythms and with
some leave, so that a beat at a limit makes no false alarm: 5 bpm for a rate (ANSI/AAMI EC13 allows
a monitor's rate that error), 300 ms for a pause (the match window at both its beats), a tenth of
the ventricular beats a minute and 5 points of the burden. A fusion beat is as good as a ventricular
one. Whatever alarm has no rule here is false.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gateway.alarm_policy import ALARM_OF
from gateway.config import AlarmLimits
from gateway.messages import Alarm, AlarmKind
from tests.accuracy.ec57 import MATCH_WINDOW_S
from tests.accuracy.reference import Reference, Stretch, joined, rows

LIMITS = AlarmLimits()
RATE_LEAVE_BPM, INTERVAL_LEAVE_S, SHARE_LEAVE_PERCENT, COUNT_LEAVE = 5.0, 0.3, 5.0, 0.1
VENTRICULAR = ("V", "F")
FAST_BPM = 100.0  # a tachycardia that is ventricular or supraventricular
BRADYCARDIA_BEATS, BRADYCARDIA_S, TACHYCARDIA_BEATS = 5, 8.0, 17
RUN_BEATS, TACHYCARDIC_RUN_BEATS, ATRIAL_RUN_BEATS = 3, 5, 5
MINUTE_S, MIN_MINUTE_BEATS = 60.0, 20
TECHNICAL = frozenset(AlarmKind) - frozenset(ALARM_OF.values())  # no annotation tells of them


def true_episodes(kind: AlarmKind, reference: Reference) -> list[Stretch]:
    """Where the annotations have an episode of the kind."""
    rule = _RULES.get(kind.value)
    return [] if rule is None else joined(rule(reference))


def is_true(alarm: Alarm, episodes: list[Stretch]) -> bool:
    """Whether the alarm's condition held near one of the episodes."""
    assert alarm.ended_s is not None, "the record's end ends all alarms"
    held = Stretch(alarm.onset_s - MATCH_WINDOW_S, alarm.ended_s + MATCH_WINDOW_S)
    return any(episode.overlap_s(held) > 0.0 for episode in episodes)


def _pauses(reference: Reference, seconds: float) -> list[Stretch]:
    beats_s = reference.beats_s
    long = np.flatnonzero(np.diff(beats_s) >= seconds - INTERVAL_LEAVE_S).tolist()
    pauses = [Stretch(beats_s[before], beats_s[before + 1]) for before in long]
    flutter = reference.fibrillation  # has no annotated beats
    return [pause for pause in pauses if not any(pause.overlap_s(other) for other in flutter)]


def _slow(reference: Reference, limit_bpm: float) -> list[Stretch]:
    """Five beats, or every interval of 8 s."""
    bpm, beats_s = limit_bpm + RATE_LEAVE_BPM, reference.beats_s
    slow = rows(np.diff(beats_s) > 60.0 / bpm)
    runs = [Stretch(beats_s[first], beats_s[past]) for first, past in slow]
    lasting = [run for run in runs if run.duration_s >= BRADYCARDIA_S]
    return lasting + _paced(beats_s, BRADYCARDIA_BEATS, lambda rate: rate < bpm)


def _fast(reference: Reference, limit_bpm: float) -> list[Stretch]:
    bpm = limit_bpm - RATE_LEAVE_BPM
    return _paced(reference.beats_s, TACHYCARDIA_BEATS, lambda rate: rate > bpm)


def _runs(reference: Reference, classes: tuple[str, ...], beats: int) -> list[NDArray[np.float64]]:
    """The beats of each unbroken row of at least `beats` beats of these classes."""
    found = rows(np.isin(reference.classes, classes))
    return [reference.beats_s[first:past] for first, past in found if past - first >= beats]


def _ventricular_tachycardias(reference: Reference) -> list[Stretch]:
    runs = _runs(reference, VENTRICULAR, TACHYCARDIC_RUN_BEATS)
    return reference.fibrillation + _fast_parts(runs, TACHYCARDIC_RUN_BEATS)


def _ventricular_runs(reference: Reference) -> list[Stretch]:
    return [Stretch(run[0], run[-1]) for run in _runs(reference, VENTRICULAR, RUN_BEATS)]


def _supraventricular_tachycardias(reference: Reference) -> list[Stretch]:
    atrial = reference.rhythm("SVTA", "AFIB", "AFL")
    return atrial + _fast_parts(_runs(reference, ("S",), ATRIAL_RUN_BEATS), ATRIAL_RUN_BEATS)


def _frequent_ventricular_beats(reference: Reference) -> list[Stretch]:
    least = LIMITS.ventricular_beats_per_minute * (1.0 - COUNT_LEAVE)
    return _minutes(reference, np.isin(reference.classes, VENTRICULAR), lambda of, _: of >= least)


def _burdens(reference: Reference) -> list[Stretch]:
    least = (LIMITS.abnormal_burden_percent - SHARE_LEAVE_PERCENT) / 100.0

    def is_burden(abnormal: NDArray[np.int64], beats: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (beats >= MIN_MINUTE_BEATS) & (abnormal >= least * beats)

    return _minutes(reference, reference.classes != "N", is_burden)


def _paced(
    beats_s: NDArray[np.float64],
    beats: int,
    holds: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
) -> list[Stretch]:
    """Where `holds` is true of the mean rate of so many beats in a row."""
    if beats_s.size < beats:
        return []
    first_s, last_s = beats_s[: 1 - beats], beats_s[beats - 1 :]
    found = holds(60.0 * (beats - 1) / (last_s - first_s))
    return list(map(Stretch, first_s[found].tolist(), last_s[found].tolist()))


def _fast_parts(runs: list[NDArray[np.float64]], beats: int) -> list[Stretch]:
    bpm = FAST_BPM - RATE_LEAVE_BPM
    return [part for run in runs for part in _paced(run, beats, lambda rate: rate > bpm)]


def _minutes(
    reference: Reference,
    counted: NDArray[np.bool_],
    holds: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]],
) -> list[Stretch]:
    """The minutes that end with a beat and of whose counted beats and beats `holds` is true."""
    beats_s = reference.beats_s
    first = np.searchsorted(beats_s, beats_s - MINUTE_S)
    total = np.r_[0, np.cumsum(counted)]
    past = np.arange(1, beats_s.size + 1)
    found = beats_s[holds(total[past] - total[first], past - first)]
    return [Stretch(end - MINUTE_S, end) for end in found.tolist()]


_RULES: dict[str, Callable[[Reference], list[Stretch]]] = {
    "asystole": lambda reference: _pauses(reference, LIMITS.asystole_s),
    "pause": lambda reference: _pauses(reference, LIMITS.pause_s),
    "extreme bradycardia": lambda r: _slow(r, LIMITS.heart_rate_extreme_low_bpm),
    "bradycardia": lambda r: _slow(r, LIMITS.heart_rate_low_bpm),
    "extreme tachycardia": lambda r: _fast(r, LIMITS.heart_rate_extreme_high_bpm),
    "tachycardia": lambda r: _fast(r, LIMITS.heart_rate_high_bpm),
    "ventricular fibrillation": lambda reference: reference.fibrillation,
    "ventricular tachycardia": _ventricular_tachycardias,
    "ventricular run": _ventricular_runs,
    "idioventricular rhythm": _ventricular_runs,
    "frequent ventricular beats": _frequent_ventricular_beats,
    "supraventricular tachycardia": _supraventricular_tachycardias,
    "atrial fibrillation": lambda reference: reference.rhythm("AFIB", "AFL"),
    "abnormal burden": _burdens,
}
