"""What is wrong with a stretch of signal: one pure function for each reason.

Each returns a score: 1 is clean, 0 hopeless, and below 0.5 its reason is given.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.spectrum import MAINS_HZ, PowerSpectrum

FLAT_UV = 50.0  # peak to peak; the smallest QRS that a monitor must show is ten times that
CLIPPED_S = 0.040  # no QRS rests on one value for 40 ms
CLIPPED_FROM_UV = 500.0  # ... and a rail lies far from the middle
QRS_BAND_HZ = (5.0, 20.0)  # where a QRS has its power (Thakor 1984)
MUSCLE_FROM_HZ = 35.0
QUIET_UV2 = 400.0  # QRS-band power of 20 µV RMS: below it there is nothing to compare with
SLOWEST_BPM = 20.0
REFRACTORY_S = 0.240  # 250 bpm: what is shorter is hardly between two beats of ventricles
TOO_SHORT = 2  # such intervals, of the last eight; one may be an odd beat that noise adds


def fall(measure: float, clean: float, hopeless: float) -> float:
    """1 at `clean` and beyond, 0 at `hopeless` and beyond, a line between."""
    return min(1.0, max(0.0, (measure - hopeless) / (clean - hopeless)))


def flatness(filtered_uv: NDArray[np.float64]) -> float:
    return 0.0 if np.ptp(filtered_uv) < FLAT_UV else 1.0


def clipping(raw_uv: NDArray[np.float64], sample_rate_hz: int) -> float:
    """Whether the signal rests on its highest or lowest value, as on a rail."""
    middle = float(np.median(raw_uv))
    longest = 0
    for rail in (raw_uv.max(), raw_uv.min()):
        if abs(rail - middle) >= CLIPPED_FROM_UV:
            longest = max(longest, _longest_run(raw_uv == rail))
    return 0.0 if longest >= CLIPPED_S * sample_rate_hz else 1.0


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def mains(spectrum: PowerSpectrum) -> float:
    """Mains against QRS power: the band-pass takes half of it, the detector nearly all."""
    tone = max(spectrum.mains_power(frequency) for frequency in MAINS_HZ)
    return fall(_ratio(tone, spectrum), clean=0.5, hopeless=4.0)


def muscle(spectrum: PowerSpectrum) -> float:
    """Power above the QRS band, mains left out, against QRS power."""
    high = spectrum.power_between(MUSCLE_FROM_HZ, np.inf)
    high -= sum(spectrum.mains_power(frequency) for frequency in MAINS_HZ)
    return fall(_ratio(high, spectrum), clean=0.1, hopeless=0.7)


def baseline(spectrum: PowerSpectrum) -> float:
    """Power of the wandering baseline against QRS power."""
    return fall(_ratio(spectrum.baseline_power, spectrum), clean=8.0, hopeless=52.0)


def _ratio(power: float, spectrum: PowerSpectrum) -> float:
    return power / max(spectrum.power_between(*QRS_BAND_HZ), QUIET_UV2)


def rate(intervals_s: NDArray[np.float64]) -> float:
    """Whether a heart can beat so.

    A T wave or a pacemaker's spike that is counted beside each QRS makes every other interval
    shorter than a ventricle takes to be ready again.
    """
    if intervals_s.size == 0:
        return 1.0
    bpm = 60.0 / float(np.median(intervals_s))
    too_short = np.count_nonzero(intervals_s < REFRACTORY_S)
    return 1.0 if bpm >= SLOWEST_BPM and too_short < TOO_SHORT else 0.0
