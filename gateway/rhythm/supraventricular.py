"""Atrial rhythms: supraventricular tachycardia and atrial fibrillation."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from gateway.messages import Beat, BeatClass, RhythmKind, SampleIndex
from gateway.rhythm.rule import UNKNOWN_ENDS_S, Finding, Noting

RUN_BEATS = 5  # bedside monitors: five premature supraventricular beats in a row
FAST_BPM = 100.0  # ANSI/AAMI EC57: a tachycardia, as for ventricular ones
ENTROPY_INTERVALS = 60  # with 30 the slow breathing of a calm heart looks irregular (DS1)
LOOKED_AT_EACH = 4  # intervals: some 3 s of an onset that takes 60 intervals to show
TOLERANCE_S, MIN_MATCHES = 0.030, 5  # (Lake & Moorman 2011)
# On DS1 of MIT-BIH all windows in fibrillation lie above −0.8, all others but flutter's below.
FIBRILLATION_ABOVE, FIBRILLATION_ENDS_BELOW = -0.8, -1.0
CERTAINTY_SLOPE = 6.0
ATRIAL = frozenset({BeatClass.NORMAL, BeatClass.SUPRAVENTRICULAR})


class SupraventricularTachycardia(Noting):
    """Five supraventricular beats in a row above 100 bpm, until a beat that is none.

    A beat without a label, or behind a gap, begins the count anew and ends nothing for itself.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.SUPRAVENTRICULAR_TACHYCARDIA, sample_rate_hz)
        self._run: deque[Beat] = deque(maxlen=RUN_BEATS)

    def push_beat(self, beat: Beat) -> None:
        if beat.rr_ms is None or beat.label is None:
            self._run.clear()
        if beat.label is None:
            return
        if beat.label.beat_class is BeatClass.SUPRAVENTRICULAR:
            self._run.append(beat)
            if not self._holds and self._is_tachycardia():
                self._note_begin(self._finding())
            return
        self._run.clear()
        if self._holds:
            self._note_end(beat.r_sample)

    def _is_tachycardia(self) -> bool:
        if len(self._run) < RUN_BEATS:
            return False
        span_s = (self._run[-1].r_sample - self._run[0].r_sample) / self._sample_rate_hz
        return 60.0 * (RUN_BEATS - 1) / span_s > FAST_BPM

    def _finding(self) -> Finding:
        sure = [beat.label.p_abnormal for beat in self._run if beat.label is not None]
        evidence = [beat.r_sample for beat in self._run]
        return Finding(evidence[0], evidence, sum(sure) / len(sure))


class AtrialFibrillation(Noting):
    """Irregular intervals: the coefficient of sample entropy of the last 60 (Lake & Moorman,
    Am J Physiol Heart Circ Physiol 2011), looked at with each fourth.

    Intervals next to a ventricular beat or one without a label are left out, or bigeminy and noise
    would look irregular. Not claimed any more where no interval has come for 30 s.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.ATRIAL_FIBRILLATION, sample_rate_hz)
        self._intervals: deque[tuple[SampleIndex, float]] = deque(maxlen=ENTROPY_INTERVALS)
        self._before: BeatClass | None = None
        self._counted = 0
        self._stale = self._samples(UNKNOWN_ENDS_S)

    def push_beat(self, beat: Beat) -> None:
        beat_class = None if beat.label is None else beat.label.beat_class
        before, self._before = self._before, beat_class
        if beat.rr_ms is None or not {before, beat_class} <= ATRIAL:
            return
        self._drop_stale(beat.r_sample)
        self._intervals.append((beat.r_sample, beat.rr_ms / 1000.0))
        self._counted += 1
        if len(self._intervals) == ENTROPY_INTERVALS and self._counted % LOOKED_AT_EACH == 0:
            self._look()

    def _drop_stale(self, r_sample: SampleIndex) -> None:
        last = self._intervals[-1][0] if self._intervals else r_sample
        if r_sample - last > self._stale:
            self._intervals.clear()
            if self._holds:
                self._note_end(last)

    def _look(self) -> None:
        entropy = coefficient_of_sample_entropy(np.array([rr_s for _, rr_s in self._intervals]))
        if not self._holds and entropy > FIBRILLATION_ABOVE:
            evidence = [r for r, _ in self._intervals]
            self._note_begin(Finding(evidence[0], evidence, _certainty(entropy)))
        elif self._holds and entropy < FIBRILLATION_ENDS_BELOW:
            self._note_end(self._intervals[-1][0])


def _certainty(entropy: float) -> float:
    """0.5 where the finding ends, 0.77 where it begins, near 1 for fibrillation's usual −0.2."""
    return float(1.0 / (1.0 + np.exp(-CERTAINTY_SLOPE * (entropy - FIBRILLATION_ENDS_BELOW))))


def coefficient_of_sample_entropy(intervals_s: NDArray[np.float64]) -> float:
    """Sample entropy of order 1 as a density, relative to the mean interval (Lake & Moorman).

    The tolerance is 30 ms, and wider where fewer than five pairs of intervals match within it.
    """
    first, second = np.triu_indices(intervals_s.size - 1, 1)
    now = np.abs(intervals_s[first] - intervals_s[second])
    both = np.maximum(now, np.abs(intervals_s[first + 1] - intervals_s[second + 1]))
    least = np.partition(both, MIN_MATCHES - 1)[MIN_MATCHES - 1]
    tolerance_s = max(TOLERANCE_S, float(least))
    matches = np.count_nonzero(both <= tolerance_s)
    templates = np.count_nonzero(now <= tolerance_s)
    entropy = np.log(templates / matches) + np.log(2.0 * tolerance_s)
    return float(entropy - np.log(intervals_s.mean()))
