"""Power of QRS complexes and of noise, as the noise stress test measures them (nst, Moody 1984)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

QRS_REACH_S = 0.050  # the QRS is measured peak to peak within 50 ms of R …
QRS_BEATS = 300  # … in the first 300 beats
TRIM = 0.05  # … without the extreme twentieths, of beats as of seconds of noise


def qrs_power(
    amplitude_uv: NDArray[np.float64], r_samples: NDArray[np.int64], rate_hz: int
) -> float:
    """Mean square of a sine as high as the QRS: peak to peak squared over eight, µV²."""
    reach = round(QRS_REACH_S * rate_hz)
    whole = r_samples[(r_samples >= reach) & (r_samples + reach <= amplitude_uv.size)]
    heights = [np.ptp(amplitude_uv[r - reach : r + reach]) for r in whole[:QRS_BEATS]]
    return _trimmed_mean(np.array(heights)) ** 2 / 8.0


def noise_power(noise_uv: NDArray[np.float64], rate_hz: int) -> float:
    """Mean square over seconds, each about its own mean, µV²."""
    seconds = noise_uv[: noise_uv.size // rate_hz * rate_hz].reshape(-1, rate_hz)
    return _trimmed_mean(seconds.std(axis=1)) ** 2


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    trim = round(TRIM * values.size)
    return float(np.sort(values)[trim : values.size - trim].mean())
