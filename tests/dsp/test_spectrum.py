from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from gateway.dsp.spectrum import fft_magnitude, figures, welch_psd
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


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("mains_hz", [50, 60])
def test_the_figures_of_a_known_mixture(rate, mains_hz):
    time_s = np.arange(8 * rate) / rate
    parts = ((80.0, 5.0), (20.0, mains_hz), (50.0, 0.25))
    mixture = sum(rms * np.sqrt(2) * np.sin(2 * np.pi * hz * time_s) for rms, hz in parts)
    found = figures(welch_psd(mixture, rate))
    assert (found.peak_hz, found.mains_hz) == (5.0, mains_hz)
    assert found.mains_uv == pytest.approx(20.0, rel=0.02)
    assert found.baseline_uv == pytest.approx(50.0, rel=0.2)  # 2 s see a wave of 4 s badly


def test_a_stretch_shorter_than_a_segment_is_refused():
    with pytest.raises(ValueError, match="needs 500 samples"):
        welch_psd(np.zeros(499), 250)
