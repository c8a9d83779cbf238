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
MIN_ALIKE = 5  # two beats of either kind in bigeminy, and one more
QUIET_UV2 = 400.0  # QRS-band power of 20 µV RMS: below it there is nothing to compare with
QRS_REACH_S = 0.120  # a wide QRS to each side of R
SLOWEST_BPM, FASTEST_BPM = 20.0, 300.0


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
    return fall(_ratio(high, spectrum), clean=0.2, hopeless=0.8)


def baseline(spectrum: PowerSpectrum) -> float:
    """Power of the wandering baseline against QRS power."""
    return fall(_ratio(spectrum.baseline_power, spectrum), clean=10.0, hopeless=60.0)


def _ratio(power: float, spectrum: PowerSpectrum) -> float:
    return power / max(spectrum.power_between(*QRS_BAND_HZ), QUIET_UV2)


def calm_between(filtered_uv: NDArray[np.float64], peaks: list[int], sample_rate_hz: int) -> float:
    """How steep the signal is between the beats (RMS) against within them.

    `peaks` are indices into `filtered_uv` and may lie before it; what comes before the first is
    not judged. The best single predictor of a wrong rate on noise mixtures: what rivals a QRS
    in slope is taken for one.
    """
    if not peaks:
        return 1.0
    reach = round(QRS_REACH_S * sample_rate_hz)
    known_from = max(0, peaks[0] - reach)
    steps = np.diff(filtered_uv[known_from:]) ** 2
    within = np.zeros(steps.size, dtype=bool)
    for peak in peaks:
        start = peak - reach - known_from
        within[max(0, start) : max(0, start + 2 * reach)] = True
    if not within.any() or within.all():
        return 1.0
    ratio = float(np.sqrt(steps[~within].mean() / max(steps[within].mean(), 1e-9)))
    return fall(ratio, clean=0.20, hopeless=0.58)


def rate(intervals_s: NDArray[np.float64]) -> float:
    """Whether a heart can beat so."""
    if intervals_s.size == 0:
        return 1.0
    bpm = 60.0 / float(np.median(intervals_s))
    return 1.0 if SLOWEST_BPM <= bpm <= FASTEST_BPM else 0.0


def likeness(beats: list[NDArray[np.float64]]) -> float:
    """Mean over `beats` of the correlation with the beat most like it among the others.

    The nearest beat rather than one template, so that bigeminy is not taken for noise; the reason
    is given below 0.69 (Orphanidou 2015: 0.66 against the template, which is less alike).
    """
    if len(beats) < MIN_ALIKE:
        return 1.0
    shapes = np.array(beats)
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    norms = np.sqrt((shapes**2).sum(axis=1, keepdims=True))
    shapes = shapes / np.maximum(norms, 1e-9)
    correlation = shapes @ shapes.T
    np.fill_diagonal(correlation, -1.0)
    return fall(float(correlation.max(axis=1).mean()), clean=0.92, hopeless=0.46)
