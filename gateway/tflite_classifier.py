"""The classifier on a full-integer TensorFlow Lite model: the only file that knows TFLite."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import (
    WAVEFORMS,
    ModelCard,
    ModelRefused,
    load_card,
    most_fitting,
    probabilities,
    read_bounded,
    scale_waveforms,
)
from gateway.messages import BEAT_WINDOW_SAMPLES, BeatClass, BeatInContext, BeatLabel

MAX_MODEL_BYTES = 1_048_576  # ours takes some 30 KB, the specified network 112 KB
THREADS = 1  # some 30 µs a beat; a second thread costs more than it gives


def default_model_path() -> Path:
    """The model that is installed with the gateway; its card lies beside it as .json."""
    return Path(__file__).with_name("artefacts") / "beat_cnn.tflite"


class _Tensor(NamedTuple):
    """One quantised tensor of the graph: real = scale · (integer − zero_point)."""

    handle: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def integers(self, real: NDArray[np.float32]) -> NDArray[np.int8]:
        steps: NDArray[np.float32] = np.rint(real / self.scale) + self.zero_point
        return np.clip(steps, -128, 127).astype(np.int8)

    def real(self, integers: NDArray[np.int8]) -> NDArray[np.float64]:
        return self.scale * (integers.astype(np.float64) - self.zero_point)


class TfliteClassifier:
    """p(abnormal) is 1 − p(N), and the class is the most fitting by the card's thresholds.

    Beats go through one by one: the same bytes come out however they are grouped.
    """

    def __init__(self, model_path: Path) -> None:
        """Load the model and its card; raises `ModelRefused`."""
        self.card = load_card(model_path.with_suffix(".json"))
        self._interpreter = _interpreter(_verified_bytes(model_path, self.card))
        self._waveforms, self._rr_features, self._logits = _bound_tensors(
            self._interpreter, self.card
        )
        self._normal = self.card.labels.index(BeatClass.NORMAL)

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        """One label for each beat, in order."""
        if not beats:
            return []
        logits = self._logits.real(np.concatenate(self._outputs(beats)))
        shares = probabilities(logits, self.card.temperature, self.card.class_biases)
        names = most_fitting(
            shares,
            self.card.labels,
            self.card.abnormal_threshold,
            self.card.supraventricular_threshold,
        )
        p_abnormal = 1.0 - shares[:, self._normal]
        return [
            BeatLabel(BeatClass(name), float(p)) for name, p in zip(names, p_abnormal, strict=True)
        ]

    def _outputs(self, beats: Sequence[BeatInContext]) -> list[NDArray[np.int8]]:
        waveforms = self._waveforms.integers(
            scale_waveforms(
                np.stack([beat.samples for beat in beats]),
                np.stack([beat.usual for beat in beats]),
                np.stack([beat.late for beat in beats]),
            )
        )
        rr_features = self._rr_features.integers(np.stack([beat.rr_features for beat in beats]))
        return [self._invoke(*given) for given in zip(waveforms, rr_features, strict=True)]

    def _invoke(
        self, waveforms: NDArray[np.int8], rr_features: NDArray[np.int8]
    ) -> NDArray[np.int8]:
        self._interpreter.set_tensor(self._waveforms.handle, waveforms[np.newaxis])
        self._interpreter.set_tensor(self._rr_features.handle, rr_features[np.newaxis])
        self._interpreter.invoke()
        logits: NDArray[np.int8] = self._interpreter.get_tensor(self._logits.handle)
        return logits


def _verified_bytes(model_path: Path, card: ModelCard) -> bytes:
    content = read_bounded(model_path, MAX_MODEL_BYTES)
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
    """Waveforms, RR features and logits; the inputs are told apart by their shapes."""
    inputs = {
        tensor.shape: tensor
        for tensor in (_int8_tensor(details) for details in interpreter.get_input_details())
    }
    outputs = [_int8_tensor(details) for details in interpreter.get_output_details()]
    waveforms, rr_features = (1, BEAT_WINDOW_SAMPLES, WAVEFORMS), (1, len(card.rr_features))
    if inputs.keys() != {waveforms, rr_features}:
        raise ModelRefused(f"input shapes are {sorted(inputs)}, not {waveforms} and {rr_features}")
    if [tensor.shape for tensor in outputs] != [(1, len(card.labels))]:
        shapes = [tensor.shape for tensor in outputs]
        raise ModelRefused(f"output shapes are {shapes}, the card needs (1, {len(card.labels)})")
    return inputs[waveforms], inputs[rr_features], outputs[0]


def _int8_tensor(details: dict[str, Any]) -> _Tensor:
    if details["dtype"] is not np.int8:
        raise ModelRefused(f"tensor {details['name']} is not int8")
    scale, zero_point = details["quantization"]
    if not 0.0 < scale < math.inf:
        raise ModelRefused(f"tensor {details['name']} has no quantisation")
    return _Tensor(details["index"], tuple(map(int, details["shape"])), scale, zero_point)
