"""What a model says of beats before it may serve: of the clinic's own, or of drawn ones.

Each beat comes out of a `Pipeline`, as it does when beds are monitored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.analysis import LiveAnalysis
from gateway.beat_classifier import BeatClassifier, ModelCard, ModelRefused
from gateway.config import AlarmLimits
from gateway.messages import (
    SAMPLES_PER_FRAME,
    BeatClass,
    BeatInContext,
    BeatLabel,
    FrameSequence,
    SampleBlock,
    SampleIndex,
    SessionId,
)
from gateway.pipeline import Pipeline
from gateway.radio.frame_codec import FrameRefused
from gateway.radio.session_keys import SessionKeys
from gateway.simulator.synthetic import Rhythm, render
from gateway.store.reader import Reader
from gateway.ward.late_stretch import push_stored

LEAST_SPREAD = 0.1  # of p over narrow and wide beats; a model that says less tells none apart
LEAST_AGREEMENT = 0.8  # two models of these beats differ in a few of a hundred
LEAST_BEATS = 30  # below, agreement is chance
STORED_S = 120.0  # of each sensor: some 150 beats, a second of a Pi's time
MAX_SENSORS = 8  # as many as a gateway carries; more say little more
DRAWN_S = 60.0  # 70 beats, a sixth of them ventricular
DRAWN_RATE_HZ = 250
DRAWN_SEED = 1  # the same beats every time


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many of the beats two models call N or not N alike."""

    beats: int
    alike: int

    @property
    def share(self) -> float:
        return self.alike / self.beats


class _Onlooker:
    """A BeatClassifier that keeps what a pipeline shows it, and leaves the labels to another."""

    def __init__(self, classifier: BeatClassifier) -> None:
        self._classifier = classifier
        self.beats: list[BeatInContext] = []

    @property
    def card(self) -> ModelCard:
        return self._classifier.card

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        self.beats += beats
        return _labels(self._classifier, beats)


def drawn_beats(serving: BeatClassifier) -> list[BeatInContext]:
    """A minute of a drawn heart with premature wide beats in it."""
    onlooker = _Onlooker(serving)
    pipeline = Pipeline(DRAWN_RATE_HZ, onlooker, AlarmLimits())
    millivolts = render(Rhythm.PVCS, DRAWN_S, DRAWN_RATE_HZ, np.random.default_rng(DRAWN_SEED))
    pipeline.push(SampleBlock(SampleIndex(0), DRAWN_RATE_HZ, 1000.0 * millivolts))
    pipeline.finish()
    return onlooker.beats


def stored_beats(serving: BeatClassifier, reader: Reader, keys: SessionKeys) -> list[BeatInContext]:
    """The beats at the end of each sensor's newest session, as far as the keys open it."""
    onlooker = _Onlooker(serving)
    for sensor in reader.sensors()[:MAX_SENSORS]:
        for stored in reader.sessions_of(sensor.device_id)[-1:]:
            _replay_end(stored.session, stored.sample_rate_hz, onlooker, reader, keys)
    return onlooker.beats


def check_labels(model: BeatClassifier, beats: Sequence[BeatInContext]) -> None:
    """Raises `ModelRefused` where the model's labels can't be used, or say nothing of a beat.

    `beats` hold narrow and wide beats.
    """
    p_abnormal = [label.p_abnormal for label in _labels(model, beats)]
    spread = max(p_abnormal) - min(p_abnormal)
    if spread < LEAST_SPREAD:
        raise ModelRefused(
            f"self-test: p_abnormal spans {spread:.3f} over {len(beats)} unlike beats,"
            f" {LEAST_SPREAD} is the least"
        )


def compare(
    model: BeatClassifier, serving: BeatClassifier, beats: Sequence[BeatInContext]
) -> Agreement:
    """Raises `ModelRefused` where the model's labels can't be used."""
    pairs = zip(_labels(model, beats), _labels(serving, beats), strict=True)
    alike = sum(_is_normal(one) == _is_normal(other) for one, other in pairs)
    return Agreement(len(beats), alike)


def _labels(model: BeatClassifier, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
    try:
        return model.classify(beats)
    except (ValueError, ArithmeticError) as error:  # a probability that is none, a scale of 0
        raise ModelRefused(f"self-test: {error}") from error


def _is_normal(label: BeatLabel) -> bool:
    return label.beat_class is BeatClass.NORMAL


def _replay_end(
    session: SessionId,
    sample_rate_hz: int,
    onlooker: _Onlooker,
    reader: Reader,
    keys: SessionKeys,
) -> None:
    last = max((last for _, last in reader.received_ranges(session)), default=0)
    first = max(0, last - round(STORED_S * sample_rate_hz / SAMPLES_PER_FRAME))
    analysis = LiveAnalysis(sample_rate_hz, onlooker, AlarmLimits())
    for frame in reader.frames(session, FrameSequence(first), FrameSequence(last)):
        try:
            push_stored(analysis, keys, frame)
        except FrameRefused:
            return
