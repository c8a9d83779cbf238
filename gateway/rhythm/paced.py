"""A pacemaker's rhythm, whose beats the classifier was not trained on."""

from __future__ import annotations

from collections import deque

from gateway.messages import RhythmKind, SampleIndex
from gateway.rhythm.rule import UNKNOWN_ENDS_S, Finding, Noting

BEATS = 30
BEGINS_AT, ENDS_BELOW = 0.5, 0.2  # of these beats; demand pacing leaves some to the heart


class PacedRhythm(Noting):
    """Half of the last 30 beats follow a pacing spike; over when fewer than a fifth do.

    Nor claimed any more where no beat has come for 30 s.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.PACED_RHYTHM, sample_rate_hz)
        self._beats: deque[tuple[SampleIndex, bool]] = deque(maxlen=BEATS)
        self._stale = self._samples(UNKNOWN_ENDS_S)

    @property
    def holds(self) -> bool:
        """Whether the beats so far show it, told or not."""
        return self._holds

    def push_spike(self, r_sample: SampleIndex, has_spike: bool) -> None:
        last = self._beats[-1][0] if self._beats else r_sample
        if r_sample - last > self._stale:
            self._beats.clear()
            if self._holds:
                self._note_end(last)
        self._beats.append((r_sample, has_spike))
        spiked = [r for r, spike in self._beats if spike]
        if self._holds and len(spiked) < ENDS_BELOW * BEATS:
            self._note_end(r_sample)
        elif not self._holds and len(spiked) >= BEGINS_AT * BEATS:
            self._note_begin(Finding(spiked[0], spiked))
