"""How much muscle noise lies around a sample: the power just above the QRS band.

Muscle noise is broad, so 25–38 Hz tells how much of it lies among the QRS energy; a QRS has little
there, and mains at 50 or 60 Hz nothing. In whole numbers, so any chunking gives the same bits.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

LOWEST_HZ, HIGHEST_HZ = 25.0, 38.0
KERNEL_REACH_S = 0.060  # to each side; passes under 2 % of 50 Hz and 5 % of 15 Hz
KERNEL_STEPS = 1 << 14  # resolution of the kernel, kept whole
NORMAL_MEDIAN = 0.6745  # of the magnitude of normal noise of unit RMS
BEFORE_S, AFTER_S = 0.400, 0.190  # what is looked at; the latter is known when a maximum is


@cache
def _kernel(sample_rate_hz: int) -> NDArray[np.int64]:
    """The band-pass, a Hamming-windowed sinc, in `KERNEL_STEPS`; no offset passes."""
    reach = round(KERNEL_REACH_S * sample_rate_hz)
    at = np.arange(-reach, reach + 1)
    low, high = 2.0 * LOWEST_HZ / sample_rate_hz, 2.0 * HIGHEST_HZ / sample_rate_hz
    kernel = (high * np.sinc(high * at) - low * np.sinc(low * at)) * np.hamming(at.size)
    whole: NDArray[np.int64] = np.rint(kernel * KERNEL_STEPS).astype(np.int64)
    whole[reach] -= whole.sum()
    return whole


class MuscleNoise:
    """The muscle noise of one unbroken run that starts at sample `start`."""

    def __init__(self, sample_rate_hz: int, start: int) -> None:
        self._kernel = _kernel(sample_rate_hz)
        self._before = round(BEFORE_S * sample_rate_hz)
        self._after = round(AFTER_S * sample_rate_hz)
        self._first = start
        self._whole_uv = np.zeros(0, dtype=np.int64)

    def push(self, amplitude_uv: NDArray[np.float64]) -> None:
        whole_uv = np.rint(amplitude_uv).astype(np.int64)
        self._whole_uv = np.concatenate((self._whole_uv, whole_uv))

    def rms_uv(self, sample: int) -> float:
        """Around `sample`, in the part of −0.4 to 0.19 s that lies in the run."""
        first = max(0, sample - self._before - self._first)
        around = self._whole_uv[first : sample + self._after + 1 - self._first]
        if around.size < self._kernel.size:
            return 0.0
        noise = np.abs(np.correlate(around, self._kernel))
        middle = noise.size // 2
        return int(np.partition(noise, middle)[middle]) / (KERNEL_STEPS * NORMAL_MEDIAN)

    def forget(self, before: int) -> None:
        """Drop what nothing from sample `before` on looks back on."""
        cut = max(0, before - self._before - self._first)
        self._whole_uv = self._whole_uv[cut:]
        self._first += cut
