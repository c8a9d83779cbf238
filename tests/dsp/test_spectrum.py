from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from gateway.dsp.spectrum import fft_magnitude, welch_psd
from gateway.messages import LEGAL_SAMPLE_RATES_HZ
from tests.dsp.synthetic import ecg


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_the_density_is_scipys(rate):
    stretch = ecg(rate, 8.0, np.arange(0.5, 8.0, 0.8), noise_uv=40.0) + 300.0
    frequency_hz, power = signal.welch(
        stretch - stretch.mean(), rate, "hann", nperseg=2 * rate, detrend=False
    )
    spectrum = welch_psd(stretch, rate)
    np.testing.assert_allclose(spectrum.frequency_hz, frequency_hz)
    np.testing.assert_allclose(spectrum.power, power, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_tone_shows_at_its_place_with_its_power_and_amplitude(rate):
    time_s = np.arange(8 * rate) / rate
    tone = 200.0 * np.sin(2 * np.pi * 50.0 * time_s)
    spectrum = welch_psd(tone, rate)
    assert spectrum.peak_frequency_hz == 50.0
    assert spectrum.mains_power(50.0) == pytest.approx(200.0**2 / 2, rel=0.01)
    assert spectrum.baseline_power < 1.0
    frequency_hz, amplitude_uv = fft_magnitude(tone, rate)
    assert frequency_hz[amplitude_uv.argmax()] == 50.0
    assert amplitude_uv.max() == pytest.approx(200.0, rel=0.001)


def test_breathing_is_baseline():
    time_s = np.arange(8 * 250) / 250
    assert welch_psd(300.0 * np.sin(2 * np.pi * 0.25 * time_s), 250).baseline_power > 30000.0


def test_a_stretch_shorter_than_a_segment_is_refused():
    with pytest.raises(ValueError, match="needs 500 samples"):
        welch_psd(np.zeros(499), 250)
