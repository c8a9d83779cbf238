from __future__ import annotations

import pytest

from gateway.rhythm.intervals import MissedBeat, Pause
from tests.rhythm.strip import RATE, Strip


def pause() -> Strip:
    return Strip(Pause(RATE, pause_s=3.0, asystole_s=4.0)).beats("NNN", bpm=60)


@pytest.mark.parametrize(("rr_s", "found"), [(2.99, 0), (3.0, 1), (3.99, 1), (4.0, 0)])
def test_a_pause_is_3_s_long_and_no_asystole(rr_s, found):
    assert len(pause().beat("N", rr_s).begun) == found


def test_a_pause_lies_between_its_beats():
    begun, ended = pause().beat("N", 3.2).events
    assert (begun.onset, ended.end) == begun.evidence


def test_a_gap_is_no_pause():
    assert pause().beat("N", 3.5, broken=True).events == []


def test_noise_is_no_pause():
    strip = pause().unusable(1)
    assert strip.beat("N", 3.5).events == []
    assert len(strip.beats("NN", bpm=60).beat("N", 3.5).begun) == 1


def missed(letters: str = "N" * 10) -> Strip:
    return Strip(MissedBeat(RATE, pause_s=3.0)).beats(letters, bpm=75)


@pytest.mark.parametrize(("rr_s", "found"), [(1.38, 0), (1.41, 1), (2.99, 1), (3.0, 0)])
def test_a_beat_is_missed_after_1_75_of_the_usual_interval(rr_s, found):
    assert len(missed().beat("N", rr_s).begun) == found


def test_the_pause_behind_a_premature_beat_misses_none():
    strip = missed().beat("V", 0.5)
    assert strip.beat("N", 1.6).events == []


@pytest.mark.parametrize("letters", ["NNNNNNNN", "NNNNNN|NNN"])
def test_the_usual_interval_takes_eight(letters):
    assert missed(letters).beat("N", 1.6).events == []


def test_where_no_interval_is_like_the_next_none_is_missed():
    strip = missed("NN")
    for rr_s in (0.7, 1.0, 0.8, 1.1, 0.7, 0.9, 1.0, 0.75):
        strip.beat("N", rr_s)
    assert strip.beat("N", 1.9).events == []
