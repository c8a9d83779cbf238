from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dsp.fibrillation import WINDOW_S, FibrillationMeter, log_odds
from gateway.dsp.filters import BandPass
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, Gap, SampleIndex
from tests.dsp.synthetic import block, cut_up, ecg, fibrillation

RATE = 250
LOOK_AFTER_S = 0.3


def looks(*items, after_s: float = LOOK_AFTER_S) -> list[float | None]:
    """Log-odds at each whole second, asked when `after_s` more of signal has come."""
    rate = next(item.sample_rate_hz for item in items if not isinstance(item, Gap))
    band_pass, meter = BandPass(rate), FibrillationMeter(rate)
    found: list[float | None] = []
    edges = [k * rate + round(after_s * rate) for k in range(1, items[-1].end // rate + 1)]
    for item in items:
        cuts = [edge - item.start for edge in edges if edge > item.start]
        for piece in cut_up(item, cuts):
            if isinstance(piece, Gap):
                band_pass.reset()
            meter.push(piece if isinstance(piece, Gap) else band_pass.push(piece))
            if piece.end in edges:
                found.append(meter.log_odds(SampleIndex(piece.end - round(after_s * rate))))
    return found


def settled(found: list[float | None]) -> list[float]:
    return [odds for odds in found[round(WINDOW_S) :] if odds is not None]


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("gain", [-0.3, 1.0, 10.0])
def test_fibrillation_is_told_at_every_rate_gain_and_polarity(rate, gain):
    found = settled(looks(block(gain * fibrillation(rate, 15.0), rate)))
    assert len(found) >= 10
    assert min(found) > 1.0


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("bpm", [40, 75, 140, 200])
def test_a_beating_heart_is_not_fibrillation(rate, bpm):
    signal = ecg(rate, 20.0, np.arange(0.3, 20.0, 60.0 / bpm), noise_uv=15.0)
    assert max(settled(looks(block(signal, rate)))) < -1.0


def test_gain_and_polarity_change_nothing():
    signal = fibrillation(RATE, 4.0)
    assert log_odds(signal, RATE) == pytest.approx(log_odds(-7.0 * signal, RATE))


def test_what_is_too_small_is_asystole():
    assert log_odds(fibrillation(RATE, 4.0, peak_uv=40.0), RATE) == -math.inf
    assert math.isfinite(log_odds(fibrillation(RATE, 4.0, peak_uv=200.0), RATE))


@pytest.mark.parametrize("noise_hz", [(0.0, 1.5), (15.0, 40.0)], ids=["motion", "muscle"])
def test_noise_over_a_beating_heart_is_not_fibrillation(noise_hz):
    time_s = np.arange(20 * RATE) / RATE
    spectrum = np.fft.rfft(np.random.default_rng(3).normal(0.0, 1.0, time_s.size))
    frequency = np.fft.rfftfreq(time_s.size, 1.0 / RATE)
    spectrum[(frequency < noise_hz[0]) | (frequency > noise_hz[1])] = 0.0
    noise = np.fft.irfft(spectrum)
    signal = ecg(RATE, 20.0, np.arange(0.3, 20.0, 0.8)) + noise * 300.0 / noise.std()
    assert max(settled(looks(block(signal, RATE)))) < 0.0


def test_four_unbroken_seconds_are_needed():
    before, after = fibrillation(RATE, 6.0), fibrillation(RATE, 10.0)
    gap = Gap(SampleIndex(6 * RATE), RATE // 2)
    found = looks(block(before, RATE), gap, block(after, RATE, gap.end), after_s=0.0)
    is_known = [odds is not None for odds in found]
    assert is_known == [k in (4, 5, 6) or k >= 11 for k in range(1, len(found) + 1)]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 12 * RATE), max_size=12))
def test_cutting_the_signal_changes_no_bit(cuts):
    signal = fibrillation(RATE, 12.0)
    whole = looks(block(signal, RATE))
    assert looks(*cut_up(block(signal, RATE), cuts)) == whole


def test_the_history_is_bounded():
    meter = FibrillationMeter(RATE)
    for start in range(0, 60 * RATE, RATE):
        meter.push(block(np.ones(RATE), RATE, start))
    assert meter.log_odds(SampleIndex(50 * RATE)) is None
