from __future__ import annotations

from gateway.messages import RhythmEvent, SampleIndex
from gateway.rhythm.paced import PacedRhythm

RATE = 250
RR = 200  # samples


class Beats:
    """Tells the rule of beats with a spike ("/") and without one (".")."""

    def __init__(self) -> None:
        self.rule = PacedRhythm(RATE)
        self.at = 0
        self.events: list[RhythmEvent] = []

    def push(self, marks: str, rr: int = RR) -> Beats:
        for mark in marks:
            self.at += rr
            self.rule.push_spike(SampleIndex(self.at), mark == "/")
            self.events += self.rule.decide(SampleIndex(self.at))
        return self

    @property
    def told(self) -> list[tuple[int, int | None]]:
        """Onset and end of each event, in beats."""
        return [(e.onset // RR, None if e.end is None else e.end // RR) for e in self.events]


def test_fifteen_spikes_in_thirty_beats_begin_it_at_the_first():
    assert Beats().push("..." + "/" * 14).told == []
    assert Beats().push("..." + "/" * 15).told == [(4, None)]
    assert Beats().push("/." * 15).told == [(1, None)]


def test_spikes_that_are_far_between_are_none():
    assert Beats().push("/.." * 100).told == []


def test_it_ends_when_fewer_than_a_fifth_of_the_beats_have_one():
    beats = Beats().push("/" * 30 + "." * 24)
    assert beats.told == [(1, None)]
    assert beats.push(".").told == [(1, None), (1, 55)]
    assert not beats.rule.holds


def test_it_is_not_claimed_across_a_long_silence():
    beats = Beats().push("/" * 30).push("/", rr=31 * RATE)
    assert beats.told == [(1, None), (1, 30)]
