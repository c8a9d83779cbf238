from __future__ import annotations

import pytest

from gateway.dsp.rr_intervals import RRSeries
from gateway.messages import Gap, RPeak

RATE = 250


def beats(series: RRSeries, *seconds: float) -> list[float | None]:
    return [series.push_peak(RPeak(round(s * RATE), 1000.0)) for s in seconds]


def test_each_interval_ends_at_its_beat():
    assert beats(RRSeries(RATE), 1.0, 1.8, 2.8) == [None, 800.0, 1000.0]


def test_no_interval_spans_a_gap():
    series = RRSeries(RATE)
    beats(series, 1.0, 2.0)
    series.push_gap(Gap(600, 100))
    assert beats(series, 4.0, 5.0) == [None, 1000.0]


def test_no_interval_reaches_into_what_no_electrode_saw():
    series = RRSeries(RATE)
    beats(series, 1.0, 2.0)
    series.push_unseen(600, 700)
    series.push_unseen(700, 900)
    assert beats(series, 2.3, 3.0, 4.0, 5.0) == [pytest.approx(300.0), None, None, 1000.0]


def test_the_rate_is_that_of_eight_intervals():
    series = RRSeries(RATE)
    beats(series, *range(1, 8), *(7 + 0.5 * k for k in range(1, 9)))
    assert series.heart_rate_bpm(11 * RATE) == pytest.approx(120.0)


def test_a_rate_needs_four_intervals_since_the_gap():
    series = RRSeries(RATE)
    assert series.heart_rate_bpm(0) is None
    beats(series, 1.0, 2.0, 3.0, 4.0)
    assert series.heart_rate_bpm(4 * RATE) is None
    beats(series, 5.0)
    assert series.heart_rate_bpm(5 * RATE) == pytest.approx(60.0)
    series.push_gap(Gap(round(5.2 * RATE), 10))
    assert series.heart_rate_bpm(6 * RATE) is None


def test_a_first_rate_needs_more_intervals_where_they_are_uneven():
    series = RRSeries(RATE)
    known = []
    at_s = 1.0
    for interval_s in (0.0, 0.6, 0.9, 0.6, 0.9, 0.6, 0.9, 0.6, 0.9):
        at_s += interval_s
        beats(series, at_s)
        known.append(series.heart_rate_bpm(round(at_s * RATE)) is not None)
    assert known == [False] * 7 + [True] * 2


def test_beats_that_come_later_do_not_change_an_earlier_answer():
    series = RRSeries(RATE)
    beats(series, 1.0, 2.0, 3.0, 4.0, 5.0)
    before = series.heart_rate_bpm(5 * RATE)
    beats(series, 5.3, 5.6)
    series.push_gap(Gap(6 * RATE, 10))
    assert before is not None
    assert series.heart_rate_bpm(5 * RATE) == before


@pytest.mark.parametrize(
    ("interval_s", "silence_s", "known"),
    [(1.0, 3.0, True), (1.0, 3.1, False), (2.0, 4.0, True), (2.0, 4.1, False)],
)
def test_silence_ends_the_rate(interval_s, silence_s, known):
    series = RRSeries(RATE)
    beats(series, *(interval_s * k for k in range(5)))
    at = round((4 * interval_s + silence_s) * RATE)
    assert (series.heart_rate_bpm(at) is not None) == known
