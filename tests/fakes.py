"""Stand-ins that several stages' tests share, written against the real ports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import INPUTS, USUAL_BEAT_SPAN, ModelCard
from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from gateway.messages import BeatClass, BeatInContext, BeatLabel

FAKE_CARD = ModelCard(
    name="fake",
    sha256="f" * 64,
    sample_rate_hz=125,
    window_samples=187,
    r_position=R_POSITION,
    filter_band_hz=(0.5, 40.0),
    normalisation=USUAL_BEAT_SPAN,
    inputs=INPUTS,
    rr_features=RR_FEATURES,
    labels=("N", "V"),
    temperature=1.0,
    class_biases=(0.0, 0.0),
    abnormal_threshold=0.5,
    supraventricular_threshold=0.5,
    split={},
    training={},
    scores=(),
)


class FakeClassifier:
    """Calls a beat ventricular whose window spans 4 mV; p grows with the span, bit for bit."""

    def __init__(self, card: ModelCard = FAKE_CARD) -> None:
        self.card = card

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        return [self._label(beat.samples) for beat in beats]

    def _label(self, samples: NDArray[np.float32]) -> BeatLabel:
        p_abnormal = min(1.0, float(np.ptp(samples)) / 8000.0)
        beat_class = BeatClass.VENTRICULAR if p_abnormal >= 0.5 else BeatClass.NORMAL
        return BeatLabel(beat_class, p_abnormal)


def ecg_uv(
    seconds: float, sample_rate_hz: int, beat_times_s: Sequence[float], r_uv: float = 1000.0
) -> NDArray[np.float64]:
    """A made-up lead: at each time an R wave of `r_uv` with its Q, S and T; 5 µV of noise."""
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    signal = np.random.default_rng(7).normal(0.0, 5.0, time_s.size)
    waves = ((0.0, 1.0, 0.012), (-0.03, -0.12, 0.012), (0.035, -0.2, 0.014), (0.25, 0.25, 0.045))
    for beat_s in beat_times_s:
        for offset_s, height, width_s in waves:
            distance = (time_s - beat_s - offset_s) / width_s
            signal += r_uv * height * np.exp(-0.5 * distance**2)
    return signal
