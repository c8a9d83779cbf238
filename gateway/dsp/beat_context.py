"""What a beat is compared with: how this patient's beats usually look, and the RR intervals so far.

A premature beat, or one that begins elsewhere in the heart, differs from the patient's own other
beats more surely than from other people's. The usual beat is the mean of all. Where premature ones
are the most, it is theirs, and the late beat tells: it is the mean of those alone that came after
the longest intervals, as the sinus node's do. Only the past is asked: no interval after the beat.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gateway.messages import BeatInContext, BeatWindow

USUAL_BEATS = 64  # the usual beat is a running mean of about this many, one minute
LATE_BEATS = 32  # ... and the late beat of about this many, of a fifth of the beats
FIRST_BEATS = 3  # are taken for late ones, whatever their intervals
MAX_STEP = 0.3  # of the usual beat's span: what one beat may pull on it (Huber 1964)
PAST_BEATS = 128  # two minutes of intervals: short runs and long ones
RECENT_BEATS = 32  # half a minute of intervals: the rate as it is now
LATE_SHARE = 0.8  # of the past intervals are shorter than a late one
SAME_INTERVAL = 0.02  # in logarithms: intervals within 2 % are one
LEAST_SPREAD = 0.03  # in logarithms: what a steady sinus rhythm varies by
SPREADS = 4.0  # a deviation is given in so many spreads, to lie in the others' range
VARIABILITY_BEATS = 8
STEADY_BEATS = (64, 300)  # the mean of the last one and five minutes, which a run moves slowly
REFERENCE_RR_MS = 800.0  # 75 bpm; only fixes the features' zero
FEATURE_LIMIT = 1.5  # a ratio of 4.5; an int8 step is then 1.2 %

RR_FEATURES = (  # natural logarithms of ratios, where nothing else is said
    "rr to median of 32",
    "rr to upper quartile of 32",
    "previous rr to median of 32",
    "rr before the previous to median of 32",
    "rr to previous rr",
    "mean absolute change of 8",
    "median absolute change of 32",
    "interquartile range of 32",
    "median of 32 to 800 ms",
    "rr to 800 ms",
    "rr to running mean of 64",
    "rr to running mean of 300",
    "rr to upper fifth of 128",
    "rr to upper twentieth of 128",
    "rr to median of 32 in interquartile ranges",
    "rank of rr among 128",
    "rr to previous rr in median changes of 32",
)


class BeatContext:
    """Push every beat window of a session in the order of R."""

    def __init__(self) -> None:
        self._usual = RunningBeat(USUAL_BEATS)
        self._late = RunningBeat(LATE_BEATS)
        self._intervals = RRContext()

    def push(self, window: BeatWindow, is_fit: bool) -> BeatInContext | None:
        """The beat and what it is compared with; None where the signal is not fit for that.

        An unfit beat's interval counts, its shape doesn't: noise is nobody's usual beat.
        """
        features = self._intervals.push(window.rr_ms)
        if not is_fit or window.samples is None:
            return None
        usual = self._usual.push(window.samples)
        late = self._late.push(window.samples, self._intervals.is_late(window.rr_ms))
        return BeatInContext(window.r_sample, window.samples, usual, late, features)


class RunningBeat:
    """A running mean of beat windows that few odd beats can't bend."""

    def __init__(self, beats: int) -> None:
        self._most_beats = beats
        self._mean: NDArray[np.float64] | None = None
        self._beats = 0

    def push(self, samples: NDArray[np.float32], counts: bool = True) -> NDArray[np.float32]:
        """The mean before this beat, (187,) in µV; the first beat is its own."""
        if self._mean is None:
            self._mean = samples.astype(np.float64)
        before = self._mean.astype(np.float32)
        if counts or self._beats < FIRST_BEATS:
            self._beats += 1
            limit = MAX_STEP * np.ptp(self._mean)
            step = np.clip(samples - self._mean, -limit, limit)
            self._mean = self._mean + step / min(self._beats, self._most_beats)
        return before


class RRContext:
    """The RR intervals of a session so far, as the features of the newest."""

    def __init__(self) -> None:
        # natural logarithms of milliseconds, so that differences are ratios
        self._past: deque[float] = deque(maxlen=PAST_BEATS)
        self._steady_ms: list[float] = []
        self._intervals = 0

    def push(self, rr_ms: float | None) -> NDArray[np.float32]:
        """`RR_FEATURES` of the interval, (17,).

        One that is not known (None) is taken for the usual; before the first, all are zero.
        """
        if rr_ms is None:
            return self._features(_quantiles(self._recent, 0.5)[0] if self._past else None)
        self._past.append(math.log(rr_ms))
        if not self._intervals:
            self._steady_ms = [rr_ms] * len(STEADY_BEATS)
        features = self._features(self._past[-1])
        self._intervals += 1
        weights = [1.0 / min(self._intervals, beats) for beats in STEADY_BEATS]
        self._steady_ms = [
            mean + weight * (rr_ms - mean)
            for mean, weight in zip(self._steady_ms, weights, strict=True)
        ]
        return features

    def is_late(self, rr_ms: float | None) -> bool:
        """Whether the interval is one of the longest of the past, within `SAME_INTERVAL`."""
        if rr_ms is None or not self._past:
            return False
        return math.log(rr_ms) >= _quantiles(self._past, LATE_SHARE)[0] - SAME_INTERVAL

    @property
    def _recent(self) -> list[float]:
        return list(self._past)[-RECENT_BEATS:]

    def _features(self, newest: float | None) -> NDArray[np.float32]:
        if newest is None:
            return np.zeros(len(RR_FEATURES), np.float32)
        recent = self._recent
        previous, before = ([recent[0]] * 2 + recent)[-2:-4:-1]
        changes = [abs(b - a) for a, b in pairwise(recent)] or [0.0]
        latest_changes = changes[-VARIABILITY_BEATS:]
        (usual_change,) = _quantiles(changes, 0.5)
        lower, median, upper = _quantiles(recent, 0.25, 0.5, 0.75)
        late, latest = _quantiles(self._past, LATE_SHARE, 0.95)
        shorter = sum(past < newest - SAME_INTERVAL for past in self._past)
        features = (
            newest - median,
            newest - upper,
            previous - median,
            before - median,
            newest - previous,
            sum(latest_changes) / len(latest_changes),
            usual_change,
            upper - lower,
            median - math.log(REFERENCE_RR_MS),
            newest - math.log(REFERENCE_RR_MS),
            *(newest - math.log(mean_ms) for mean_ms in self._steady_ms),
            newest - late,
            newest - latest,
            (newest - median) / (upper - lower + LEAST_SPREAD) / SPREADS,
            shorter / len(self._past) - 0.5,
            (newest - previous) / (usual_change + LEAST_SPREAD) / SPREADS,
        )
        return np.clip(np.array(features, np.float32), -FEATURE_LIMIT, FEATURE_LIMIT)


def _quantiles(values: Iterable[float], *shares: float) -> list[float]:
    ordered = sorted(values)
    return [_quantile(ordered, share) for share in shares]


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in ascending order, linear between the two nearest."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
