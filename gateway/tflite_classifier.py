"""The classifier on a full-integer TensorFlow Lite model: the only file that knows TFLite."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import ModelCard, ModelRefused, load_card, scale_min_max
from gateway.messages import BEAT_WINDOW_SAMPLES, BeatClass, BeatLabel, BeatWindow

MAX_MODEL_BYTES = 1_048_576  # the specified network takes 115 KB; larger ones are not ours
THREADS = 1  # 28 µs a beat; a second thread costs more than it gives


def default_model_path() -> Path:
    """The model that is installed with the gateway; its card lies beside it as .json."""
    return Path(__file__).with_name("artefacts") / "beat_cnn.tflite"


class _Tensor(NamedTuple):
    """One quantised tensor of the graph: real = scale · (integer − zero_point)."""

    handle: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int


class TfliteClassifier:
    """p(abnormal) from the sigmoid output, the AAMI class from the class output.

    The sigmoid decides whether a beat is normal, the class output names an abnormal one, so a
    label never contradicts itself. Beats go through one by one: the same bytes come out however
    they are grouped.
    """

    def __init__(self, model_path: Path) -> None:
        """Load the model and its card; raises `ModelRefused`."""
        self.card = load_card(model_path.with_suffix(".json"))
        self._interpreter = _interpreter(_verified_bytes(model_path, self.card))
        self._input, self._p_abnormal, self._classes = _bound_tensors(self._interpreter, self.card)
        self._abnormal_classes = [
            (position, BeatClass(label))
            for position, label in enumerate(self.card.labels)
            if label != BeatClass.NORMAL
        ]

    def classify(self, windows: Sequence[BeatWindow]) -> list[BeatLabel]:
        """One label for each window, in order; a window without samples raises ValueError."""
        return [self._label(*self._outputs(window)) for window in windows]

    def _outputs(self, window: BeatWindow) -> tuple[float, NDArray[np.int8]]:
        if window.samples is None:
            raise ValueError(f"the window at sample {window.r_sample} holds no samples")
        scaled = scale_min_max(window.samples)
        steps = np.rint(scaled / self._input.scale) + self._input.zero_point
        quantised = np.clip(steps, -128, 127).astype(np.int8).reshape(self._input.shape)
        self._interpreter.set_tensor(self._input.handle, quantised)
        self._interpreter.invoke()
        p_step = int(self._interpreter.get_tensor(self._p_abnormal.handle)[0, 0])
        p_abnormal = self._p_abnormal.scale * (p_step - self._p_abnormal.zero_point)
        return p_abnormal, self._interpreter.get_tensor(self._classes.handle)[0]

    def _label(self, p_abnormal: float, class_steps: NDArray[np.int8]) -> BeatLabel:
        if p_abnormal < self.card.abnormal_threshold:
            return BeatLabel(BeatClass.NORMAL, p_abnormal)
        _, likeliest = max(self._abnormal_classes, key=lambda named: class_steps[named[0]])
        return BeatLabel(likeliest, p_abnormal)


def _verified_bytes(model_path: Path, card: ModelCard) -> bytes:
    try:
        with model_path.open("rb") as model_file:
            content = model_file.read(MAX_MODEL_BYTES + 1)
    except OSError as error:
        raise ModelRefused(f"model {model_path} can't be read: {error.strerror}") from error
    if len(content) > MAX_MODEL_BYTES:
        raise ModelRefused(f"model {model_path} exceeds {MAX_MODEL_BYTES} bytes")
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != card.sha256:
        raise ModelRefused(f"sha256 of {model_path} is {sha256}, the card says {card.sha256}")
    return content


def _interpreter(content: bytes) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:  # armv7l has wheels of the older runtime only
        from tflite_runtime.interpreter import Interpreter
    try:
        interpreter = Interpreter(model_content=content, num_threads=THREADS)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelRefused(f"TFLite can't load the model: {error}") from error
    return interpreter


def _bound_tensors(interpreter: Any, card: ModelCard) -> tuple[_Tensor, _Tensor, _Tensor]:
    """The input, p(abnormal) and class tensors, told apart by their shapes."""
    inputs = [_int8_tensor(details) for details in interpreter.get_input_details()]
    outputs = [_int8_tensor(details) for details in interpreter.get_output_details()]
    expected_outputs = [(1, 1), (1, len(card.labels))]
    if [tensor.shape for tensor in inputs] != [(1, BEAT_WINDOW_SAMPLES, 1)]:
        raise ModelRefused(f"input shapes are {[tensor.shape for tensor in inputs]}")
    if sorted(tensor.shape for tensor in outputs) != expected_outputs:
        shapes = [tensor.shape for tensor in outputs]
        raise ModelRefused(f"output shapes are {shapes}, the card needs {expected_outputs}")
    p_abnormal, classes = sorted(outputs, key=lambda tensor: tensor.shape)
    return inputs[0], p_abnormal, classes


def _int8_tensor(details: dict[str, Any]) -> _Tensor:
    if details["dtype"] is not np.int8:
        raise ModelRefused(f"tensor {details['name']} is not int8")
    scale, zero_point = details["quantization"]
    return _Tensor(details["index"], tuple(map(int, details["shape"])), scale, zero_point)
