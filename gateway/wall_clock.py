"""The one place that maps a session's sample axis to wall-clock time."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from itertools import combinations

REMEMBERED_FRAMES = 256  # some three minutes at 250 Hz: a drift of 50 ppm is 10 ms in that time
FRAMES_PER_GROUP = 32  # of each the quickest counts: in 24 s one frame at least is not delayed


@dataclass(frozen=True, slots=True)
class WallFit:
    """Unix seconds of sample 0 as the newest frames tell it, and how far that may be wrong."""

    start_s: float
    error_s: float


class SessionClock:
    """Unix seconds of a sample, from when frames came. Transport only delays: the least counts."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=REMEMBERED_FRAMES)

    def push(self, end: int, received_s: float) -> None:
        """A live frame that ends before sample `end` came at `received_s`."""
        self._arrivals.append((end, received_s - end / self._sample_rate_hz))

    def shift(self, seconds: float) -> None:
        """The gateway's clock was set forward by so much: what came before was that much later."""
        arrivals = [(end, start_s + seconds) for end, start_s in self._arrivals]
        self._arrivals.clear()
        self._arrivals.extend(arrivals)

    def forget(self) -> None:
        """The gateway's clock was set: what came before was dated by another one."""
        self._arrivals.clear()

    @property
    def start_s(self) -> float:
        """Unix seconds of sample 0; raises ValueError before the first frame."""
        return min(start_s for _, start_s in self._arrivals)

    def at(self, sample: int) -> float:
        """Unix seconds of a sample."""
        return self.start_s + sample / self._sample_rate_hz

    def fit(self) -> WallFit:
        """A line through the quickest frame of each group, read at the newest of these frames.

        The slope, the drift between the two crystals, is the median of all pairs' slopes (Theil
        1950, Sen 1968), so a group that was delayed as a whole does not turn it. The error is the
        largest distance of a group from the line; of a single group, its whole spread. Raises
        ValueError before the first frame.
        """
        arrivals = list(self._arrivals)
        groups = [
            arrivals[begin : begin + FRAMES_PER_GROUP]
            for begin in range(0, len(arrivals), FRAMES_PER_GROUP)
        ]
        quickest = [min(group, key=lambda arrival: arrival[1]) for group in groups]
        if len(quickest) < 2:
            starts = [start_s for _, start_s in arrivals]
            return WallFit(min(starts), max(starts) - min(starts))
        slopes = [
            (b - a) / (after - before) for (before, a), (after, b) in combinations(quickest, 2)
        ]
        slope, newest = statistics.median(slopes), quickest[-1][0]
        there = [start_s + slope * (newest - end) for end, start_s in quickest]
        start_s = statistics.median(there)
        return WallFit(start_s, max(abs(each - start_s) for each in there))
