"""No heartbeat."""

from __future__ import annotations

from typing import Self

from gateway.dsp.quality import PEAK_DELAY_S
from gateway.messages import Gap, RhythmEvent, RhythmKind, RPeak, SampleIndex, VitalSigns
from gateway.rhythm.rule import Finding, Rule


class Asystole(Rule):
    """No heartbeat for `asystole_s` of signal that can carry a lethal alarm.

    The count starts at the last beat, and anew after a gap, an unusable second, or signal that
    looks like fibrillation: a heart that does not beat then, but does not stand still. Once open,
    the event ends only with a heartbeat: a signal that is lost proves no recovery.
    """

    def __init__(self, sample_rate_hz: int, asystole_s: float) -> None:
        super().__init__(RhythmKind.ASYSTOLE, sample_rate_hz)
        self._criterion = self._samples(asystole_s)
        self._peak_delay = self._samples(PEAK_DELAY_S)
        self._counted_from = SampleIndex(0)
        self._over: tuple[SampleIndex, SampleIndex] | None = None  # onset and end, not yet told

    def adopt(self, other: Self) -> None:
        self._criterion = other._criterion

    def push_gap(self, gap: Gap) -> None:
        self._counted_from = gap.end

    def push_peak(self, peak: RPeak) -> None:
        long = peak.sample - self._counted_from >= self._criterion
        if self._over is None and (long or self._open is not None):
            self._over = (self._counted_from, peak.sample)
        self._counted_from = max(self._counted_from, peak.sample)

    def push_second(self, vitals: VitalSigns) -> None:
        super().push_second(vitals)
        if not vitals.quality.lethal_usable:
            self._counted_from = max(self._counted_from, self._end_of(vitals))

    def push_fibrillation(self, end: SampleIndex, log_odds: float | None) -> None:
        if log_odds is not None and log_odds >= 0.0:
            self._counted_from = max(self._counted_from, end)

    @property
    def deadline(self) -> SampleIndex | None:
        if self._open is not None:
            return None
        return SampleIndex(self._counted_from + self._criterion + self._peak_delay)

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        events = self._tell_over(at)
        deadline = self.deadline
        if deadline is not None and at >= deadline:
            events.append(self._begin(Finding(self._counted_from), at))
        return events

    def finish(self, at: SampleIndex) -> list[RhythmEvent]:
        events = self._tell_over(at)
        if self._open is None and at - self._counted_from >= self._criterion:
            events.append(self._begin(Finding(self._counted_from), at))  # no peak to come
        return events + super().finish(at)

    def _tell_over(self, at: SampleIndex) -> list[RhythmEvent]:
        """The end of the open event; both, where a beat came before the event was decided."""
        if self._over is None:
            return []
        (onset, end), self._over = self._over, None
        begun = [self._begin(Finding(onset), at)] if self._open is None else []
        return [*begun, self._end(end, at)]
