"""The rules of one session, asked together."""

from __future__ import annotations

from gateway.config import EVERY_BEAT, AlarmLimits
from gateway.messages import Beat, Gap, RhythmEvent, RhythmKind, RPeak, SampleIndex, VitalSigns
from gateway.rhythm.asystole import Asystole
from gateway.rhythm.ectopy import (
    AbnormalBeat,
    AbnormalBurden,
    FrequentVentricularBeats,
    Periodic,
)
from gateway.rhythm.intervals import MissedBeat, Pause
from gateway.rhythm.paced import PacedRhythm
from gateway.rhythm.rate import ExtremeBradycardia, ExtremeTachycardia, RateLimit, lower, upper
from gateway.rhythm.rule import Rule
from gateway.rhythm.supraventricular import AtrialFibrillation, SupraventricularTachycardia
from gateway.rhythm.ventricular import (
    Couplet,
    IdioventricularRhythm,
    VentricularRun,
    VentricularTachycardia,
)
from gateway.rhythm.ventricular_fibrillation import VentricularFibrillation


def rules(rate_hz: int, limits: AlarmLimits) -> list[Rule]:
    """The most urgent first. A new rhythm is one more class in this list."""
    bounds = (
        (RhythmKind.BRADYCARDIA, lower(limits.heart_rate_low_bpm)),
        (RhythmKind.TACHYCARDIA, upper(limits.heart_rate_high_bpm)),
    )
    abnormal_beats = (
        AbnormalBeat(rate_hz)
        if limits.abnormal_beat == EVERY_BEAT
        else AbnormalBurden(rate_hz, limits.abnormal_burden_percent)
    )
    return [
        Asystole(rate_hz, limits.asystole_s),
        VentricularFibrillation(rate_hz),
        VentricularTachycardia(rate_hz),
        ExtremeBradycardia(rate_hz, limits.heart_rate_extreme_low_bpm, limits.asystole_s),
        ExtremeTachycardia(rate_hz, limits.heart_rate_extreme_high_bpm, limits.asystole_s),
        *(RateLimit(kind, rate_hz, bound, limits.asystole_s) for kind, bound in bounds),
        Pause(rate_hz, limits.pause_s, limits.asystole_s),
        VentricularRun(rate_hz),
        IdioventricularRhythm(rate_hz),
        SupraventricularTachycardia(rate_hz),
        AtrialFibrillation(rate_hz),
        FrequentVentricularBeats(rate_hz, limits.ventricular_beats_per_minute),
        abnormal_beats,
        Couplet(rate_hz),
        Periodic(RhythmKind.BIGEMINY, rate_hz, period=2),
        Periodic(RhythmKind.TRIGEMINY, rate_hz, period=3),
        MissedBeat(rate_hz, limits.pause_s),
    ]


class RhythmAnalyser:
    """Tells all rules the same, and gathers what they find."""

    def __init__(self, sample_rate_hz: int, limits: AlarmLimits) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._paced = PacedRhythm(sample_rate_hz)
        self._rules = rules(sample_rate_hz, limits)

    def change_limits(self, limits: AlarmLimits) -> None:
        """Other limits hold from now on; `abnormal_beat`, which chooses a rule, is the same."""
        for rule, fresh in zip(self._rules, rules(self._sample_rate_hz, limits), strict=True):
            rule.adopt(fresh)

    def push_gap(self, gap: Gap) -> None:
        for rule in self._rules:
            rule.push_gap(gap)

    def push_peak(self, peak: RPeak) -> None:
        for rule in self._rules:
            rule.push_peak(peak)

    def push_beat(self, beat: Beat) -> None:
        for rule in self._rules:
            rule.push_beat(beat)

    def push_spike(self, r_sample: SampleIndex, has_spike: bool) -> None:
        """Whether a pacing spike leads to the beat at `r_sample`; before its label is made."""
        self._paced.push_spike(r_sample, has_spike)

    @property
    def is_paced(self) -> bool:
        """Whether a pacemaker makes the rhythm: its beats have no label."""
        return self._paced.holds

    def push_second(self, vitals: VitalSigns) -> None:
        for rule in (*self._rules, self._paced):
            rule.push_second(vitals)

    def push_fibrillation(self, end: SampleIndex, log_odds: float | None) -> None:
        for rule in self._rules:
            rule.push_fibrillation(end, log_odds)

    @property
    def deadline(self) -> SampleIndex | None:
        """The next sample at which a rule decides although no second ends there."""
        deadlines = [rule.deadline for rule in self._rules]
        return min((at for at in deadlines if at is not None), default=None)

    @property
    def open_kinds(self) -> frozenset[RhythmKind]:
        """The findings that are open."""
        return frozenset(rule.kind for rule in (*self._rules, self._paced) if rule.is_open)

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        """The events that the signal before `at` begins and ends."""
        return [event for rule in (*self._rules, self._paced) for event in rule.decide(at)]

    def finish(self, at: SampleIndex) -> list[RhythmEvent]:
        """End what is open: the session is over at `at`."""
        return [event for rule in (*self._rules, self._paced) for event in rule.finish(at)]
