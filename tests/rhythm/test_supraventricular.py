from __future__ import annotations

import numpy as np
import pytest

from gateway.rhythm.supraventricular import (
    AtrialFibrillation,
    SupraventricularTachycardia,
    coefficient_of_sample_entropy,
)
from tests.rhythm.strip import RATE, Strip


def svt() -> Strip:
    return Strip(SupraventricularTachycardia(RATE)).beats("NNN", bpm=80)


def test_five_fast_supraventricular_beats_are_a_tachycardia():
    strip = svt().beats("SSSS", bpm=150)
    assert strip.events == []
    (event,) = strip.beats("S", bpm=150).events
    assert len(event.evidence) == 5
    assert event.confidence == pytest.approx(0.9)


@pytest.mark.parametrize("letters", ["SSSSNSSSS", "SSSS?SSSS", "SSSS|SSSS", "SSVSSVSS"])
def test_these_are_none(letters):
    assert svt().beats(letters, bpm=150).events == []


def test_slow_ones_are_none():
    assert svt().beats("SSSSSSS", bpm=95).events == []


def test_it_ends_with_a_normal_beat_and_not_with_an_unknown_one():
    strip = svt().beats("SSSSSS??|?", bpm=150)
    assert len(strip.events) == 1
    assert len(strip.beats("N", bpm=150).events) == 2


def irregular(strip: Strip, beats: int, letters: str = "N", seed: int = 1) -> Strip:
    """Intervals that have nothing to do with one another, as in fibrillation."""
    rng = np.random.default_rng(seed)
    for place in range(beats):
        strip.beat(letters[place % len(letters)], float(rng.uniform(0.45, 1.1)))
    return strip


def fibrillation() -> Strip:
    return Strip(AtrialFibrillation(RATE))


def test_irregular_intervals_are_fibrillation_after_60_of_them():
    strip = irregular(fibrillation(), 59)
    assert strip.events == []
    (event,) = irregular(strip, 8).events
    assert event.evidence[0] > event.onset
    assert event.confidence > 0.75


def test_a_regular_rhythm_ends_it():
    strip = irregular(fibrillation(), 80).beats("N" * 80, bpm=75)
    assert len(strip.events) == 2


@pytest.mark.parametrize("letters", ["N" * 200, "NV" * 100, "NNV" * 100, "NNNS" * 60])
def test_these_are_no_fibrillation(letters):
    strip = fibrillation()
    for letter in letters:
        strip.beat(letter, 0.5 if letter in "VS" else 0.85)
    assert strip.events == []


def test_a_heart_that_breathes_is_none():
    strip = fibrillation()
    for beat in range(200):
        strip.beat("N", 0.85 + 0.12 * np.sin(2 * np.pi * beat / 5.0))
    assert strip.events == []


def test_beats_without_a_label_say_nothing():
    assert irregular(fibrillation(), 200, "?").events == []
    assert irregular(fibrillation(), 200, "N?").events == []


def test_it_is_not_claimed_over_30_s_of_which_nothing_is_known():
    strip = irregular(fibrillation(), 80)
    last_s = strip.at_s
    irregular(strip, 60, "?")
    strip.beats("NNN", bpm=75)
    assert strip.told[1][1] == pytest.approx(last_s, abs=0.01)


def test_entropy_of_equal_intervals_is_the_densitys_alone():
    entropy = coefficient_of_sample_entropy(np.full(60, 0.8))
    assert entropy == pytest.approx(np.log(0.06) - np.log(0.8))
