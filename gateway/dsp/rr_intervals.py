"""RR intervals and heart rate."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from gateway.messages import Gap, RPeak, SampleIndex

RATE_INTERVALS = 8  # heart rate is the mean of the last eight, as bedside monitors do
MIN_RATE_INTERVALS = 4  # one odd beat spoils two; a first rate is of as many again
RATE_TOLERANCE = 0.10  # of the rate: a first one that may be further off is not told
STANDARD_ERRORS = 3.0  # that the tolerance must hold: four intervals tell their spread but roughly
SILENCE_S = 3.0  # no beat for this long is no rate: 20 bpm, below any rate that is shown
SILENCE_INTERVALS = 2.0  # ... unless the rhythm itself is that slow
REMEMBERED_UNSEEN = 16  # stretches; a peak is decided at most seconds after its sample
REMEMBERED_BEATS = 64  # over 12 s at 300 bpm, more than any stage asks back


class RRSeries:
    """The beats of one session in order; a gap breaks the series, so no interval spans it."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._last_peak: int | None = None
        self._unseen: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_UNSEEN)
        # (sample, RR that ends there in ms); None is a break: a gap, or the beat after one
        self._marks: deque[tuple[int, float | None]] = deque(maxlen=REMEMBERED_BEATS)

    def push_peak(self, peak: RPeak) -> float | None:
        """The RR interval that ends at `peak`, ms; None for the first beat after a break."""
        rr_ms = None
        if self._last_peak is not None and self._is_seen(self._last_peak, peak.sample):
            rr_ms = 1000.0 * (peak.sample - self._last_peak) / self._sample_rate_hz
        self._last_peak = peak.sample
        self._marks.append((peak.sample, rr_ms))
        return rr_ms

    def push_unseen(self, start: SampleIndex, end: SampleIndex) -> None:
        """No electrode saw start ≤ sample < end: no interval reaches into it.

        Must be known before the peaks that were decided from its samples are pushed.
        """
        if self._unseen and self._unseen[-1][1] == start:
            start = SampleIndex(self._unseen.pop()[0])
        self._unseen.append((start, end))

    def push_gap(self, gap: Gap) -> None:
        """Break the series. The peaks before the gap must have been pushed."""
        self._last_peak = None
        self._marks.append((gap.start, None))

    def heart_rate_bpm(self, at: SampleIndex) -> float | None:
        """Mean rate of up to eight intervals that end by `at`.

        None when it is not known: fewer than four intervals since a break, fewer than eight that
        are too uneven to tell the mean of eight, or no beat for longer than 3 s and two mean
        intervals. Beats after `at` are not looked at, so the answer does not depend on how far
        ahead the detector has come.
        """
        marks = [mark for mark in self._marks if mark[0] <= at]
        unbroken = takewhile(lambda mark: mark[1] is not None, reversed(marks))
        intervals_ms = [rr for _, rr in unbroken if rr is not None][:RATE_INTERVALS]
        if len(intervals_ms) < MIN_RATE_INTERVALS or not _tells_mean_of_eight(intervals_ms):
            return None
        mean_s = sum(intervals_ms) / len(intervals_ms) / 1000.0
        silence_s = (at - marks[-1][0]) / self._sample_rate_hz
        if silence_s > max(SILENCE_S, SILENCE_INTERVALS * mean_s):
            return None
        return 60.0 / mean_s

    def _is_seen(self, first: int, last: int) -> bool:
        return all(end <= first or start >= last for start, end in self._unseen)


def _tells_mean_of_eight(intervals_ms: Sequence[float]) -> bool:
    """Whether these, two to eight, put the mean of eight within a tenth of theirs.

    By the standard error of a mean of n out of a population of eight, s √(1/n − 1/8), which is
    nought for all eight (Cochran 1977, theorem 2.2).
    """
    n = len(intervals_ms)
    mean_ms = sum(intervals_ms) / n
    variance = sum((rr_ms - mean_ms) ** 2 for rr_ms in intervals_ms) / (n - 1)
    standard_error_ms = math.sqrt(variance * (1 / n - 1 / RATE_INTERVALS))
    return STANDARD_ERRORS * standard_error_ms <= RATE_TOLERANCE * mean_ms
