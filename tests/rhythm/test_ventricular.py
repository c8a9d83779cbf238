from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rhythm.ventricular import (
    Couplet,
    IdioventricularRhythm,
    VentricularRun,
    VentricularTachycardia,
)
from tests.rhythm.strip import RATE, Strip


def tachycardia() -> Strip:
    return Strip(VentricularTachycardia(RATE)).beats("NNN", bpm=80)


def test_five_fast_ventricular_beats_are_a_tachycardia():
    strip = tachycardia().beats("VVVV", bpm=150)
    assert strip.events == []
    strip.beats("V", bpm=150)
    (event,) = strip.events
    first_v_s = 1.0 + 3 * 0.75 + 0.4
    assert event.onset / RATE == pytest.approx(first_v_s, abs=0.01)
    assert len(event.evidence) == 5
    assert event.evidence[0] == event.onset
    assert event.confidence == pytest.approx(0.9)


def test_it_is_decided_with_its_fifth_label():
    strip = tachycardia().beats("VVVVV", bpm=150)
    (event,) = strip.events
    assert event.decided - event.evidence[-1] <= RATE
    assert event.decided - event.onset <= 10 * RATE


@pytest.mark.parametrize(("bpm", "found"), [(100.0, 0), (101.0, 1)])
def test_it_is_faster_than_100(bpm, found):
    assert len(tachycardia().beats("VVVVVVVV", bpm=bpm).events) == found


@pytest.mark.parametrize("letter", ["N", "S", "F", "Q"])
def test_a_beat_that_is_known_to_be_no_ventricular_one_breaks_the_run(letter):
    assert tachycardia().beats(f"VVVV{letter}VVVV", bpm=150).events == []


def test_a_gap_breaks_the_run():
    assert tachycardia().beats("VVV|VVVV", bpm=150).events == []


def test_beats_without_a_label_make_none():
    assert tachycardia().beats("VVVV????", bpm=150).events == []
    assert tachycardia().beats("??????????", bpm=150).events == []


def test_beats_without_a_label_do_not_hide_one():
    strip = tachycardia().beats("VV??VVV", bpm=150)
    (event,) = strip.events
    assert len(event.evidence) == 7
    assert event.confidence == pytest.approx((5 * 0.9 + 2 * 0.5) / 7)


def test_a_run_of_which_nothing_is_known_for_4_s_is_over():
    assert tachycardia().beats("VVV" + "?" * 10 + "VV", bpm=150).events == []
    assert len(tachycardia().beats("VVV" + "?" * 8 + "VV", bpm=150).events) == 1


def test_one_beat_taken_for_normal_does_not_end_it():
    strip = tachycardia().beats("VVVVVVNVVVNNVV", bpm=150)
    assert len(strip.events) == 1


def test_three_other_beats_end_it_at_the_first():
    strip = tachycardia().beats("VVVVVV", bpm=150)
    strip.beats("NN", bpm=80)
    assert len(strip.events) == 1
    first_s = strip.at_s - 0.75
    strip.beats("N", bpm=80)
    assert strip.events[1].end / RATE == pytest.approx(first_s, abs=0.01)


def test_slow_ventricular_beats_end_it():
    strip = tachycardia().beats("VVVVVV", bpm=150).beats("VVV", bpm=60)
    assert strip.events[1].end is not None


@pytest.mark.parametrize("lost", ["????????????????", "|?????|??|???"])
def test_a_lost_signal_proves_no_recovery(lost):
    assert len(tachycardia().beats("VVVVV" + lost, bpm=150).events) == 1


def test_a_second_tachycardia_is_told_again():
    strip = tachycardia().beats("VVVVV", bpm=150).beats("NNNN", bpm=80).beats("VVVVV", bpm=150)
    assert len(strip.begun) == 2


def test_it_asks_again_while_a_run_grows():
    strip = tachycardia().beats("V", bpm=150)
    assert strip.rule.deadline is None
    strip.beats("V", bpm=150)
    assert strip.rule.deadline is not None
    strip.beats("VVV", bpm=150)
    assert strip.rule.deadline is None


@given(st.text(alphabet="NV?", max_size=40))
def test_no_run_of_fewer_than_five_is_one(letters):
    longest = max(part.count("V") for part in letters.split("N"))
    found = tachycardia().beats(letters, bpm=240).begun
    assert bool(found) == (longest >= 5) or "????????????????" in letters


def test_a_couplet_is_told_when_it_is_over():
    strip = Strip(Couplet(RATE)).beats("NNVV")
    assert strip.events == []
    strip.beats("N")
    begun, ended = strip.events
    assert (begun.end, ended.end) == (None, begun.evidence[1])
    assert begun.onset == begun.evidence[0]


@pytest.mark.parametrize("letters", ["NVN", "NVVVN", "NV?VN", "NV|VN", "NVV"])
def test_these_are_no_couplets(letters):
    assert Strip(Couplet(RATE)).beats(letters).events == []


@pytest.mark.parametrize(
    ("letters", "found"), [("NVVN", 0), ("NVVVN", 1), ("NVVVVN", 1), ("NVVVVVN", 0), ("NVV?VN", 0)]
)
def test_three_or_four_fast_ones_are_a_run(letters, found):
    assert len(Strip(VentricularRun(RATE)).beats(letters).begun) == found


def test_three_slow_ones_are_no_fast_run():
    assert Strip(VentricularRun(RATE)).beats("NVVVN", bpm=90).events == []


def test_a_gap_ends_a_run_and_it_is_told():
    assert len(Strip(VentricularRun(RATE)).beats("NVVV|N").begun) == 1


def test_three_slow_ones_begin_an_idioventricular_rhythm_that_ends_with_the_run():
    strip = Strip(IdioventricularRhythm(RATE)).beats("NVV", bpm=75)
    assert strip.events == []
    strip.beats("V", bpm=75)
    assert [event.end for event in strip.events] == [None]
    strip.beats("VVV", bpm=75)
    last_v_s = strip.at_s
    strip.beats("N", bpm=75)
    assert strip.told[1][1] == pytest.approx(last_v_s, abs=0.01)


def test_fast_ones_are_no_idioventricular_rhythm():
    assert Strip(IdioventricularRhythm(RATE)).beats("NVVVVVVN", bpm=110).events == []
