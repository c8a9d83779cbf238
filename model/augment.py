"""Training beats as other people, other electrodes and worse contacts would have given them.

Twenty-two patients are few. What differs between people and placements, and says nothing of where
a beat began, is drawn at random: the direction in which the heart is seen, the length of the
complex, the rate of noise. The usual beat is changed with its beat wherever the cause is lasting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gateway.beat_classifier import LEAST_SPAN_UV, QRS
from gateway.dsp.beat_windows import R_POSITION
from gateway.dsp.filters import BandPass
from gateway.messages import (
    BEAT_WINDOW_RATE_HZ,
    BEAT_WINDOW_SAMPLES,
    SampleBlock,
    SampleIndex,
)
from model.beats import TrainingBeats
from model.records import database_path

NOISE_RECORDINGS = ("bw", "ma")  # MIT-BIH Noise Stress Test Database (Moody et al. 1984)
SNR_DB = (6.0, 24.0)
NOISY_SHARE = 0.5
REVERSED_SHARE = 0.1  # leads worn the wrong way round are the exception
TURNED_SHARE = 0.9  # seen along a direction between the record's two leads
FIRST_BEAT_SHARE = 0.03  # as at a session's start, when a beat is its own usual one
EXCHANGED_SHARE = 0.5  # rhythm of another patient
RHYTHMS_OF = {"V": ("N", "S", "V", "F")}  # its shape tells a ventricular beat, whatever its timing
STRETCH = 0.06  # standard deviation of the logarithm of a complex's length
GAIN = 0.08  # ... and of a beat's size beside the usual one
SHIFT_SAMPLES = 2  # an R peak is located to 16 ms
RR_FEATURE_NOISE = 0.03
TYPICAL_SPAN_UV = np.float32(1000.0)  # of a QRS complex

Windows = NDArray[np.float32]  # (n, 187), µV


@dataclass(frozen=True, slots=True)
class Augmented:
    """What the network is trained on in place of the beats, row for row."""

    windows: Windows
    usual: Windows
    rr_features: NDArray[np.float32]


def augmented(beats: TrainingBeats, generator: np.random.Generator) -> Augmented:
    windows, usual = _turned(beats, generator)
    windows, usual = _stretched(windows, usual, generator)
    is_first = generator.random((len(beats), 1)) < FIRST_BEAT_SHARE
    usual = np.where(is_first, windows, usual)
    windows = _noisy(_jittered(windows, generator), generator)
    sign = np.where(generator.random((len(beats), 1)) < REVERSED_SHARE, -1, 1).astype(np.float32)
    rr_noise = generator.normal(0.0, RR_FEATURE_NOISE, beats.rr_features.shape)
    rr_features = _exchanged(beats, generator) + rr_noise.astype(np.float32)
    return Augmented(windows * sign, usual * sign, rr_features)


def _exchanged(beats: TrainingBeats, generator: np.random.Generator) -> NDArray[np.float32]:
    """RR features of which half come from another beat of the class, of any patient alike.

    Given the class, shape and timing are near enough independent; in twenty-two patients they are
    not, and a network learns whose beat it is.
    """
    source = np.arange(len(beats))
    exchanged = generator.random(len(beats)) < EXCHANGED_SHARE
    for name in np.unique(beats.aami):
        takers = np.flatnonzero(exchanged & (beats.aami == name))
        of_class = np.isin(beats.aami, RHYTHMS_OF.get(name, (name,)))
        patients = np.unique(beats.record[of_class])
        giver = patients[generator.integers(len(patients), size=len(takers))]
        for patient in patients:
            wanting = takers[giver == patient]
            offered = np.flatnonzero(of_class & (beats.record == patient))
            source[wanting] = generator.choice(offered, len(wanting))
    return beats.rr_features[source]


def _turned(beats: TrainingBeats, generator: np.random.Generator) -> tuple[Windows, Windows]:
    """Most beats as a lead between the record's two would show them, both scaled alike."""
    windows, usual = beats.windows.copy(), beats.usual.copy()
    turned = np.flatnonzero(generator.random(len(beats)) < TURNED_SHARE)
    angle = generator.uniform(-np.pi / 2, np.pi / 2, (len(turned), 1)).astype(np.float32)
    own = TYPICAL_SPAN_UV * np.cos(angle) / _span(beats.usual[turned])
    other = TYPICAL_SPAN_UV * np.sin(angle) / _span(beats.other_usual[turned])
    windows[turned] = own * beats.windows[turned] + other * beats.other_windows[turned]
    usual[turned] = own * beats.usual[turned] + other * beats.other_usual[turned]
    return windows, usual


def _span(usual: Windows) -> Windows:
    return np.ptp(usual[:, QRS], axis=1).clip(LEAST_SPAN_UV)[:, np.newaxis]


def _stretched(
    windows: Windows, usual: Windows, generator: np.random.Generator
) -> tuple[Windows, Windows]:
    """Slower or faster around R, the usual beat as much as the beat itself."""
    factor = np.exp(generator.normal(0.0, STRETCH, (len(windows), 1)))
    from_r = np.arange(BEAT_WINDOW_SAMPLES) - R_POSITION
    place = (R_POSITION + from_r * factor).clip(0, BEAT_WINDOW_SAMPLES - 1.001)
    before = place.astype(np.intp)
    share = (place - before).astype(np.float32)
    changed = [
        np.take_along_axis(signal, before, 1) * (1 - share)
        + np.take_along_axis(signal, before + 1, 1) * share
        for signal in (windows, usual)
    ]
    return changed[0], changed[1]


def _jittered(windows: Windows, generator: np.random.Generator) -> Windows:
    shift = generator.integers(-SHIFT_SAMPLES, SHIFT_SAMPLES + 1, (len(windows), 1))
    places = (np.arange(BEAT_WINDOW_SAMPLES) + shift).clip(0, BEAT_WINDOW_SAMPLES - 1)
    gain = np.exp(generator.normal(0.0, GAIN, (len(windows), 1))).astype(np.float32)
    return gain * np.take_along_axis(windows, places, 1)


def _noisy(windows: Windows, generator: np.random.Generator) -> Windows:
    """Half of the windows with noise at 6–24 dB."""
    noisy = np.flatnonzero(generator.random(len(windows)) < NOISY_SHARE)
    noise = np.array([_stretch_of_noise(generator) for _ in noisy]).reshape(-1, BEAT_WINDOW_SAMPLES)
    snr_db = generator.uniform(*SNR_DB, size=(len(noisy), 1))
    wanted = windows[noisy].std(axis=1, keepdims=True) / 10.0 ** (snr_db / 20.0)
    worse = windows.copy()
    worse[noisy] += (noise * wanted / noise.std(axis=1, keepdims=True)).astype(np.float32)
    return worse


def _stretch_of_noise(generator: np.random.Generator) -> NDArray[np.float32]:
    recording = noise_uv()[generator.integers(len(NOISE_RECORDINGS))]
    start = generator.integers(len(recording) - BEAT_WINDOW_SAMPLES)
    return recording[start : start + BEAT_WINDOW_SAMPLES]


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
