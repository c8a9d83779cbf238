"""Beats written as letters, told to one rule."""

from __future__ import annotations

from gateway.messages import (
    Beat,
    BeatClass,
    BeatLabel,
    Quality,
    QualityReason,
    RhythmEvent,
    RPeak,
    SampleIndex,
    VitalSigns,
)
from gateway.rhythm.rule import Rule

RATE = 250
LABEL_S = 0.9  # from the R peak to its label


class Strip:
    """Tells `rule` of beats and of good seconds, and asks it when each label has come.

    A letter is the class of a beat, `?` one without a label; after `|` there was a gap.
    """

    def __init__(self, rule: Rule, p_abnormal: float = 0.9) -> None:
        self.rule = rule
        self.p_abnormal = p_abnormal
        self.events: list[RhythmEvent] = []
        self.at_s = 1.0  # of the last R peak
        self._second = 0

    def beats(self, letters: str, bpm: float = 120.0) -> Strip:
        broken = False
        for letter in letters:
            if letter == "|":
                broken = True
            else:
                self.beat(letter, 60.0 / bpm, broken)
                broken = False
        return self

    def beat(self, letter: str, rr_s: float, broken: bool = False) -> Strip:
        """One beat, `rr_s` after the last one."""
        self._seconds_until(self.at_s + rr_s)
        self.at_s += rr_s
        sample = SampleIndex(round(self.at_s * RATE))
        self.rule.push_peak(RPeak(sample, 1000.0))
        rr_ms = None if broken else 1000.0 * rr_s
        self.rule.push_beat(Beat(sample, 1000.0, rr_ms, False, self._label(letter)))
        self._ask(self.at_s + LABEL_S)
        return self

    def unusable(self, seconds: int) -> Strip:
        """Seconds that are known to be noise, behind the last beat."""
        for _ in range(seconds):
            self._push_second(usable=False)
        return self

    @property
    def told(self) -> list[tuple[float, float | None]]:
        """Onset and end, s, of each event as it was given out."""
        return [
            (round(e.onset / RATE, 2), None if e.end is None else round(e.end / RATE, 2))
            for e in self.events
        ]

    @property
    def begun(self) -> list[RhythmEvent]:
        return [event for event in self.events if event.end is None]

    def _label(self, letter: str) -> BeatLabel | None:
        if letter == "?":
            return None
        return BeatLabel(BeatClass(letter), 0.1 if letter == "N" else self.p_abnormal)

    def _seconds_until(self, until_s: float) -> None:
        while self._second + 1 <= until_s:
            self._push_second(usable=True)

    def _push_second(self, usable: bool) -> None:
        start = SampleIndex(self._second * RATE)
        reasons = frozenset() if usable else frozenset({QualityReason.MUSCLE})
        quality = Quality(start, 1.0 if usable else 0.0, reasons, usable, True)
        self.rule.push_second(VitalSigns(start, None, quality))
        self._second += 1
        self._ask(float(self._second))

    def _ask(self, at_s: float) -> None:
        self.events += self.rule.decide(SampleIndex(round(at_s * RATE)))
