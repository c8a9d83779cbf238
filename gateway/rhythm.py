"""Beats and rate → rhythm events: a list of small rules, each with one finding of its own.

One bad beat is a mark on the strip; an event is a pattern that has lasted. Rules are told what the
signal holds (`push_…`) and asked for their findings at given moments of the sample axis
(`decide`). They are asked once a second, and at a rule's own `deadline` in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

from gateway.config import AlarmLimits
from gateway.dsp.quality import PEAK_DELAY_S
from gateway.messages import (
    Beat,
    BeatClass,
    Gap,
    RhythmEvent,
    RhythmKind,
    RPeak,
    SampleIndex,
    VitalSigns,
)

BRADYCARDIA_BEATS = 5  # PhysioNet/CinC Challenge 2015: below the limit for 5 beats
TACHYCARDIA_BEATS = 17  # ibid.: above the limit for 17 beats
RATE_HYSTERESIS_BPM = 5.0  # a rate at its limit must not open and close an event with each beat
BURDEN_WINDOW_S = 60.0
BURDEN_ENDS_AT = 0.5  # of the limit; by chance alone 20 % of 70 beats vary by ± 5 points
MIN_BURDEN_BEATS = 20  # fewer labelled beats say nothing of a minute (20/min is below any rhythm)
MAX_BURDEN_BEATS = 300  # a minute at the 200 ms that the detector keeps between two beats
UNKNOWN_ENDS_S = 30.0  # then "poor signal" alarms, and the old finding is no longer claimed


class Rule(ABC):
    """One finding: its open event, and what later rules override."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int) -> None:
        self.kind = kind
        self._sample_rate_hz = sample_rate_hz
        self._onset: SampleIndex | None = None

    @property
    def is_open(self) -> bool:
        """Whether the event has begun and not ended."""
        return self._onset is not None

    def push_gap(self, gap: Gap) -> None:
        """The signal from `gap.start` to `gap.end` is unknown."""

    def push_peak(self, peak: RPeak) -> None:
        """A heartbeat, as soon as its R peak is found."""

    def push_beat(self, beat: Beat) -> None:
        """The same heartbeat again, with its label."""

    def push_second(self, vitals: VitalSigns) -> None:
        """A second that is over, with its quality."""

    @property
    def deadline(self) -> SampleIndex | None:
        """A sample at which to `decide` although no second ends there."""
        return None

    @abstractmethod
    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        """Begun and ended events, given all signal before `at`."""

    def finish(self, at: SampleIndex) -> list[RhythmEvent]:
        """The session is over: so is what was open."""
        return [] if self._onset is None else [self._end(at, at)]

    def _end_of(self, vitals: VitalSigns) -> SampleIndex:
        return SampleIndex(vitals.start + self._sample_rate_hz)

    def _begin(self, onset: SampleIndex, decided: SampleIndex) -> RhythmEvent:
        self._onset = onset
        return RhythmEvent(self.kind, onset, decided)

    def _end(self, end: SampleIndex, decided: SampleIndex) -> RhythmEvent:
        assert self._onset is not None, "only an open event ends"
        event = RhythmEvent(self.kind, self._onset, decided, end)
        self._onset = None
        return event


class Asystole(Rule):
    """No heartbeat for `asystole_s` of signal that can carry a lethal alarm.

    The count starts at the last beat, and anew after a gap or an unusable second. Once open, the
    event ends only with a heartbeat: a signal that is lost proves no recovery.
    """

    def __init__(self, sample_rate_hz: int, asystole_s: float) -> None:
        super().__init__(RhythmKind.ASYSTOLE, sample_rate_hz)
        self._criterion = round(asystole_s * sample_rate_hz)
        self._peak_delay = round(PEAK_DELAY_S * sample_rate_hz)
        self._counted_from = SampleIndex(0)
        self._over: tuple[SampleIndex, SampleIndex] | None = None  # onset and end, not yet told

    def push_gap(self, gap: Gap) -> None:
        self._counted_from = gap.end

    def push_peak(self, peak: RPeak) -> None:
        long = peak.sample - self._counted_from >= self._criterion
        if self._over is None and (long or self._onset is not None):
            self._over = (self._counted_from, peak.sample)
        self._counted_from = max(self._counted_from, peak.sample)

    def push_second(self, vitals: VitalSigns) -> None:
        if not vitals.quality.lethal_usable:
            self._counted_from = max(self._counted_from, self._end_of(vitals))

    @property
    def deadline(self) -> SampleIndex | None:
        if self._onset is not None:
            return None
        return SampleIndex(self._counted_from + self._criterion + self._peak_delay)

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        events = self._tell_over(at)
        deadline = self.deadline
        if deadline is not None and at >= deadline:
            events.append(self._begin(self._counted_from, at))
        return events

    def finish(self, at: SampleIndex) -> list[RhythmEvent]:
        events = self._tell_over(at)
        if self._onset is None and at - self._counted_from >= self._criterion:
            events.append(self._begin(self._counted_from, at))  # no peak is on its way any more
        return events + super().finish(at)

    def _tell_over(self, at: SampleIndex) -> list[RhythmEvent]:
        """The end of the open event; both, where a beat came before the event was decided."""
        if self._over is None:
            return []
        (onset, end), self._over = self._over, None
        begun = [self._begin(onset, at)] if self._onset is None else []
        return [*begun, self._end(end, at)]


class Fading(Rule):
    """A finding that rests on a usable rate, and is no longer claimed 30 s after the last one."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._known_until = SampleIndex(0)
        self._fade = round(UNKNOWN_ENDS_S * sample_rate_hz)

    def push_second(self, vitals: VitalSigns) -> None:
        if vitals.quality.rate_usable:
            self._known_until = self._end_of(vitals)

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        if self._onset is None:
            onset = self._found()
            return [] if onset is None else [self._begin(onset, at)]
        if at - self._known_until >= self._fade:
            return [self._end(max(self._known_until, self._onset), at)]
        return [self._end(at, at)] if self._recovered() else []

    @abstractmethod
    def _found(self) -> SampleIndex | None:
        """The finding's onset where its criterion is met."""

    @abstractmethod
    def _recovered(self) -> bool:
        """Whether the opposite is shown, by the hysteresis."""


class RateLimit(Fading):
    """The mean rate of the last `beats` beats, unbroken by a gap or an unusable second."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int, beats: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._peaks: deque[SampleIndex] = deque(maxlen=beats)
        self._beyond_from: SampleIndex | None = None  # first beat of a run beyond the limit

    def push_gap(self, gap: Gap) -> None:
        self._forget_run()

    def push_peak(self, peak: RPeak) -> None:
        self._peaks.append(peak.sample)
        rate_bpm = self._rate_bpm()
        if rate_bpm is None or not self._is_beyond(rate_bpm):
            self._beyond_from = None
        elif self._beyond_from is None:
            self._beyond_from = self._peaks[0]

    def push_second(self, vitals: VitalSigns) -> None:
        super().push_second(vitals)
        if not vitals.quality.rate_usable:
            self._forget_run()

    @abstractmethod
    def _is_beyond(self, rate_bpm: float) -> bool:
        """Whether the rate is beyond the limit."""

    @abstractmethod
    def _is_back(self, rate_bpm: float) -> bool:
        """Whether the rate is on the good side of the limit, hysteresis included."""

    def _found(self) -> SampleIndex | None:
        return self._beyond_from

    def _recovered(self) -> bool:
        rate_bpm = self._rate_bpm()
        return rate_bpm is not None and self._is_back(rate_bpm)

    def _forget_run(self) -> None:
        self._peaks.clear()
        self._beyond_from = None

    def _rate_bpm(self) -> float | None:
        if len(self._peaks) != self._peaks.maxlen:
            return None
        span_s = (self._peaks[-1] - self._peaks[0]) / self._sample_rate_hz
        return 60.0 * (len(self._peaks) - 1) / span_s


class Bradycardia(RateLimit):
    """Below the low limit for 5 beats."""

    def __init__(self, sample_rate_hz: int, low_bpm: float) -> None:
        super().__init__(RhythmKind.BRADYCARDIA, sample_rate_hz, BRADYCARDIA_BEATS)
        self._low_bpm = low_bpm

    def _is_beyond(self, rate_bpm: float) -> bool:
        return rate_bpm < self._low_bpm

    def _is_back(self, rate_bpm: float) -> bool:
        return rate_bpm >= self._low_bpm + RATE_HYSTERESIS_BPM


class Tachycardia(RateLimit):
    """Above the high limit for 17 beats."""

    def __init__(self, sample_rate_hz: int, high_bpm: float) -> None:
        super().__init__(RhythmKind.TACHYCARDIA, sample_rate_hz, TACHYCARDIA_BEATS)
        self._high_bpm = high_bpm

    def _is_beyond(self, rate_bpm: float) -> bool:
        return rate_bpm > self._high_bpm

    def _is_back(self, rate_bpm: float) -> bool:
        return rate_bpm <= self._high_bpm - RATE_HYSTERESIS_BPM


class AbnormalBurden(Fading):
    """The share of abnormal beats among the last minute's labelled ones."""

    def __init__(self, sample_rate_hz: int, limit_percent: float) -> None:
        super().__init__(RhythmKind.ABNORMAL_BURDEN, sample_rate_hz)
        self._limit_percent = limit_percent
        self._window = round(BURDEN_WINDOW_S * sample_rate_hz)
        self._beats: deque[tuple[SampleIndex, bool]] = deque(maxlen=MAX_BURDEN_BEATS)

    def push_beat(self, beat: Beat) -> None:
        if beat.label is not None:
            abnormal = beat.label.beat_class is not BeatClass.NORMAL
            self._beats.append((beat.r_sample, abnormal))

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        while self._beats and self._beats[0][0] < at - self._window:
            self._beats.popleft()
        return super().decide(at)

    def _burden_percent(self) -> float | None:
        if len(self._beats) < MIN_BURDEN_BEATS:
            return None
        return 100.0 * sum(abnormal for _, abnormal in self._beats) / len(self._beats)

    def _found(self) -> SampleIndex | None:
        burden = self._burden_percent()
        if burden is None or burden < self._limit_percent:
            return None
        return next(r_sample for r_sample, abnormal in self._beats if abnormal)

    def _recovered(self) -> bool:
        burden = self._burden_percent()
        return burden is not None and burden < self._limit_percent * BURDEN_ENDS_AT


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
