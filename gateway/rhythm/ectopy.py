"""How ventricular and other abnormal beats are spread: bigeminy, trigeminy, and how many."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import Self

from gateway.messages import Beat, BeatClass, RhythmEvent, RhythmKind, SampleIndex
from gateway.rhythm.rule import Fading, Finding, Noting

CYCLES = 3  # of bigeminy or trigeminy: bedside monitors call it from three on
MINUTE_S = 60.0
ENDS_AT = 0.5  # of a minute's limit; by chance alone 20 % of 70 beats vary by ± 5 points
MIN_MINUTE_BEATS = 20  # fewer labelled beats say nothing of a minute (20/min is below any rhythm)
MAX_MINUTE_BEATS = 300  # a minute at the 200 ms that the detector keeps between two beats
ABNORMAL_P = 0.5  # the rule of every abnormal beat


class Periodic(Noting):
    """Each `period`-th beat ventricular, all others not, for three cycles; ends out of step.

    A beat without a label, or behind a gap, ends it where the rhythm was last known.
    """

    def __init__(self, kind: RhythmKind, sample_rate_hz: int, period: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._period = period
        # R sample and p(abnormal) of the last beats, None for one that is not ventricular
        self._beats: deque[tuple[SampleIndex, float | None]] = deque(maxlen=CYCLES * period)

    def push_beat(self, beat: Beat) -> None:
        last = self._beats[-1][0] if self._beats else beat.r_sample
        if beat.rr_ms is None or beat.label is None:
            self._beats.clear()
        if beat.label is not None:
            ventricular = beat.label.beat_class is BeatClass.VENTRICULAR
            self._beats.append((beat.r_sample, beat.label.p_abnormal if ventricular else None))
        if self._holds and not self._is_periodic():
            self._note_end(last)
        elif not self._holds and self._is_periodic():
            self._note_begin(self._finding())

    def _is_periodic(self) -> bool:
        if len(self._beats) < CYCLES * self._period:
            return False
        ventricular = [p is not None for _, p in self._beats]
        steady = ventricular[self._period :] == ventricular[: -self._period]
        return steady and sum(ventricular) == CYCLES

    def _finding(self) -> Finding:
        sure = sum(p for _, p in self._beats if p is not None) / CYCLES
        return Finding(self._beats[0][0], [r for r, _ in self._beats], sure)


class MinuteShare(Fading):
    """How many of the last minute's labelled beats are of some kind, against a limit.

    It ends at half the limit.
    """

    def __init__(self, kind: RhythmKind, sample_rate_hz: int, limit: float) -> None:
        super().__init__(kind, sample_rate_hz)
        self._limit = limit
        self._minute = self._samples(MINUTE_S)
        # R sample and p(abnormal), None for a beat that is not of the kind
        self._beats: deque[tuple[SampleIndex, float | None]] = deque(maxlen=MAX_MINUTE_BEATS)

    def adopt(self, other: Self) -> None:
        self._limit = other._limit

    def push_beat(self, beat: Beat) -> None:
        if beat.label is not None:
            counts = self._counts(beat.label.beat_class)
            self._beats.append((beat.r_sample, beat.label.p_abnormal if counts else None))

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        while self._beats and self._beats[0][0] < at - self._minute:
            self._beats.popleft()
        return super().decide(at)

    def _found(self, at: SampleIndex) -> Finding | None:
        counted = [(r, p) for r, p in self._beats if p is not None]
        if not self._is_enough() or self._share(len(counted)) < self._limit:
            return None
        sure = sum(p for _, p in counted) / len(counted)
        return Finding(counted[0][0], [r for r, _ in counted], sure)

    def _recovered(self) -> bool:
        counted = sum(p is not None for _, p in self._beats)
        return self._is_enough() and self._share(counted) < self._limit * ENDS_AT

    def _is_enough(self) -> bool:
        return len(self._beats) >= MIN_MINUTE_BEATS

    @abstractmethod
    def _counts(self, beat_class: BeatClass) -> bool:
        """Whether a beat of this class is of the kind."""

    @abstractmethod
    def _share(self, counted: int) -> float:
        """In the limit's unit."""


class AbnormalBurden(MinuteShare):
    """The share of abnormal beats among the last minute's labelled ones, percent."""

    def __init__(self, sample_rate_hz: int, limit_percent: float) -> None:
        super().__init__(RhythmKind.ABNORMAL_BURDEN, sample_rate_hz, limit_percent)

    def _counts(self, beat_class: BeatClass) -> bool:
        return beat_class is not BeatClass.NORMAL

    def _share(self, counted: int) -> float:
        return 100.0 * counted / len(self._beats)


class FrequentVentricularBeats(MinuteShare):
    """Ventricular beats in the last minute."""

    def __init__(self, sample_rate_hz: int, limit_per_minute: float) -> None:
        super().__init__(RhythmKind.FREQUENT_VENTRICULAR_BEATS, sample_rate_hz, limit_per_minute)

    def _counts(self, beat_class: BeatClass) -> bool:
        return beat_class is BeatClass.VENTRICULAR

    def _share(self, counted: int) -> float:
        return counted


class AbnormalBeat(Noting):
    """Every single beat with p(abnormal) of 0.5 and more: the rule of the original system."""

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.ABNORMAL_BEAT, sample_rate_hz)

    def push_beat(self, beat: Beat) -> None:
        if beat.label is not None and beat.label.p_abnormal >= ABNORMAL_P:
            finding = Finding(beat.r_sample, [beat.r_sample], beat.label.p_abnormal)
            self._note(finding, beat.r_sample)
