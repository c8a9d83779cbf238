"""Ventricular fibrillation and flutter, which have no heartbeat to count."""

from __future__ import annotations

import math
from collections import deque

from gateway.dsp.fibrillation import WINDOW_S
from gateway.messages import Gap, RhythmEvent, RhythmKind, SampleIndex, VitalSigns
from gateway.rhythm.rule import Finding, Rule

DECIDING_SECONDS = 3  # a look each second; one alone would be an artefact as often as not
BEGINS_AT = 1.0  # mean log-odds: p 0.73; tuned on the tuning halves
ENDS_BELOW = 0.0  # as likely as not
SURELY = 4.0  # p 0.98: no single look counts for more


class VentricularFibrillation(Rule):
    """Four seconds that fibrillate, seen in three looks a second apart.

    Looks that touch a gap or a second that can't carry a lethal alarm are not used. Once open, the
    event ends only with signal that does not fibrillate: a lost signal proves no recovery.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.VENTRICULAR_FIBRILLATION, sample_rate_hz)
        self._usable_from = SampleIndex(0)
        self._looks: deque[float] = deque(maxlen=DECIDING_SECONDS)
        self._first_like: SampleIndex | None = None  # start of the run of looks that fibrillate
        self._last_like = SampleIndex(0)  # end of the last such look
        self._over_from = SampleIndex(0)  # end of the last event: two do not overlap

    def push_gap(self, gap: Gap) -> None:
        self._look_anew(gap.end)

    def push_second(self, vitals: VitalSigns) -> None:
        super().push_second(vitals)
        if not vitals.quality.lethal_usable:
            self._look_anew(self._end_of(vitals))

    def push_fibrillation(self, end: SampleIndex, log_odds: float | None) -> None:
        start = SampleIndex(end - self._samples(WINDOW_S))
        if log_odds is None or start < self._usable_from:
            return
        self._looks.append(min(max(log_odds, -SURELY), SURELY))
        if log_odds < 0.0:
            self._first_like = None
            return
        self._last_like = end
        if self._first_like is None:
            self._first_like = start

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        if len(self._looks) < DECIDING_SECONDS:
            return []
        mean = sum(self._looks) / DECIDING_SECONDS
        if self._open is None and self._first_like is not None and mean >= BEGINS_AT:
            onset = max(self._first_like, self._over_from)
            confidence = 1.0 / (1.0 + math.exp(-mean))
            return [self._begin(Finding(onset, confidence=confidence), at)]
        if self._open is not None and mean < ENDS_BELOW:
            self._over_from = max(self._last_like, self._open.onset)
            return [self._end(self._over_from, at)]
        return []

    def _look_anew(self, usable_from: SampleIndex) -> None:
        self._usable_from = max(self._usable_from, usable_from)
        self._looks.clear()
        self._first_like = None
