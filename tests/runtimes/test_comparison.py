import importlib
from dataclasses import fields

import numpy as np
import pytest

from gateway.messages import BeatInContext
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from tests.fakes import ecg_uv
from tests.runtimes.beats import classified_windows
from tests.runtimes.comparison import Difference, difference
from tests.runtimes.labelling import Labelling, label, load_labelling
from tests.runtimes.windows_file import load_windows, save_windows

LITERT = "ai_edge_litert"


@pytest.fixture(scope="module")
def windows():
    return classified_windows(ecg_uv(20, 250, np.arange(0.8, 19.0, 0.8).tolist()), 250)


@pytest.fixture
def windows_path(windows, tmp_path):
    save_windows(windows, tmp_path / "windows")
    return tmp_path / "windows"


@pytest.fixture
def litert(monkeypatch):
    """The runtime's module, as it was when the test is over."""
    interpreter = importlib.import_module(f"{LITERT}.interpreter")
    monkeypatch.setattr(interpreter, "Interpreter", interpreter.Interpreter)


def labelling(beats: int = 2000) -> Labelling:
    return Labelling(
        versions=np.array(["runtime 1", "numpy 2", "x86_64"]),
        beat_class=np.full(beats, "N"),
        p_abnormal=np.full(beats, 0.25),
        network_input=np.zeros((beats, 187), np.int8),
        network_output=np.zeros((beats, 6), np.int8),
    )


def test_windows_come_back_as_they_went(windows, windows_path):
    read = load_windows(windows_path)
    assert len(read) == len(windows) > 10
    for was, came in zip(windows, read, strict=True):
        for name in (field.name for field in fields(BeatInContext)):
            sent, received = getattr(was, name), getattr(came, name)
            assert type(received) is type(sent), name
            np.testing.assert_array_equal(received, sent, strict=True)


def test_the_labels_are_the_served_classifiers(windows, windows_path, litert, tmp_path):
    label(LITERT, 4, windows_path).save(tmp_path / "labelling.npz")
    found = load_labelling(tmp_path / "labelling.npz")
    served = TfliteClassifier(default_model_path()).classify(windows)
    assert found.beat_class.tolist() == [given.beat_class for given in served]
    assert found.p_abnormal.tolist() == [given.p_abnormal for given in served]
    assert found.network_input.dtype == found.network_output.dtype == np.int8
    assert len(found.network_input) == len(found.network_output) == len(windows)


def test_another_runtime_than_the_one_named_is_told(windows_path, monkeypatch):
    class Elsewhere:
        Interpreter = object

    monkeypatch.setattr("importlib.import_module", lambda name: Elsewhere)
    with pytest.raises(RuntimeError, match="tflite_runtime gave 0 of"):
        label("tflite_runtime", 1, windows_path)


def test_equal_labellings_differ_in_nothing():
    found = difference(labelling(), labelling())
    assert found == Difference(2000, 0, 0, 0, 0.0)
    assert found.is_none


@pytest.mark.parametrize("array", ["network_input", "network_output", "beat_class", "p_abnormal"])
def test_one_other_value_is_a_difference(array):
    other = labelling()
    getattr(other, array).flat[5] = "V" if array == "beat_class" else 1
    assert not difference(labelling(), other).is_none


@pytest.mark.parametrize(("decisions", "allowed"), [(2, True), (3, False)])
def test_one_decision_in_a_thousand_may_differ(decisions, allowed):
    other = labelling()
    other.beat_class[:decisions] = "V"
    other.p_abnormal[1] = 0.75
    found = difference(labelling(), other)
    assert (found.decisions, found.largest_p) == (decisions, 0.5)
    assert found.is_within_limit is allowed
