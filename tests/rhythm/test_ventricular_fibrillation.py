from __future__ import annotations

import math

import pytest

from gateway.messages import (
    Gap,
    Quality,
    QualityReason,
    RhythmEvent,
    RhythmKind,
    SampleIndex,
    VitalSigns,
)
from gateway.rhythm.ventricular_fibrillation import SURELY, VentricularFibrillation

RATE = 100
YES, NO = 2.5, -3.0


def sample(seconds: float) -> SampleIndex:
    return SampleIndex(round(seconds * RATE))


class Watched:
    """Gives the rule one look each second, as a pipeline does, and keeps its events."""

    def __init__(self) -> None:
        self.rule = VentricularFibrillation(RATE)
        self.events: list[RhythmEvent] = []
        self.now_s = 0

    def looks(self, *log_odds: float | None, lethal_usable: bool = True) -> None:
        for odds in log_odds:
            reasons = frozenset() if lethal_usable else frozenset({QualityReason.LEAD_OFF})
            quality = Quality(sample(self.now_s), 1.0, reasons, lethal_usable, lethal_usable)
            self.rule.push_second(VitalSigns(sample(self.now_s), None, quality))
            self.now_s += 1
            self.rule.push_fibrillation(sample(self.now_s), odds)
            self.events += self.rule.decide(sample(self.now_s))

    def told(self) -> list[tuple[float, float, float | None]]:
        """Onset, when it was decided, and end."""
        return [
            (e.onset / RATE, e.decided / RATE, None if e.end is None else e.end / RATE)
            for e in self.events
        ]


@pytest.fixture
def bed() -> Watched:
    watched = Watched()
    watched.looks(None, None, None, *[NO] * 7)  # ten seconds of a beating heart
    return watched


def test_three_looks_decide_and_the_first_tells_the_onset(bed):
    bed.looks(YES, YES)
    assert bed.told() == []
    bed.looks(YES)
    assert bed.told() == [(7.0, 13.0, None)]
    assert bed.events[0].confidence == pytest.approx(1.0 / (1.0 + math.exp(-YES)))
    assert bed.events[0].kind is RhythmKind.VENTRICULAR_FIBRILLATION


def test_one_look_however_sure_does_not_decide(bed):
    bed.looks(1000.0, NO, NO, -math.inf)
    assert bed.told() == []


def test_the_mean_of_the_looks_is_the_criterion(bed):
    bed.looks(1.0, 1.0, 0.9)
    assert bed.told() == []
    bed.looks(1.1)
    assert bed.told() == [(7.0, 14.0, None)]


def test_it_ends_with_the_last_look_that_fibrillated(bed):
    bed.looks(*[YES] * 5, NO, NO, NO)
    assert bed.told()[-1] == (7.0, 17.0, 15.0)


def test_asystole_ends_it(bed):
    bed.looks(*[SURELY] * 5, -math.inf, -math.inf)
    assert bed.told()[-1] == (7.0, 17.0, 15.0)


@pytest.mark.parametrize("between", [(NO, NO), (NO, 0.0)], ids=["calm", "doubtful"])
def test_a_second_event_does_not_begin_before_the_first_is_over(bed, between):
    bed.looks(*[YES] * 5, *between, YES, YES, YES)
    (_, _, end), (onset, _, _) = bed.told()[-2:]
    assert onset == end


def test_a_lost_signal_proves_no_recovery(bed):
    bed.looks(YES, YES, YES)
    bed.rule.push_gap(Gap(sample(bed.now_s), sample(20)))
    bed.looks(*[None] * 20, lethal_usable=False)
    assert bed.rule.is_open
    assert len(bed.events) == 1


def test_leads_that_are_off_do_not_fibrillate(bed):
    bed.looks(*[YES] * 20, lethal_usable=False)
    assert bed.told() == []


def test_looks_that_reach_back_to_where_the_leads_were_off_are_not_used(bed):
    bed.looks(YES, lethal_usable=False)
    bed.looks(YES, YES, YES, YES, YES)  # the fourth is the first that does not reach back
    assert bed.told() == []
    bed.looks(YES)
    assert bed.told() == [(11.0, 17.0, None)]


def test_the_session_s_end_ends_it(bed):
    bed.looks(YES, YES, YES)
    assert [event.end for event in bed.rule.finish(sample(13))] == [sample(13)]
