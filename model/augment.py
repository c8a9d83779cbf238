"""Training beats as other people, other electrodes and worse contacts would have given them.

Twenty-two patients are few. What differs between people and placements, and says nothing of where
a beat began, is drawn at random: the direction in which the heart is seen, the length of the
complex, the rate of noise. The usual beat is changed with its beat wherever the cause is lasting.
Beats that few of the patients had, but many people have, are made of the parts of others, see
`imagined_beats`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gateway.dsp.beat_windows import R_POSITION
from gateway.dsp.filters import BandPass
from gateway.messages import (
    BEAT_WINDOW_RATE_HZ,
    BEAT_WINDOW_SAMPLES,
    SampleBlock,
    SampleIndex,
)
from model.beats import TrainingBeats
from model.imagined_beats import ShownBeats, Windows, imagine, span
from model.records import database_path

NOISE_RECORDINGS = ("bw", "ma")  # MIT-BIH Noise Stress Test Database (Moody et al. 1984)
SNR_DB = (6.0, 24.0)
NOISY_SHARE = 0.5
REVERSED_SHARE = 0.1  # leads worn the wrong way round are the exception
TURNED_SHARE = 0.9  # seen along a direction between the record's two leads
FIRST_BEAT_SHARE = 0.03  # as at a session's start, when a beat is its own usual one
STRETCH = 0.06  # standard deviation of the logarithm of a complex's length
GAIN = 0.08  # ... and of a beat's size beside the usual one
SHIFT_SAMPLES = 2  # an R peak is located to 16 ms
RR_FEATURE_NOISE = 0.03
TYPICAL_SPAN_UV = np.float32(1000.0)  # of a QRS complex


def augmented(
    beats: TrainingBeats, of_imagined: TrainingBeats, generator: np.random.Generator
) -> ShownBeats:
    """What the network is trained on in place of the beats, row for row.

    Beats of imagined patients come last; they keep their rhythms and their origins.
    """
    real = _seen_elsewhere(beats, generator)
    imagine(real, beats, generator)
    shown = ShownBeats.join([real, _seen_elsewhere(of_imagined, generator)])
    _loosen_contact(shown, generator)
    rr_noise = generator.normal(0.0, RR_FEATURE_NOISE, shown.rr_features.shape)
    shown.rr_features += rr_noise.astype(np.float32)
    return shown


def _seen_elsewhere(beats: TrainingBeats, generator: np.random.Generator) -> ShownBeats:
    shown = _turned(beats, generator)
    _stretch(shown, generator)
    return shown


def _loosen_contact(shown: ShownBeats, generator: np.random.Generator) -> None:
    """First beats of a session, noise, and a lead worn the wrong way round."""
    is_first = generator.random((len(shown.aami), 1)) < FIRST_BEAT_SHARE
    shown.usual = np.where(is_first, shown.windows, shown.usual)
    shown.late = np.where(is_first, shown.windows, shown.late)
    shown.windows = _noisy(_jittered(shown.windows, generator), generator)
    is_reversed = generator.random((len(shown.aami), 1)) < REVERSED_SHARE
    for signal in (shown.windows, shown.usual, shown.late):
        signal *= np.where(is_reversed, np.float32(-1.0), np.float32(1.0))


def _turned(beats: TrainingBeats, generator: np.random.Generator) -> ShownBeats:
    """Most beats as a lead between the record's two would show them, all three scaled alike."""
    shown = ShownBeats.of(beats)
    turned = np.flatnonzero(generator.random(len(beats)) < TURNED_SHARE)
    angle = generator.uniform(-np.pi / 2, np.pi / 2, (len(turned), 1)).astype(np.float32)
    own = TYPICAL_SPAN_UV * np.cos(angle) / span(beats.usual[turned])
    other = TYPICAL_SPAN_UV * np.sin(angle) / span(beats.other_usual[turned])
    shown.windows[turned] = own * beats.windows[turned] + other * beats.other_windows[turned]
    shown.usual[turned] = own * beats.usual[turned] + other * beats.other_usual[turned]
    shown.late[turned] = own * beats.late[turned] + other * beats.other_late[turned]
    return shown


def _stretch(shown: ShownBeats, generator: np.random.Generator) -> None:
    """Slower or faster around R, the usual and the late beat as much as the beat itself."""
    factor = np.exp(generator.normal(0.0, STRETCH, (len(shown.aami), 1)))
    from_r = np.arange(BEAT_WINDOW_SAMPLES) - R_POSITION
    place = (R_POSITION + from_r * factor).clip(0, BEAT_WINDOW_SAMPLES - 1.001)
    before = place.astype(np.intp)
    share = (place - before).astype(np.float32)
    shown.windows, shown.usual, shown.late = (
        np.take_along_axis(signal, before, 1) * (1 - share)
        + np.take_along_axis(signal, before + 1, 1) * share
        for signal in (shown.windows, shown.usual, shown.late)
    )


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
