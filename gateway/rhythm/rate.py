"""Heart rates beyond a limit."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque

from gateway.messages import Gap, RhythmKind, RPeak, SampleIndex, VitalSigns
from gateway.rhythm.rule import Fading

BRADYCARDIA_BEATS = 5  # PhysioNet/CinC Challenge 2015: below the limit for 5 beats
TACHYCARDIA_BEATS = 17  # ibid.: above the limit for 17 beats
RATE_HYSTERESIS_BPM = 5.0  # a rate at its limit must not open and close an event with each beat


class RateLimit(Fading):
    """The mean rate of the last `beats` beats, unbroken by a gap or an unusable second."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int, beats: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._peaks: deque[SampleIndex] = deque(maxlen=beats)
        self._beyond_from: SampleIndex | None = None  # first beat of a run beyond the limit

    def push_gap(self, gap: Gap) -> None:
        self._forget_run()

    def push_peak(self, peak: RPeak) -> None:
        self._peaks.append(peak.sample)
        rate_bpm = self._rate_bpm()
        if rate_bpm is None or not self._is_beyond(rate_bpm):
            self._beyond_from = None
        elif self._beyond_from is None:
            self._beyond_from = self._peaks[0]

    def push_second(self, vitals: VitalSigns) -> None:
        super().push_second(vitals)
        if not vitals.quality.rate_usable:
            self._forget_run()

    @abstractmethod
    def _is_beyond(self, rate_bpm: float) -> bool:
        """Whether the rate is beyond the limit."""

    @abstractmethod
    def _is_back(self, rate_bpm: float) -> bool:
        """Whether the rate is on the good side of the limit, hysteresis included."""

    def _found(self) -> SampleIndex | None:
        return self._beyond_from

    def _recovered(self) -> bool:
        rate_bpm = self._rate_bpm()
        return rate_bpm is not None and self._is_back(rate_bpm)

    def _forget_run(self) -> None:
        self._peaks.clear()
        self._beyond_from = None

    def _rate_bpm(self) -> float | None:
        if len(self._peaks) != self._peaks.maxlen:
            return None
        span_s = (self._peaks[-1] - self._peaks[0]) / self._sample_rate_hz
        return 60.0 * (len(self._peaks) - 1) / span_s


class Bradycardia(RateLimit):
    """Below the low limit for 5 beats."""

    def __init__(self, sample_rate_hz: int, low_bpm: float) -> None:
        super().__init__(RhythmKind.BRADYCARDIA, sample_rate_hz, BRADYCARDIA_BEATS)
        self._low_bpm = low_bpm

    def _is_beyond(self, rate_bpm: float) -> bool:
        return rate_bpm < self._low_bpm

    def _is_back(self, rate_bpm: float) -> bool:
        return rate_bpm >= self._low_bpm + RATE_HYSTERESIS_BPM


class Tachycardia(RateLimit):
    """Above the high limit for 17 beats."""

    def __init__(self, sample_rate_hz: int, high_bpm: float) -> None:
        super().__init__(RhythmKind.TACHYCARDIA, sample_rate_hz, TACHYCARDIA_BEATS)
        self._high_bpm = high_bpm

    def _is_beyond(self, rate_bpm: float) -> bool:
        return rate_bpm > self._high_bpm

    def _is_back(self, rate_bpm: float) -> bool:
        return rate_bpm <= self._high_bpm - RATE_HYSTERESIS_BPM
