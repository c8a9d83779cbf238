"""The beats that every runtime labels: of real patients and drawn, through the gateway's stages.

No annotation is read, so this is no look at how well DS2 is scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gateway.config import AlarmLimits
from gateway.messages import (
    LEGAL_SAMPLE_RATES_HZ,
    SAMPLES_PER_FRAME,
    BeatInContext,
    BeatLabel,
    SampleBlock,
    SampleIndex,
)
from gateway.pipeline import Pipeline
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from model.partition import patient_records
from model.records import read_record
from tests.fakes import ecg_uv

DRAWN_S = 60
DRAWN_RR_S = 0.8
EARLY_EVERY = 5  # every fifth drawn beat comes early
EARLY_S = 0.25
DRAWN_R_UV = (500.0, 2000.0, -1000.0)  # small, large, and from a reversed lead


class _Listener:
    """The served classifier, keeping every window that it is asked about."""

    def __init__(self) -> None:
        self._served = TfliteClassifier(default_model_path())
        self.card = self._served.card
        self.beats: list[BeatInContext] = []

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        self.beats += beats
        return self._served.classify(beats)


def patient_windows(minutes: int) -> list[BeatInContext]:
    """Of the first minutes of each DS2 record."""
    windows = []
    for name in tqdm(patient_records()["ds2"], desc="beats of DS2", disable=None):
        record = read_record(name)
        samples = minutes * 60 * record.sample_rate_hz
        windows += classified_windows(record.amplitude_uv[:samples], record.sample_rate_hz)
    return windows


def drawn_windows() -> list[BeatInContext]:
    """Of drawn leads with early beats: three amplitudes at each legal sample rate."""
    return [
        window
        for sample_rate_hz in LEGAL_SAMPLE_RATES_HZ
        for r_uv in DRAWN_R_UV
        for window in classified_windows(
            ecg_uv(DRAWN_S, sample_rate_hz, list(_drawn_beats_s()), r_uv), sample_rate_hz
        )
    ]


def _drawn_beats_s() -> Iterator[float]:
    for number in range(1, int(DRAWN_S / DRAWN_RR_S)):
        yield number * DRAWN_RR_S - (EARLY_S if number % EARLY_EVERY == 0 else 0.0)


def classified_windows(
    amplitude_uv: NDArray[np.float64], sample_rate_hz: int
) -> list[BeatInContext]:
    """Every window that the gateway would have labelled, in order of R."""
    listener = _Listener()
    pipeline = Pipeline(sample_rate_hz, listener, AlarmLimits())
    for start in range(0, amplitude_uv.size, SAMPLES_PER_FRAME):
        amplitudes = amplitude_uv[start : start + SAMPLES_PER_FRAME].copy()
        pipeline.push(SampleBlock(SampleIndex(start), sample_rate_hz, amplitudes))
    pipeline.finish()
    return listener.beats
