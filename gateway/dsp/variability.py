"""Heart-rate variability from normal intervals alone (Task Force of the ESC and NASPE 1996).

A normal (NN) interval lies between two beats that are both labelled normal: what touches an
ectopic beat, a beat without a label or a gap is left out, and nothing is put in its place. Of the
rest, those are left out that differ by more than 20 % from their neighbours: missed and false
beats, and wrong labels. Karlsson et al. (2012) found that limit good on carefully edited
recordings, with the mean of two neighbours; the median of eleven also sees both halves of an
interval that a false beat cuts. It does not replace editing by hand, as the Task Force says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gateway.messages import Beat, BeatClass, SampleIndex, Variability

VARIABILITY_S = 300  # Task Force 1996: short-term variability is that of five minutes
MIN_KNOWN = 0.8  # share of the time in NN intervals; the spectrum bears 20 % lost (Clifford 2005)
OUTLIER = 0.2  # Karlsson et al. 2012
NEIGHBOURS = 5  # on each side: a breath, so that its swing has its own middle as the measure
MIN_SDNN_MS = 1.0  # what varies less has no spectrum that the samples resolve
PNN50_MS = 50.0
LOW_HZ, MIDDLE_HZ, HIGH_HZ = 0.04, 0.15, 0.40  # LF and HF (Task Force 1996)

Intervals = NDArray[np.int64]  # (n, 2): the R peaks, in samples, that begin and end each


class NormalIntervals:
    """The NN intervals of the last five minutes of a session, for `variability` and `rmssd_ms`."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._kept = VARIABILITY_S * sample_rate_hz
        self._last_normal: int | None = None  # the newest beat, if it was normal
        self._intervals: Intervals = np.empty((0, 2), np.int64)

    def push(self, beats: Iterable[Beat]) -> None:
        """Take the next beats, in the order of R."""
        found = []
        for beat in beats:
            normal = beat.label is not None and beat.label.beat_class is BeatClass.NORMAL
            if normal and beat.rr_ms is not None and self._last_normal is not None:
                found.append((self._last_normal, beat.r_sample))
            self._last_normal = beat.r_sample if normal else None
        if found:
            self._intervals = np.vstack((self._intervals, np.array(found, np.int64)))

    def between(self, start: SampleIndex, end: SampleIndex) -> Intervals:
        """Those within start … end; forgets what lies five minutes before `end`."""
        begun, ended = self._intervals.T
        chosen: Intervals = self._intervals[(begun >= start) & (ended <= end)]
        self._intervals = self._intervals[begun >= end - self._kept]
        return chosen


def variability(intervals: Intervals, sample_rate_hz: int) -> Variability:
    """Of the NN intervals of five minutes; all None where they fill less than four of them."""
    kept = _without_outliers(intervals)
    nn_ms = _lengths_ms(kept, sample_rate_hz)
    if not _enough(nn_ms, VARIABILITY_S):
        return Variability()
    steps_ms = _successive_differences(kept, nn_ms)
    return Variability(
        sdnn_ms=float(nn_ms.std(ddof=1)),
        rmssd_ms=_root_mean_square(steps_ms),
        pnn50_percent=100.0 * float((np.abs(steps_ms) > PNN50_MS).mean()),
        lf_hf=_lf_hf(kept[:, 1] / sample_rate_hz, nn_ms),
    )


def rmssd_ms(intervals: Intervals, sample_rate_hz: int, stretch_s: float) -> float | None:
    """RMSSD of a stretch; None where NN intervals fill less than 80 % of it."""
    kept = _without_outliers(intervals)
    nn_ms = _lengths_ms(kept, sample_rate_hz)
    if not _enough(nn_ms, stretch_s):
        return None
    return _root_mean_square(_successive_differences(kept, nn_ms))


def _enough(nn_ms: NDArray[np.float64], stretch_s: float) -> bool:
    return float(nn_ms.sum()) >= 1000.0 * MIN_KNOWN * stretch_s


def _lengths_ms(intervals: Intervals, sample_rate_hz: int) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = 1000.0 * _lengths(intervals) / sample_rate_hz
    return lengths


def _lengths(intervals: Intervals) -> NDArray[np.int64]:
    return intervals[:, 1] - intervals[:, 0]


def _without_outliers(intervals: Intervals) -> Intervals:
    """Without those more than 20 % off the median of themselves and five on each side."""
    if len(intervals) < 2:
        return intervals
    lengths = _lengths(intervals)
    padded = np.pad(lengths, NEIGHBOURS, mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    usual = np.median(around, axis=1)
    kept: Intervals = intervals[np.abs(lengths - usual) <= OUTLIER * usual]
    return kept


def _successive_differences(
    intervals: Intervals, nn_ms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of those pairs alone in which the second begins where the first ends."""
    steps_ms: NDArray[np.float64] = np.diff(nn_ms)[intervals[1:, 0] == intervals[:-1, 1]]
    return steps_ms


def _root_mean_square(steps_ms: NDArray[np.float64]) -> float:
    return math.sqrt(float((steps_ms**2).mean()))


def _lf_hf(at_s: NDArray[np.float64], nn_ms: NDArray[np.float64]) -> float | None:
    """Ratio of LF to HF power; None where the intervals are all but the same."""
    if nn_ms.std() < MIN_SDNN_MS:
        return None
    trend = np.polynomial.Polynomial.fit(at_s, nn_ms, 1)
    frequency_hz = np.arange(math.ceil(LOW_HZ * VARIABILITY_S), HIGH_HZ * VARIABILITY_S)
    frequency_hz /= VARIABILITY_S
    power = lomb_scargle(at_s, nn_ms - trend(at_s), frequency_hz)
    return float(power[frequency_hz < MIDDLE_HZ].sum() / power[frequency_hz >= MIDDLE_HZ].sum())


def lomb_scargle(
    at_s: NDArray[np.float64], values: NDArray[np.float64], frequency_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Periodogram of uneven samples (Lomb 1976, Scargle 1982), not normalised, (frequencies,).

    It needs no resampling, which would add low frequencies (Clifford & Tarassenko 2005).
    """
    omega = 2.0 * np.pi * frequency_hz[:, None]
    angle = omega * (at_s - at_s[0])
    shift = np.arctan2(np.sin(2 * angle).sum(1), np.cos(2 * angle).sum(1))[:, None] / 2.0
    cosine, sine = np.cos(angle - shift), np.sin(angle - shift)
    power: NDArray[np.float64] = 0.5 * (
        (cosine @ values) ** 2 / (cosine**2).sum(1) + (sine @ values) ** 2 / (sine**2).sum(1)
    )
    return power
