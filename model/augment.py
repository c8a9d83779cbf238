"""Training beats as a worse electrode would have given them.

Gain needs no augmentation, the min–max scaling removes it; how much noise a beat drowns in and
which way round the lead is worn do not go away by scaling.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gateway.dsp.filters import BandPass
from gateway.messages import (
    BEAT_WINDOW_RATE_HZ,
    BEAT_WINDOW_SAMPLES,
    SampleBlock,
    SampleIndex,
)
from model.records import database_path

NOISE_RECORDINGS = ("bw", "ma")  # MIT-BIH Noise Stress Test Database (Moody et al. 1984)
SNR_DB = (6.0, 24.0)
NOISY_SHARE = 0.5
REVERSED_SHARE = 0.1  # leads worn the wrong way round are the exception


@cache
def noise_uv() -> list[NDArray[np.float32]]:
    """First half of each noise recording (the second is for tests), band-passed, at 125 Hz."""
    return [_first_half(name) for name in NOISE_RECORDINGS]


def _first_half(name: str) -> NDArray[np.float32]:
    recording = wfdb.rdrecord(str(database_path("nstdb") / name))
    signal_uv = recording.p_signal[: recording.sig_len // 2, 0] * 1000.0
    divisor = np.gcd(int(recording.fs), BEAT_WINDOW_RATE_HZ)
    resampled = resample_poly(
        signal_uv, BEAT_WINDOW_RATE_HZ // divisor, int(recording.fs) // divisor
    )
    block = SampleBlock(SampleIndex(0), BEAT_WINDOW_RATE_HZ, resampled)
    return BandPass(BEAT_WINDOW_RATE_HZ).push(block).amplitude_uv.astype(np.float32)


def augmented(
    windows_uv: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    """The windows (n, 187), half of them with noise at 6–24 dB, a tenth turned upside down."""
    noisy = generator.random(len(windows_uv)) < NOISY_SHARE
    reversed_lead = generator.random((len(windows_uv), 1)) < REVERSED_SHARE
    worse = windows_uv.copy()
    worse[noisy] += _noise_for(windows_uv[noisy], generator)
    return np.where(reversed_lead, -worse, worse)


def _noise_for(
    windows_uv: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    noise = np.stack([_stretch(generator) for _ in range(len(windows_uv))])
    snr_db = generator.uniform(*SNR_DB, size=(len(windows_uv), 1))
    wanted = windows_uv.std(axis=1, keepdims=True) / 10.0 ** (snr_db / 20.0)
    return (noise * wanted / noise.std(axis=1, keepdims=True)).astype(np.float32)


def _stretch(generator: np.random.Generator) -> NDArray[np.float32]:
    recording = noise_uv()[generator.integers(len(NOISE_RECORDINGS))]
    start = generator.integers(len(recording) - BEAT_WINDOW_SAMPLES)
    return recording[start : start + BEAT_WINDOW_SAMPLES]
