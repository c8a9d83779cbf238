"""Single RR intervals that are too long: pauses and missed beats."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import Self

from gateway.messages import Beat, BeatClass, RhythmKind, SampleIndex, VitalSigns
from gateway.rhythm.rule import Finding, Noting

REMEMBERED_SECONDS = 32  # longer than any interval that is no asystole
MEAN_INTERVALS = 8  # as many as the heart rate's mean
STEADY_RATIO = 1.3  # longest to shortest; where no interval is like the next, none is missing
MISSED_BEAT_RATIO = 1.75  # bedside monitors: no beat for 1.75 of the mean interval


class LongInterval(Noting):
    """An RR interval, all of it in signal that carries a rate, of a length that says something."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._unusable: deque[SampleIndex] = deque(maxlen=REMEMBERED_SECONDS)
        self._before: Beat | None = None

    def push_second(self, vitals: VitalSigns) -> None:
        super().push_second(vitals)
        if not vitals.quality.rate_usable:
            self._unusable.append(vitals.start)

    def push_beat(self, beat: Beat) -> None:
        before, self._before = self._before, beat
        rr_ms = beat.rr_ms
        if before is None or rr_ms is None or not self._is_usable(before, beat):
            self._broken()
        elif self._is_too_long(before, rr_ms):
            evidence = (before.r_sample, beat.r_sample)
            self._note(Finding(before.r_sample, evidence), beat.r_sample)

    @abstractmethod
    def _is_too_long(self, before: Beat, rr_ms: float) -> bool:
        """Whether the interval after `before` is one."""

    def _broken(self) -> None:
        """The interval before this beat is not known."""

    def _is_usable(self, before: Beat, beat: Beat) -> bool:
        """The second that holds `beat` may not be judged yet; without a label it is in noise."""
        second = self._sample_rate_hz
        return beat.label is not None and all(
            start + second <= before.r_sample or start > beat.r_sample for start in self._unusable
        )


class Pause(LongInterval):
    """`pause_s` without a beat; `asystole_s` and more is an asystole."""

    def __init__(self, sample_rate_hz: int, pause_s: float, asystole_s: float) -> None:
        super().__init__(RhythmKind.PAUSE, sample_rate_hz)
        self._from_ms, self._below_ms = 1000.0 * pause_s, 1000.0 * asystole_s

    def adopt(self, other: Self) -> None:
        self._from_ms, self._below_ms = other._from_ms, other._below_ms

    def _is_too_long(self, before: Beat, rr_ms: float) -> bool:
        return self._from_ms <= rr_ms < self._below_ms


class MissedBeat(LongInterval):
    """One interval too long for a steady rhythm, where no premature beat explains it."""

    def __init__(self, sample_rate_hz: int, pause_s: float) -> None:
        super().__init__(RhythmKind.MISSED_BEAT, sample_rate_hz)
        self._below_ms = 1000.0 * pause_s
        self._usual_ms: deque[float] = deque(maxlen=MEAN_INTERVALS)

    def adopt(self, other: Self) -> None:
        self._below_ms = other._below_ms

    def _is_too_long(self, before: Beat, rr_ms: float) -> bool:
        steady = self._is_steady()
        usual_ms = sum(self._usual_ms) / MEAN_INTERVALS
        self._usual_ms.append(rr_ms)
        if not steady or before.label is None or before.label.beat_class is not BeatClass.NORMAL:
            return False
        return MISSED_BEAT_RATIO * usual_ms <= rr_ms < self._below_ms

    def _is_steady(self) -> bool:
        if len(self._usual_ms) < MEAN_INTERVALS:
            return False
        return max(self._usual_ms) < STEADY_RATIO * min(self._usual_ms)

    def _broken(self) -> None:
        self._usual_ms.clear()
