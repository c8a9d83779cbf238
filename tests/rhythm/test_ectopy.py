from __future__ import annotations

import pytest

from gateway.messages import RhythmKind
from gateway.rhythm.ectopy import AbnormalBeat, FrequentVentricularBeats, Periodic
from tests.rhythm.strip import RATE, Strip


def bigeminy() -> Strip:
    return Strip(Periodic(RhythmKind.BIGEMINY, RATE, period=2))


def trigeminy() -> Strip:
    return Strip(Periodic(RhythmKind.TRIGEMINY, RATE, period=3))


def test_three_cycles_are_bigeminy():
    strip = bigeminy().beats("NNVNVN")
    assert strip.events == []
    (event,) = strip.beats("V").events
    assert len(event.evidence) == 6
    assert event.confidence == pytest.approx(0.9)


def test_bigeminy_ends_with_its_last_beat_in_step():
    strip = bigeminy().beats("NVNVNVNV")
    last_s = strip.at_s
    strip.beats("V")
    assert strip.told[-1][1] == pytest.approx(last_s, abs=0.01)
    assert not strip.rule.is_open


@pytest.mark.parametrize(
    "letters", ["NVNV?VNV", "NVNV|NVN", "NNVNNVNNVNNV", "NVNVVNVN", "VVVVVVVV"]
)
def test_these_are_no_bigeminy(letters):
    assert bigeminy().beats(letters).events == []


@pytest.mark.parametrize("unknown", ["?", "|N"])
def test_bigeminy_ends_where_it_is_no_longer_known(unknown):
    strip = bigeminy().beats("NVNVNV")
    last_s = strip.at_s
    strip.beats(unknown)
    assert strip.told[-1][1] == pytest.approx(last_s, abs=0.01)


@pytest.mark.parametrize(
    ("letters", "found"), [("NNVNNVNN", 0), ("NNVNNVNNV", 1), ("NVNVNVNVN", 0)]
)
def test_three_cycles_are_trigeminy(letters, found):
    assert len(trigeminy().beats(letters).begun) == found


def frequent() -> Strip:
    return Strip(FrequentVentricularBeats(RATE, 10.0))


def test_ten_ventricular_beats_in_a_minute_are_frequent():
    strip = frequent().beats("NNNNV" * 9 + "NNN", bpm=60)
    assert strip.events == []
    (event,) = strip.beats("NV", bpm=60).events
    assert len(event.evidence) == 10


def test_ten_in_more_than_a_minute_are_not():
    assert frequent().beats("NNNNNNV" * 20, bpm=60).events == []


def test_they_are_frequent_until_half_as_many_are_left():
    strip = frequent().beats("NNNNV" * 10, bpm=60).beats("N" * 30, bpm=60)
    assert len(strip.events) == 1
    strip.beats("N" * 30, bpm=60)
    assert len(strip.events) == 2


def test_noise_is_no_end_of_them_before_30_s():
    strip = frequent().beats("NNNNV" * 10, bpm=60).unusable(29)
    assert len(strip.events) == 1
    strip.unusable(2)
    assert len(strip.events) == 2


def test_every_abnormal_beat_is_told_with_its_probability():
    strip = Strip(AbnormalBeat(RATE), p_abnormal=0.5).beats("NVS?N")
    assert [event.confidence for event in strip.begun] == [0.5, 0.5]
    assert all(event.evidence == (event.onset,) for event in strip.begun)
    assert Strip(AbnormalBeat(RATE), p_abnormal=0.49).beats("VVVV").events == []
