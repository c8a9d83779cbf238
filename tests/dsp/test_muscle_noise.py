from __future__ import annotations

import numpy as np
import pytest

from gateway.dsp.muscle_noise import MuscleNoise
from gateway.messages import LEGAL_SAMPLE_RATES_HZ
from tests.dsp.synthetic import ecg


def rms_uv(signal_uv: np.ndarray, rate: int, at_s: float = 5.0) -> float:
    muscle = MuscleNoise(rate, start=0)
    muscle.push(signal_uv)
    return muscle.rms_uv(round(at_s * rate))


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_tone_counts_where_a_qrs_and_mains_have_little(rate):
    time_s = np.arange(10 * rate) / rate
    tones = {hz: rms_uv(1000.0 * np.sin(2 * np.pi * hz * time_s), rate) for hz in (10, 29, 50, 60)}
    assert tones[29] > 600.0
    assert max(tones[10], tones[50], tones[60]) < 30.0


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_noise_counts_and_the_heart_and_the_offset_do_not(rate):
    beats_s = np.arange(0.5, 10.0, 0.8)
    clean = rms_uv(ecg(rate, 10.0, beats_s, noise_uv=0.0) + 50_000.0, rate, at_s=5.3)
    noisy = rms_uv(ecg(rate, 10.0, beats_s, noise_uv=100.0), rate, at_s=5.3)
    assert clean < 4.0
    assert noisy > 15.0


def test_what_has_been_forgotten_was_not_needed():
    signal = ecg(250, 10.0, np.arange(0.5, 10.0, 0.8), noise_uv=100.0)
    whole, pieces = MuscleNoise(250, start=30), MuscleNoise(250, start=30)
    whole.push(signal)
    for start in range(0, signal.size, 100):
        pieces.push(signal[start : start + 100])
        at = 30 + start
        assert at < 150 or pieces.rms_uv(at) == pytest.approx(whole.rms_uv(at), abs=0.0)
        pieces.forget(at + 50)
