"""What every rhythm rule is.

One bad beat is a mark on the strip; an event is a pattern that has lasted. Rules are told what the
signal holds (`push_…`) and asked for their findings at given moments of the sample axis
(`decide`). They are asked once a second, and at a rule's own `deadline` in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from gateway.messages import Beat, Gap, RhythmEvent, RhythmKind, RPeak, SampleIndex, VitalSigns

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
