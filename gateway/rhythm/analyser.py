"""The rules of one session, asked together."""

from __future__ import annotations

from gateway.config import AlarmLimits
from gateway.messages import Beat, Gap, RhythmEvent, RhythmKind, RPeak, SampleIndex, VitalSigns
from gateway.rhythm.asystole import Asystole
from gateway.rhythm.burden import AbnormalBurden
from gateway.rhythm.rate import Bradycardia, Tachycardia
from gateway.rhythm.rule import Rule


class RhythmAnalyser:
    """All rules of one session. A new rhythm is one more class in this list."""

    def __init__(self, sample_rate_hz: int, limits: AlarmLimits) -> None:
        self._rules: list[Rule] = [
            Asystole(sample_rate_hz, limits.asystole_s),
            Bradycardia(sample_rate_hz, limits.heart_rate_low_bpm),
            Tachycardia(sample_rate_hz, limits.heart_rate_high_bpm),
            AbnormalBurden(sample_rate_hz, limits.abnormal_burden_percent),
        ]

    def push_gap(self, gap: Gap) -> None:
        for rule in self._rules:
            rule.push_gap(gap)

    def push_peak(self, peak: RPeak) -> None:
        for rule in self._rules:
            rule.push_peak(peak)

    def push_beat(self, beat: Beat) -> None:
        for rule in self._rules:
            rule.push_beat(beat)

    def push_second(self, vitals: VitalSigns) -> None:
        for rule in self._rules:
            rule.push_second(vitals)

    @property
    def deadline(self) -> SampleIndex | None:
        """The next sample at which a rule decides although no second ends there."""
        deadlines = [rule.deadline for rule in self._rules]
        return min((at for at in deadlines if at is not None), default=None)

    @property
    def open_kinds(self) -> frozenset[RhythmKind]:
        """The findings that are open."""
        return frozenset(rule.kind for rule in self._rules if rule.is_open)

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        """The events that the signal before `at` begins and ends."""
        return [event for rule in self._rules for event in rule.decide(at)]

    def finish(self, at: SampleIndex) -> list[RhythmEvent]:
        """End what is open: the session is over at `at`."""
        return [event for rule in self._rules for event in rule.finish(at)]
