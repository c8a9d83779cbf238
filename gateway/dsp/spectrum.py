"""Spectra of a stretch of signal: power density to measure with, magnitude to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

WELCH_S = 8.0  # the stretch that callers take: ten beats at 75 bpm
SEGMENT_S = 2.0  # 0.5 Hz resolution, seven segments in 8 s
MAINS_HZ = (50, 60)
BASELINE_HZ = 0.7  # slower than the slowest heart that is shown, 40 bpm: breathing and motion
PEAK_FROM_HZ = 1.0  # a peak below would be the baseline's
MAINS_HALF_WIDTH_HZ = 1.0  # two bins of a Hann window on each side hold a steady tone


@dataclass(frozen=True, slots=True)
class PowerSpectrum:
    """One-sided density: `power` in µV²/Hz at `frequency_hz`, both (n,)."""

    frequency_hz: NDArray[np.float64]
    power: NDArray[np.float64]

    def power_between(self, low_hz: float, high_hz: float) -> float:
        """Power in [low, high), µV²."""
        inside = (self.frequency_hz >= low_hz) & (self.frequency_hz < high_hz)
        return float(self.power[inside].sum() * self.frequency_hz[1])

    @property
    def peak_frequency_hz(self) -> float:
        """Where the density is greatest, the baseline left out."""
        above = self.frequency_hz >= PEAK_FROM_HZ
        return float(self.frequency_hz[above][self.power[above].argmax()])

    @property
    def baseline_power(self) -> float:
        """µV² below 0.7 Hz."""
        return self.power_between(0.0, BASELINE_HZ)

    @property
    def mains_hz(self) -> int:
        """Which of 50 and 60 Hz has more power."""
        return max(MAINS_HZ, key=self.mains_power)

    def mains_power(self, mains_hz: float) -> float:
        """µV² within 1 Hz of the mains frequency."""
        return self.power_between(
            mains_hz - MAINS_HALF_WIDTH_HZ, mains_hz + 1.5 * MAINS_HALF_WIDTH_HZ
        )


@dataclass(frozen=True, slots=True)
class SpectrumFigures:
    """What a spectrum says in four numbers; amplitudes are RMS."""

    peak_hz: float
    mains_hz: int
    mains_uv: float
    baseline_uv: float


def figures(spectrum: PowerSpectrum) -> SpectrumFigures:
    """Rounded as they are shown: to the 0.5 Hz of the density, and to 0.1 µV."""
    mains_hz = spectrum.mains_hz
    return SpectrumFigures(
        peak_hz=spectrum.peak_frequency_hz,
        mains_hz=mains_hz,
        mains_uv=round(math.sqrt(spectrum.mains_power(mains_hz)), 1),
        baseline_uv=round(math.sqrt(spectrum.baseline_power), 1),
    )


def welch_psd(amplitude_uv: NDArray[np.float64], sample_rate_hz: int) -> PowerSpectrum:
    """Mean of Hann-windowed periodograms that overlap by half (Welch 1967); the stretch's mean
    is taken off first. `amplitude_uv` (n,) spans at least one 2 s segment, else ValueError."""
    size = round(SEGMENT_S * sample_rate_hz)
    if amplitude_uv.size < size:
        raise ValueError(f"needs {size} samples, got {amplitude_uv.size}")
    level = amplitude_uv - amplitude_uv.mean()
    segments = np.lib.stride_tricks.sliding_window_view(level, size)[:: size // 2]
    window = _hann(size)
    periodograms = np.abs(np.fft.rfft(segments * window, axis=1)) ** 2
    density = 2.0 * periodograms.mean(axis=0) / (sample_rate_hz * (window**2).sum())
    density[0] /= 2.0
    if size % 2 == 0:
        density[-1] /= 2.0
    return PowerSpectrum(_frequencies_hz(size, sample_rate_hz), density)


def fft_magnitude(
    amplitude_uv: NDArray[np.float64], sample_rate_hz: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies in Hz and amplitudes in µV for the screen: a steady tone of A µV shows as A."""
    window = _hann(amplitude_uv.size)
    level = amplitude_uv - amplitude_uv.mean()
    magnitude = np.abs(np.fft.rfft(level * window)) * (2.0 / float(window.sum()))
    return _frequencies_hz(amplitude_uv.size, sample_rate_hz), magnitude


@cache
def _frequencies_hz(size: int, sample_rate_hz: int) -> NDArray[np.float64]:
    return np.arange(size // 2 + 1, dtype=np.float64) * (sample_rate_hz / size)


@cache
def _hann(size: int) -> NDArray[np.float64]:
    """The periodic form, which spectra want."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    return window
