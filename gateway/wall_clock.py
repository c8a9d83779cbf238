"""The one place that maps a session's sample axis to wall-clock time."""

from __future__ import annotations

from collections import deque

REMEMBERED_FRAMES = 256  # some three minutes at 250 Hz: a drift of 50 ppm is 10 ms in that time


class SessionClock:
    """Unix seconds of a sample, from when frames came. Transport only delays: the least counts."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._starts_s: deque[float] = deque(maxlen=REMEMBERED_FRAMES)

    def push(self, end: int, received_s: float) -> None:
        """A live frame that ends before sample `end` came at `received_s`."""
        self._starts_s.append(received_s - end / self._sample_rate_hz)

    @property
    def start_s(self) -> float:
        """Unix seconds of sample 0; raises ValueError before the first frame."""
        return min(self._starts_s)

    def at(self, sample: int) -> float:
        """Unix seconds of a sample."""
        return self.start_s + sample / self._sample_rate_hz
