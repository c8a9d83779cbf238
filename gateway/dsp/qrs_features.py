"""The QRS energy envelope that the R-peak detector looks at.

Moving averages only, on whole microvolts in int64: exact, so that any chunking gives the same
bits, and cheap in numpy. Outputs are aligned with the raw signal (zero phase), hence late by
`EnvelopeFilter.delay` samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMOOTHING_S = 0.020  # two passes: flat to 15 Hz, zero at 50 Hz
BASELINE_S = 0.100  # minus this mean leaves 7–22 Hz, where QRS energy lies (Elgendi 2013: 8–20 Hz)
ENVELOPE_S = 0.090  # about one QRS (Elgendi 2013: 97 ms)
STEPS_PER_UV = 8  # resolution of the squared band, kept whole


def _odd_samples(seconds: float, sample_rate_hz: int) -> int:
    return 2 * round((seconds * sample_rate_hz - 1) / 2) + 1


def _moving_sum(samples: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Sums of each `width` neighbours, shape (n - width + 1,)."""
    running = np.cumsum(samples)
    sums = running[width - 1 :].copy()
    sums[1:] -= running[:-width]
    return sums


@dataclass(frozen=True, slots=True)
class Features:
    """Aligned features from sample `start` on: `band` is the 7–22 Hz signal and `envelope` its
    moving RMS, both in µV."""

    start: int
    band: NDArray[np.float64]
    envelope: NDArray[np.float64]


class EnvelopeFilter:
    """Streaming features of one unbroken run of signal."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._smooth = _odd_samples(SMOOTHING_S, sample_rate_hz)
        self._baseline = _odd_samples(BASELINE_S, sample_rate_hz)
        self._width = _odd_samples(ENVELOPE_S, sample_rate_hz)
        self._band_reach = max(self._baseline // 2, self._smooth - 1)
        self.delay = self._band_reach + self._width // 2
        self._tail: NDArray[np.int64] | None = None
        self._next = 0

    def reset(self) -> None:
        self._tail = None

    def push(self, start: int, amplitude_uv: NDArray[np.float64]) -> Features:
        """Features of the samples that are now known `delay` samples ahead.

        Before a run's first sample its value is taken to have been constant.
        """
        whole_uv = np.rint(amplitude_uv).astype(np.int64)
        if self._tail is None:
            self._tail = np.full(2 * self.delay, whole_uv[0])
            self._next = start - self.delay
        samples = np.concatenate((self._tail, whole_uv))
        self._tail = samples[-2 * self.delay :]
        band = self._band(samples)
        envelope = self._envelope(band)
        features = Features(self._next, band[self._width // 2 :][: envelope.size], envelope)
        self._next += envelope.size
        return features

    def _band(self, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Smoothed signal minus its moving mean (difference of moving averages)."""
        smooth = _moving_sum(_moving_sum(samples, self._smooth), self._smooth)
        mean = _moving_sum(samples, self._baseline)
        size = samples.size - 2 * self._band_reach
        smooth = smooth[self._band_reach - self._smooth + 1 :][:size]
        mean = mean[self._band_reach - self._baseline // 2 :][:size]
        return smooth / self._smooth**2 - mean / self._baseline

    def _envelope(self, band: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = np.rint(band * STEPS_PER_UV).astype(np.int64)
        power = _moving_sum(steps * steps, self._width)
        return np.sqrt(power / self._width) / STEPS_PER_UV
