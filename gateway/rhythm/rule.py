"""What every rhythm rule is.

One bad beat is a mark on the strip; an event is a pattern that has lasted. Rules are told what the
signal holds (`push_…`) and asked for their findings at given moments of the sample axis
(`decide`). They are asked once a second, and at a rule's own `deadline` in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from gateway.messages import (
    MAX_EVIDENCE_BEATS,
    Beat,
    Gap,
    Quality,
    QualityReason,
    RhythmEvent,
    RhythmKind,
    RPeak,
    SampleIndex,
    VitalSigns,
)

UNKNOWN_ENDS_S = 30.0  # then "poor signal" alarms, and the old finding is no longer claimed
CONFIDENCE_SECONDS = 10  # a lethal finding is made within 10 s of its onset
# A rhythm itself can look flat, implausible or unlike its template; these are the signal's faults.
NOISE = frozenset(
    {
        QualityReason.GAP,
        QualityReason.LEAD_OFF,
        QualityReason.CLIPPED,
        QualityReason.MAINS,
        QualityReason.BASELINE_WANDER,
        QualityReason.MUSCLE,
        QualityReason.ELECTRODE_MOTION,
        QualityReason.DETECTOR_DISAGREEMENT,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A criterion that is met: since when, on which beats, and how sure."""

    onset: SampleIndex
    evidence: Sequence[SampleIndex] = ()
    confidence: float | None = None  # None: as clean as the signal is


class Rule(ABC):
    """One finding: its open event, and what later rules override."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int) -> None:
        self.kind = kind
        self._sample_rate_hz = sample_rate_hz
        self._open: RhythmEvent | None = None
        self._clean: deque[bool] = deque(maxlen=CONFIDENCE_SECONDS)  # the last seconds, each

    @property
    def is_open(self) -> bool:
        """Whether the event has begun and not ended."""
        return self._open is not None

    def adopt(self, other: Self) -> None:
        """From now on the limits of `other` hold; what the beats have shown so far stays."""

    def push_gap(self, gap: Gap) -> None:
        """The signal from `gap.start` to `gap.end` is unknown."""

    def push_peak(self, peak: RPeak) -> None:
        """A heartbeat, as soon as its R peak is found."""

    def push_beat(self, beat: Beat) -> None:
        """The same heartbeat again, with its label."""

    def push_second(self, vitals: VitalSigns) -> None:
        """A second that is over, with its quality."""
        self._clean.append(_is_clean(vitals.quality))

    def push_fibrillation(self, end: SampleIndex, log_odds: float | None) -> None:
        """The log-odds that the four seconds before `end` fibrillate; None: not known."""

    @property
    def deadline(self) -> SampleIndex | None:
        """A sample at which to `decide` although no second ends there.

        It may move later as peaks come; one that moves nearer must do so in `decide`, or the
        answer would depend on how the signal was cut.
        """
        return None

    @abstractmethod
    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        """Begun and ended events, given all signal before `at`."""

    def finish(self, at: SampleIndex) -> list[RhythmEvent]:
        """The session is over: so is what was open."""
        return [] if self._open is None else [self._end(at, at)]

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._sample_rate_hz)

    def _end_of(self, vitals: VitalSigns) -> SampleIndex:
        return SampleIndex(vitals.start + self._sample_rate_hz)

    def _begin(self, finding: Finding, decided: SampleIndex) -> RhythmEvent:
        self._open = RhythmEvent(
            self.kind,
            finding.onset,
            decided,
            confidence=self._cleanness() if finding.confidence is None else finding.confidence,
            evidence=tuple(finding.evidence[-MAX_EVIDENCE_BEATS:]),
        )
        return self._open

    def _end(self, end: SampleIndex, decided: SampleIndex) -> RhythmEvent:
        assert self._open is not None, "only an open event ends"
        event = replace(self._open, decided=decided, end=end)
        self._open = None
        return event

    def _cleanness(self) -> float:
        return sum(self._clean) / len(self._clean) if self._clean else 1.0


class Fading(Rule):
    """A finding that rests on a usable rate, and is no longer claimed 30 s after the last one."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._known_until = SampleIndex(0)
        self._fade = self._samples(UNKNOWN_ENDS_S)

    def push_second(self, vitals: VitalSigns) -> None:
        super().push_second(vitals)
        if self._is_known(vitals.quality):
            self._known_until = self._end_of(vitals)

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        if self._open is None:
            finding = self._found(at)
            return [] if finding is None else [self._begin(finding, at)]
        if at - self._known_until >= self._fade:
            return [self._end(max(self._known_until, self._open.onset), at)]
        return [self._end(at, at)] if self._recovered() else []

    def _is_known(self, quality: Quality) -> bool:
        """Whether a second of this quality can carry the finding."""
        return quality.rate_usable

    @abstractmethod
    def _found(self, at: SampleIndex) -> Finding | None:
        """The finding where its criterion is met by `at`."""

    @abstractmethod
    def _recovered(self) -> bool:
        """Whether the opposite is shown, by the hysteresis."""


class Noting(Rule):
    """A rule that sees in the beats themselves where its findings begin and end.

    Several may begin and end between two decisions; each is noted, and told with the next.
    """

    def __init__(self, kind: RhythmKind, sample_rate_hz: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._noted: list[Finding | SampleIndex] = []  # begins, and ends, not yet told
        self._holds = False  # by what is noted

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        noted, self._noted = self._noted, []
        return [
            self._begin(each, at) if isinstance(each, Finding) else self._end(each, at)
            for each in noted
        ]

    def finish(self, at: SampleIndex) -> list[RhythmEvent]:
        return self.decide(at) + super().finish(at)

    def _note_begin(self, finding: Finding) -> None:
        self._noted.append(finding)
        self._holds = True

    def _note_end(self, end: SampleIndex) -> None:
        self._noted.append(end)
        self._holds = False

    def _note(self, finding: Finding, end: SampleIndex) -> None:
        """A finding that is over when it is made."""
        self._note_begin(finding)
        self._note_end(end)


def _is_clean(quality: Quality) -> bool:
    return not quality.reasons & NOISE
