"""What a model must say of beats before it may serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from gateway.beat_classifier import ModelRefused
from gateway.commands.model_self_test import (
    LEAST_SPREAD,
    STORED_S,
    Agreement,
    check_labels,
    compare,
    drawn_beats,
    stored_beats,
)
from gateway.dsp.beat_windows import R_POSITION
from gateway.messages import BeatClass, BeatInContext, BeatLabel
from gateway.radio.keyring import Keyring
from gateway.radio.session_keys import SessionKeys
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from tests.fakes import FAKE_CARD, FakeClassifier
from tests.ward.bench import ChannelBench, heart

PUSHED = range(1, 240)


class Saying:
    """A classifier that says one thing of each beat."""

    card = FAKE_CARD

    def __init__(self, p_of: Callable[[BeatInContext], float]) -> None:
        self._p_of = p_of

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        probabilities = [self._p_of(beat) for beat in beats]
        return [
            BeatLabel(BeatClass.NORMAL if p < 0.5 else BeatClass.VENTRICULAR, p)
            for p in probabilities
        ]


def is_wide(beat: BeatInContext) -> bool:
    """Whether the QRS stays above half its height for more than 64 ms."""
    qrs = np.abs(beat.samples[R_POSITION - 15 : R_POSITION + 16])
    return bool(np.sum(qrs > 0.5 * qrs.max()) > 8)


DRAWN = drawn_beats(FakeClassifier())


def test_the_drawn_heart_has_narrow_beats_and_some_wide_ones():
    wide = [is_wide(beat) for beat in DRAWN]
    assert len(wide) > 60
    assert 8 <= sum(wide) <= 14


def test_the_packaged_model_passes():
    model = TfliteClassifier(default_model_path())
    check_labels(model, drawn_beats(model))


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_a_model_that_says_the_same_of_all_beats_is_refused(p):
    with pytest.raises(ModelRefused, match=r"p_abnormal spans 0\.000 over \d+ unlike beats"):
        check_labels(Saying(lambda _: p), DRAWN)


def test_the_least_spread_that_passes():
    check_labels(Saying(lambda beat: LEAST_SPREAD if is_wide(beat) else 0.0), DRAWN)
    with pytest.raises(ModelRefused):
        check_labels(Saying(lambda beat: 0.9 * LEAST_SPREAD * is_wide(beat)), DRAWN)


def test_a_probability_that_is_none_is_refused():
    with pytest.raises(ModelRefused, match="self-test: p_abnormal is a probability"):
        check_labels(Saying(lambda _: 1.5), DRAWN)


def test_agreement_counts_normal_against_not_normal():
    wide = sum(is_wide(beat) for beat in DRAWN)
    careful = Saying(lambda beat: 0.9 if is_wide(beat) else 0.1)
    careless = Saying(lambda beat: 0.4)
    assert compare(careful, careless, DRAWN) == Agreement(len(DRAWN), len(DRAWN) - wide)
    assert compare(careful, careful, DRAWN).share == 1.0


@pytest.fixture
def bench(tmp_path):
    bench = ChannelBench(tmp_path, heart(200.0))
    bench.send(PUSHED)
    bench.commit()
    yield bench
    bench.close()


def test_stored_beats_are_those_of_the_last_minutes(bench):
    beats = stored_beats(FakeClassifier(), bench.reader, bench.parts.keys)
    assert len(beats) == pytest.approx(STORED_S / 0.8, abs=6)
    labelled = [beat.r_sample for beat in bench.beats() if beat.label is not None]
    assert {beat.r_sample for beat in beats} <= set(labelled)
    assert beats[-1].r_sample == labelled[-1]


def test_frames_that_no_key_opens_are_left_out(bench, tmp_path):
    strange = SessionKeys(Keyring(tmp_path / "another keyring", bytes(32)))
    assert stored_beats(FakeClassifier(), bench.reader, strange) == []
