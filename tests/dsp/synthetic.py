"""A heartbeat of Gaussians, exact in time, for tests that must know where R is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gateway.messages import Gap, SampleBlock, SampleIndex

# centre against R in s, width in s, share of R's height
WAVES = (
    (-0.160, 0.022, 0.12),  # P
    (-0.026, 0.008, -0.12),  # Q
    (0.000, 0.010, 1.00),  # R
    (0.028, 0.009, -0.22),  # S
    (0.260, 0.045, 0.28),  # T
)


def ecg(
    sample_rate_hz: int,
    seconds: float,
    r_times_s: Iterable[float],
    r_uv: float = 1000.0,
    noise_uv: float = 5.0,
) -> NDArray[np.float64]:
    """Beats at `r_times_s` in white noise (RMS `noise_uv`), µV, shape (seconds * rate,)."""
    size = round(seconds * sample_rate_hz)
    time_s = np.arange(size) / sample_rate_hz
    signal = np.random.default_rng(1).normal(0.0, noise_uv, size)
    for r_s in r_times_s:
        for offset_s, width_s, share in WAVES:
            signal += r_uv * share * np.exp(-(((time_s - r_s - offset_s) / width_s) ** 2) / 2)
    return signal


def fibrillation(rate: int, seconds: float, peak_uv: float = 400.0) -> NDArray[np.float64]:
    """Three waves around 5 Hz whose heights and frequencies drift, µV, shape (seconds * rate,)."""
    time_s = np.arange(round(seconds * rate)) / rate
    waves = [
        (1.0 + 0.4 * np.sin(0.7 * time_s + k))
        * np.sin(2 * np.pi * (hz * time_s + 0.3 * np.sin(0.9 * time_s + 2 * k)))
        for k, hz in enumerate((4.1, 5.2, 6.3))
    ]
    return peak_uv / 3.0 * np.sum(waves, axis=0)


def block(amplitude_uv: NDArray[np.float64], sample_rate_hz: int, start: int = 0) -> SampleBlock:
    return SampleBlock(SampleIndex(start), sample_rate_hz, amplitude_uv.copy())


def cut_up(item: SampleBlock | Gap, cuts: Iterable[int]) -> Iterator[SampleBlock | Gap]:
    """The same stretch in pieces; `cuts` are samples counted from the item's start."""
    if isinstance(item, Gap):
        yield item
        return
    edges = sorted({0, item.amplitude_uv.size, *(c for c in cuts if c < item.amplitude_uv.size)})
    for low, high in pairwise(edges):
        yield SampleBlock(
            SampleIndex(item.start + low),
            item.sample_rate_hz,
            item.amplitude_uv[low:high],
            item.lead_off,
            item.clipped,
        )
