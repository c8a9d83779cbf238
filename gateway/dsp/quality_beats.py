"""The last beats as signal quality sees them: how alike, how steep, and what rivals them.

Each measure is of the beats whose intervals make the heart rate, so that it holds exactly as long
as what spoilt one of them is in the mean.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.quality_measures import fall
from gateway.dsp.rr_intervals import RATE_INTERVALS
from gateway.messages import QualityReason

RECENT_BEATS = RATE_INTERVALS + 1  # those that the heart rate's mean lies between
RECENT_S = 12.0  # ... and no older than nine at 45 bpm
SHAPE_BEFORE_S, SHAPE_AFTER_S = 0.100, 0.260  # the QRS complex, a wide one too, and the ST segment
QRS_REACH_S = 0.120  # a wide QRS to each side of R
STEEP_S = 0.020  # slopes are taken over so long: a QRS rises in 20–40 ms, noise more briefly
RIVAL_WITHIN_S = 4.0  # a longer interval is an asystole
MIN_ALIKE = 5  # two beats of either kind in bigeminy, and one more
INTERPOSED = 1.25  # of a usual interval: two beats so near have no room for a third between them
SMALL = 0.9  # of the usual slope

BeatScores = dict[QualityReason, float]


@dataclass(frozen=True, slots=True)
class SeenBeat:
    """A beat, its shape scaled to unit power, its slope, and the greatest slope since the beat
    before against the smaller of the two beats' (None where that signal is broken)."""

    sample: int
    shape: NDArray[np.float64]
    slope_uv: float
    rival: float | None


class RecentBeats:
    """The last beats of one unbroken run of signal."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._beats: deque[SeenBeat] = deque(maxlen=RECENT_BEATS)
        self._last_doubtful: int | None = None
        self._scores: BeatScores = {}

    def clear(self) -> None:
        self._beats.clear()
        self._last_doubtful = None
        self._scores = {}

    @property
    def intervals_s(self) -> NDArray[np.float64]:
        return np.diff([beat.sample for beat in self._beats]) / self._rate

    def add(self, peak: int, start: int, run_uv: NDArray[np.float64]) -> None:
        """A beat in the unbroken band-passed signal that begins at sample `start`."""
        before, after = round(SHAPE_BEFORE_S * self._rate), round(SHAPE_AFTER_S * self._rate)
        at = peak - start
        if at < before or at + after > run_uv.size:
            return
        shape = run_uv[at - before : at + after]
        shape = shape - shape.mean()
        shape /= max(float(np.sqrt(shape @ shape)), 1e-9)
        reach = round(QRS_REACH_S * self._rate)
        slope_uv = self._steepest(run_uv[max(0, at - reach) : at + reach])
        rival = self._rival(at, peak, slope_uv, run_uv)
        self._beats.append(SeenBeat(peak, shape, slope_uv, rival))
        self._scores = {}

    def add_doubtful(self, sample: int) -> None:
        """What the detector passed over though it came near to a beat."""
        self._last_doubtful = sample

    def scores(self, end: int) -> BeatScores:
        """What the beats before `end` say; measured anew only where they have changed."""
        while self._beats and self._beats[0].sample < end - RECENT_S * self._rate:
            self._beats.popleft()
            self._scores = {}
        if not self._scores:
            self._scores = _measure(list(self._beats))
        return self._scores | {QualityReason.DETECTOR_DISAGREEMENT: self._none_doubtful()}

    def _none_doubtful(self) -> float:
        """0 where one beat more or less hangs on little: one in eight makes a rate wrong by more
        than a tenth."""
        if self._last_doubtful is None or not self._beats:
            return 1.0
        return 0.0 if self._last_doubtful >= self._beats[0].sample else 1.0

    def _rival(
        self, at: int, peak: int, slope_uv: float, run_uv: NDArray[np.float64]
    ) -> float | None:
        if not self._beats or peak - self._beats[-1].sample > RIVAL_WITHIN_S * self._rate:
            return None
        last = self._beats[-1]
        reach = round(QRS_REACH_S * self._rate)
        first, past = at - (peak - last.sample) + reach, at - reach
        if first < 0 or past - first <= round(STEEP_S * self._rate):
            return None
        return self._steepest(run_uv[first:past]) / max(1e-9, min(slope_uv, last.slope_uv))

    def _steepest(self, signal_uv: NDArray[np.float64]) -> float:
        step = round(STEEP_S * self._rate)
        return float(np.abs(signal_uv[step:] - signal_uv[:-step]).max())


def _measure(beats: list[SeenBeat]) -> BeatScores:
    rivals = [beat.rival for beat in beats if beat.rival is not None]
    scores = {QualityReason.MUSCLE: calm_between(rivals)}
    if len(beats) >= MIN_ALIKE:
        alike = likeness(np.array([beat.shape for beat in beats]))
        scores[QualityReason.TEMPLATE_MISMATCH] = fall(float(alike.mean()), 0.96, hopeless=0.46)
        scores[QualityReason.ELECTRODE_MOTION] = none_interposed(beats, alike)
    return scores


def calm_between(rivals: list[float]) -> float:
    """How steep the signal is between the beats against within them, in the mean of intervals.

    What rivals a QRS in slope is taken for one. T waves, also those of ventricular beats, are
    less steep than muscle noise.
    """
    return fall(float(np.mean(rivals)), clean=0.15, hopeless=0.59) if rivals else 1.0


def likeness(shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each beat (n, samples) the correlation with the one most like it among the others, (n,).

    The nearest beat rather than one template, so that bigeminy is not taken for noise; the mean
    over beats is a reason below 0.71 (Orphanidou 2015: 0.66 against the template, which is less
    alike).
    """
    correlation = shapes @ shapes.T
    np.fill_diagonal(correlation, -1.0)
    best: NDArray[np.float64] = correlation.max(axis=1)
    return best


def none_interposed(beats: list[SeenBeat], alike: NDArray[np.float64]) -> float:
    """Whether each beat has a beat's place: none that is both less steep than usual and unlike
    all others lies between two that are a usual interval apart.

    That is how noise adds a beat, and one in eight makes a rate wrong by more than a tenth. An
    interpolated ventricular beat is steep, or has its like.
    """
    samples = np.array([beat.sample for beat in beats])
    slopes = np.array([beat.slope_uv for beat in beats])
    around = samples[2:] - samples[:-2]
    crowded = around < INTERPOSED * np.median(np.diff(samples))
    small = slopes[1:-1] < SMALL * np.median(slopes)
    odd = alike[1:-1][crowded & small]
    return fall(float(odd.min()), clean=1.0, hopeless=0.6) if odd.size else 1.0
