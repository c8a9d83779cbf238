"""Heart rates beyond a limit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from gateway.dsp.quality import PEAK_DELAY_S
from gateway.messages import (
    Gap,
    Quality,
    RhythmEvent,
    RhythmKind,
    RPeak,
    SampleIndex,
    VitalSigns,
)
from gateway.rhythm.rule import Fading, Finding

EXTREME_BRADYCARDIA_BEATS = 5  # PhysioNet/CinC Challenge 2015: below the limit for 5 beats
TACHYCARDIA_BEATS = 17  # ibid.: above the limit for 17 beats
BRADYCARDIA_BEATS = 9  # the mean of eight intervals, which is the rate on the screen
EXTREME_BRADYCARDIA_S = 8.0  # five beats at 30 bpm; a slower heart is not waited for
RATE_HYSTERESIS_BPM = 5.0  # a rate at its limit must not open and close an event with each beat
ASK_AGAIN_S = 0.5  # with the detector's 0.3 s: a lethal rate is told within 1 s of its last beat


@dataclass(frozen=True, slots=True)
class RateBound:
    """A limit, on which side of it the danger lies, and how many beats must lie there."""

    bpm: float
    beats: int
    is_upper: bool

    def is_beyond(self, rate_bpm: float) -> bool:
        return rate_bpm > self.bpm if self.is_upper else rate_bpm < self.bpm

    def is_back(self, rate_bpm: float) -> bool:
        """Whether the rate is on the good side of the limit, hysteresis included."""
        if self.is_upper:
            return rate_bpm <= self.bpm - RATE_HYSTERESIS_BPM
        return rate_bpm >= self.bpm + RATE_HYSTERESIS_BPM


def lower(bpm: float, beats: int = BRADYCARDIA_BEATS) -> RateBound:
    return RateBound(bpm, beats, is_upper=False)


def upper(bpm: float) -> RateBound:
    return RateBound(bpm, TACHYCARDIA_BEATS, is_upper=True)


class RateLimit(Fading):
    """The mean rate of the last beats, unbroken by a gap or an unusable second.

    Nor by `asystole_s` without a beat, which is a finding of its own and no slow rate.
    """

    def __init__(
        self, kind: RhythmKind, sample_rate_hz: int, bound: RateBound, asystole_s: float
    ) -> None:
        super().__init__(kind, sample_rate_hz)
        self._bound = bound
        self._asystole = self._samples(asystole_s)
        self._peaks: deque[SampleIndex] = deque(maxlen=bound.beats)
        self._beyond_from: SampleIndex | None = None  # first beat of a run beyond the limit

    def adopt(self, other: Self) -> None:
        self._bound, self._asystole = other._bound, other._asystole
        self._judge_run()

    def push_gap(self, gap: Gap) -> None:
        self._forget_run()

    def push_peak(self, peak: RPeak) -> None:
        if self._peaks and peak.sample - self._peaks[-1] >= self._asystole:
            self._forget_run()
        self._peaks.append(peak.sample)
        self._judge_run()

    def _judge_run(self) -> None:
        if not self._is_whole() or not self._bound.is_beyond(self._rate_bpm()):
            self._beyond_from = None
        elif self._beyond_from is None:
            self._beyond_from = self._peaks[0]

    def push_second(self, vitals: VitalSigns) -> None:
        super().push_second(vitals)
        if not self._is_known(vitals.quality):
            self._forget_run()

    def _found(self, at: SampleIndex) -> Finding | None:
        return None if self._beyond_from is None else Finding(self._beyond_from, [*self._peaks])

    def _recovered(self) -> bool:
        return self._is_whole() and self._bound.is_back(self._rate_bpm())

    def _forget_run(self) -> None:
        self._peaks.clear()
        self._beyond_from = None

    def _is_whole(self) -> bool:
        return len(self._peaks) == self._bound.beats

    def _rate_bpm(self) -> float:
        """Of the beats that are there, two at least."""
        span_s = (self._peaks[-1] - self._peaks[0]) / self._sample_rate_hz
        return 60.0 * (len(self._peaks) - 1) / span_s


class LethalRate(RateLimit):
    """A rate that kills: noise alone does not hide it, and it is told within 1 s of its last beat.

    While the beats that are there lie beyond the limit it asks for decisions in between.
    """

    def __init__(
        self, kind: RhythmKind, sample_rate_hz: int, bound: RateBound, asystole_s: float
    ) -> None:
        super().__init__(kind, sample_rate_hz, bound, asystole_s)
        self._ask_again: SampleIndex | None = None

    @property
    def deadline(self) -> SampleIndex | None:
        return self._ask_again

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        events = super().decide(at)
        near = len(self._peaks) > 1 and self._bound.is_beyond(self._rate_bpm())
        waits = near and not self.is_open
        self._ask_again = SampleIndex(at + self._samples(ASK_AGAIN_S)) if waits else None
        return events

    def _is_known(self, quality: Quality) -> bool:
        return quality.lethal_usable


class ExtremeBradycardia(LethalRate):
    """Below the limit for 5 beats, or with every interval of the last 8 s."""

    def __init__(self, sample_rate_hz: int, bpm: float, asystole_s: float) -> None:
        kind = RhythmKind.EXTREME_BRADYCARDIA
        bound = lower(bpm, EXTREME_BRADYCARDIA_BEATS)
        super().__init__(kind, sample_rate_hz, bound, asystole_s)
        self._slow_from: SampleIndex | None = None  # first beat of a run of slow intervals

    def adopt(self, other: Self) -> None:
        super().adopt(other)
        self._slow_from = None
        for before, after in pairwise(self._peaks):
            self._judge_interval(before, after)

    def push_peak(self, peak: RPeak) -> None:
        super().push_peak(peak)
        before = self._peaks[-2] if len(self._peaks) > 1 else peak.sample
        self._judge_interval(before, peak.sample)

    def _judge_interval(self, before: SampleIndex, after: SampleIndex) -> None:
        if after - before <= self._samples(60.0 / self._bound.bpm):
            self._slow_from = None
        elif self._slow_from is None:
            self._slow_from = before

    def _found(self, at: SampleIndex) -> Finding | None:
        if self._slow_from is None:
            return super()._found(at)
        slow = at - self._samples(PEAK_DELAY_S) - self._slow_from
        if slow < self._samples(EXTREME_BRADYCARDIA_S):
            return super()._found(at)
        return Finding(self._slow_from, [r for r in self._peaks if r >= self._slow_from])

    def _forget_run(self) -> None:
        super()._forget_run()
        self._slow_from = None


class ExtremeTachycardia(LethalRate):
    """Above the limit for 17 beats."""

    def __init__(self, sample_rate_hz: int, bpm: float, asystole_s: float) -> None:
        kind = RhythmKind.EXTREME_TACHYCARDIA
        super().__init__(kind, sample_rate_hz, upper(bpm), asystole_s)
