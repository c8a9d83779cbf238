import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.beat_classifier import ModelRefused, most_fitting, probabilities
from gateway.dsp.beat_context import RR_FEATURES
from gateway.messages import BeatClass, BeatInContext, SampleIndex
from gateway.tflite_classifier import MAX_MODEL_BYTES, TfliteClassifier, default_model_path

GOLDEN = json.loads((Path(__file__).parent / "model/golden.json").read_text())
INT8_TOLERANCE = 0.1  # int8 against the float original, in p
OTHER_MODELS = Path(__file__).parents[1] / "model/artefacts"


def beat(samples_uv: list[float], rr_features: list[float], gain: float = 1.0) -> BeatInContext:
    usual = gain * np.array(GOLDEN[0]["window_uv"], np.float32)
    return BeatInContext(
        SampleIndex(1000),
        gain * np.array(samples_uv, np.float32),
        usual,
        usual,
        np.array(rr_features, np.float32),
    )


def golden_beats(gain: float = 1.0) -> list[BeatInContext]:
    return [beat(entry["window_uv"], entry["rr_features"], gain) for entry in GOLDEN]


@pytest.fixture(scope="module")
def classifier() -> TfliteClassifier:
    return TfliteClassifier(default_model_path())


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    for suffix in (".tflite", ".json"):
        shutil.copy(default_model_path().with_suffix(suffix), tmp_path / f"copy{suffix}")
    return tmp_path / "copy.tflite"


def replace_content(model: Path, content: bytes) -> None:
    """Another model under the card of the first, with its hash put right."""
    model.write_bytes(content)
    card = json.loads(model.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(content).hexdigest()
    model.with_suffix(".json").write_text(json.dumps(card))


def golden_shares(classifier: TfliteClassifier) -> np.ndarray:
    """Calibrated probabilities of the float original."""
    logits = np.array([entry["logits"] for entry in GOLDEN])
    return probabilities(logits, classifier.card.temperature, classifier.card.class_biases)


def test_probabilities_are_those_of_the_float_model(classifier):
    given = [label.p_abnormal for label in classifier.classify(golden_beats())]
    float_original = 1.0 - golden_shares(classifier)[:, 0]
    np.testing.assert_allclose(given, float_original, atol=INT8_TOLERANCE)


def test_an_abnormal_beat_gets_the_abnormal_class_of_the_float_model(classifier):
    given = classifier.classify(golden_beats())
    shares = golden_shares(classifier)
    card = classifier.card
    thresholds = card.abnormal_threshold, card.supraventricular_threshold
    expected = most_fitting(shares, card.labels, *thresholds).tolist()
    assert [label.beat_class for label in given] == expected
    assert {"N", "V"} <= set(expected)


def test_a_usual_beat_is_normal_and_a_wide_early_one_ventricular(classifier):
    labels = dict(
        zip((e["beat"] for e in GOLDEN), classifier.classify(golden_beats()), strict=True)
    )
    assert labels["usual"].beat_class is BeatClass.NORMAL
    assert labels["wide and early"].beat_class is BeatClass.VENTRICULAR


def test_the_threshold_is_the_cards(model_copy):
    card = json.loads(model_copy.with_suffix(".json").read_text())
    changed = card | {"abnormal_threshold": 0.001, "supraventricular_threshold": 0.999}
    model_copy.with_suffix(".json").write_text(json.dumps(changed))
    suspicious = TfliteClassifier(model_copy).classify(golden_beats())
    assert [label.beat_class != "N" for label in suspicious] == [
        label.p_abnormal >= 0.001 for label in suspicious
    ]


def test_the_class_never_contradicts_the_probability(classifier):
    generator = np.random.default_rng(1)
    noise = [
        beat(generator.normal(0, 300, 187), generator.normal(0, 0.3, len(RR_FEATURES)))
        for _ in range(200)
    ]
    for label in classifier.classify(golden_beats() + noise):
        may_be_normal = label.p_abnormal < classifier.card.abnormal_threshold
        is_early = label.beat_class is BeatClass.SUPRAVENTRICULAR
        assert is_early or may_be_normal == (label.beat_class is BeatClass.NORMAL)
        assert not is_early or label.p_abnormal >= classifier.card.supraventricular_threshold


def test_grouping_and_gain_change_nothing(classifier):
    together = classifier.classify(golden_beats())
    assert [classifier.classify([one])[0] for one in golden_beats()] == together
    assert classifier.classify(golden_beats(gain=4.0)) == together
    assert classifier.classify([]) == []


def test_loads_in_half_a_second_once_the_runtime_is_imported(classifier):
    start = time.perf_counter()
    TfliteClassifier(default_model_path())
    assert time.perf_counter() - start < 0.5


def test_importing_the_module_imports_neither_runtime_nor_scipy():
    code = (
        "import sys, gateway.tflite_classifier; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('ai_edge_litert', 'tflite_runtime', 'scipy')])"
    )
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert imported.stdout.strip() == "[]", imported.stderr


def test_a_single_changed_byte_is_refused(model_copy):
    content = bytearray(model_copy.read_bytes())
    content[len(content) // 2] ^= 1
    model_copy.write_bytes(content)
    with pytest.raises(ModelRefused, match=r"sha256 of .* the card says"):
        TfliteClassifier(model_copy)


def test_a_file_that_is_no_model_is_refused(model_copy):
    replace_content(model_copy, b"no flatbuffer" * 100)
    with pytest.raises(ModelRefused, match="TFLite can't load the model"):
        TfliteClassifier(model_copy)


def test_a_truncated_model_is_refused(model_copy):
    replace_content(model_copy, model_copy.read_bytes()[:5000])
    with pytest.raises(ModelRefused):
        TfliteClassifier(model_copy)


def test_a_missing_or_oversized_model_is_refused(model_copy):
    model_copy.write_bytes(bytes(MAX_MODEL_BYTES + 1))
    with pytest.raises(ModelRefused, match="exceeds"):
        TfliteClassifier(model_copy)
    model_copy.unlink()
    with pytest.raises(ModelRefused, match="can't be read"):
        TfliteClassifier(model_copy)


def test_a_model_of_other_shape_is_refused(model_copy):
    replace_content(model_copy, (OTHER_MODELS / "specified_ds2.tflite").read_bytes())
    with pytest.raises(ModelRefused, match="input shapes are"):
        TfliteClassifier(model_copy)


def test_a_model_of_the_public_cut_is_refused():
    with pytest.raises(ModelRefused, match=r"filter_band_hz|r_position"):
        TfliteClassifier(OTHER_MODELS / "specified_ds2.tflite")
