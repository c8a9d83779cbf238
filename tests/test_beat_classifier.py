import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.beat_classifier import (
    LEAST_SPAN_UV,
    MAX_CARD_BYTES,
    WAVEFORM_LIMIT,
    ModelRefused,
    load_card,
    most_fitting,
    probabilities,
    scale_waveforms,
)
from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from gateway.tflite_classifier import default_model_path

CARD = default_model_path().with_suffix(".json")


def refusal(tmp_path: Path, content: str) -> str:
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(ModelRefused) as refused:
        load_card(path)
    return refused.value.reason


def changed_card(**changes: Any) -> str:
    return json.dumps(json.loads(CARD.read_text()) | changes)


def test_the_installed_card_is_accepted():
    card = load_card(CARD)
    assert card.labels == ("N", "S", "V", "F", "Q")
    assert card.short_hash == card.sha256[:8]


@pytest.mark.parametrize("name", json.loads(CARD.read_text()))
def test_a_missing_field_is_named(tmp_path, name):
    fields = json.loads(CARD.read_text())
    del fields[name]
    assert refusal(tmp_path, json.dumps(fields)) == f"the card lacks {name}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sample_rate_hz": 250}, "sample_rate_hz is 250, beat windows have 125"),
        ({"window_samples": 180}, "window_samples is 180, beat windows have 187"),
        ({"r_position": 0}, "r_position is 0, beat windows have R at 125"),
        (
            {"filter_band_hz": [0.5, 30.0]},
            "filter_band_hz is (0.5, 30.0), beat windows are filtered (0.5, 40.0)",
        ),
        ({"filter_band_hz": []}, "filter_band_hz is [], not two frequencies"),
        ({"normalisation": "z-score"}, "normalisation 'z-score' is unknown"),
        (
            {"inputs": ["window"]},
            "inputs are ('window',), this gateway gives ('waveforms', 'rr_features')",
        ),
        (
            {"rr_features": [*RR_FEATURES[:-1], "rr to the moon"]},
            f"rr_features differ from this gateway's in {RR_FEATURES[-1]}, rr to the moon",
        ),
        ({"rr_features": list(reversed(RR_FEATURES))}, "rr_features are in another order"),
        ({"labels": ["N", "S", "V", "X", "Q"]}, "labels hold X, which is no AAMI class"),
        ({"labels": ["N", "S", "S"]}, "labels name a class twice, or not N"),
        ({"labels": ["S", "V"]}, "labels name a class twice, or not N"),
        ({"labels": ["N"]}, "labels name no abnormal class"),
        ({"temperature": 0.0}, "temperature is not above 0"),
        ({"class_biases": [0.0, 0.0]}, "class_biases are not one a label"),
        ({"class_biases": [0.0, 0.0, "0", 0.0, 0.0]}, "class_biases holds what is no number"),
        (
            {"class_biases": [0.0, 0.0, math.inf, 0.0, 0.0]},
            "class_biases are not finite",
        ),
        ({"abnormal_threshold": 1.0}, "abnormal_threshold is not within 0–1"),
        (
            {"supraventricular_threshold": 0.0},
            "supraventricular_threshold is not within 0–1",
        ),
        ({"abnormal_threshold": "0.5"}, "abnormal_threshold is '0.5', not of type float"),
        ({"sha256": "abc"}, "sha256 is not 64 hex digits"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_by_field(tmp_path, changes, reason):
    assert refusal(tmp_path, changed_card(**changes)) == reason


def test_a_score_of_another_shape_is_refused(tmp_path):
    assert refusal(tmp_path, changed_card(scores=[{"f1": 99.0}])).startswith("scores: ")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"percent": {"f1": "99"}}, "scores: percent holds what is no number"),
        ({"percent": {"f1": True}}, "scores: percent holds what is no number"),
        ({"percent": {"f1": math.nan}}, "scores: percent holds what is no number"),
        ({"percent": {"f1": 10**400}}, "scores: percent holds what is no number"),
        ({"percent": [99.0]}, "scores: percent holds what is no number"),
        ({"ci95": {"f1": 99.0}}, "scores: ci95 holds what is no pair of numbers"),
        ({"ci95": {"f1": [98.0]}}, "scores: ci95 holds what is no pair of numbers"),
        ({"ci95": {"f1": [98.0, None]}}, "scores: ci95 holds what is no pair of numbers"),
        ({"ci95": None}, "scores: ci95 holds what is no pair of numbers"),
    ],
)
def test_a_score_that_holds_no_numbers_is_refused(tmp_path, values, reason):
    score = json.loads(CARD.read_text())["scores"][0]
    assert refusal(tmp_path, changed_card(scores=[score | values])) == reason


@pytest.mark.parametrize("content", ["", "{", "[]", '"card"', "\0"])
def test_what_is_no_json_object_is_refused(tmp_path, content):
    assert "JSON" in refusal(tmp_path, content)


def test_an_oversized_card_is_refused(tmp_path):
    assert "exceeds" in refusal(tmp_path, " " * MAX_CARD_BYTES + "{}")


def test_a_missing_card_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match="can't be read: No such file"):
        load_card(tmp_path / "card.json")


def test_waveforms_are_in_spans_of_the_usual_qrs_complex_and_bounded():
    usual = np.zeros((2, 187), np.float32)
    usual[0, R_POSITION], usual[0, R_POSITION + 3] = 800.0, -200.0  # spans 1 mV
    usual[0, R_POSITION + 47] = 5000.0  # no part of the complex
    samples = np.zeros((2, 187), np.float32)
    samples[0, R_POSITION], samples[1, R_POSITION] = 2000.0, 10.0
    waveforms = scale_waveforms(samples, usual, -usual)
    assert waveforms.shape == (2, 187, 3)
    assert waveforms.dtype == np.float32
    assert waveforms[0, R_POSITION, 1] == pytest.approx(0.8)
    assert waveforms[0, R_POSITION, 2] == pytest.approx(-0.8)
    assert waveforms[0, R_POSITION, 0] == waveforms[0, R_POSITION + 47, 1] == WAVEFORM_LIMIT
    assert waveforms[1, R_POSITION, 0] == pytest.approx(10.0 / LEAST_SPAN_UV)


def test_a_fusion_beat_needs_the_majority():
    shares = np.array([[0.1, 0.1, 0.35, 0.45], [0.1, 0.1, 0.25, 0.55], [0.55, 0.0, 0.0, 0.45]])
    assert most_fitting(shares, ("N", "S", "V", "F"), 0.5, 0.15).tolist() == ["V", "F", "N"]


def test_a_beat_is_the_likeliest_class_once_it_is_abnormal_and_else_s_by_its_own_threshold():
    shares = np.array(  # N S V
        [
            [0.90, 0.05, 0.05],
            [0.40, 0.20, 0.40],
            [0.30, 0.50, 0.20],
            [0.80, 0.20, 0.00],
            [0.80, 0.10, 0.10],
        ]
    )
    names = most_fitting(shares, ("N", "S", "V"), 0.5, 0.15)
    assert names.tolist() == ["N", "V", "S", "S", "N"]


def test_a_network_that_knows_no_s_gives_none():
    assert most_fitting(np.array([[0.6, 0.4], [0.5, 0.5]]), ("N", "V"), 0.5, 0.1).tolist() == [
        "N",
        "V",
    ]


def test_probabilities_sum_to_1_and_no_logit_is_too_large():
    logits = np.array([[0.0, 0.0], [1000.0, -1000.0], [2.0, 0.0]])
    shares = probabilities(logits, temperature=2.0, class_biases=(0.0, 1.0))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(shares[1], [1.0, 0.0])
    np.testing.assert_allclose(shares[2], [0.5, 0.5])
