"""`python -m tests.runtimes.labelling RUNTIME BATCH WINDOWS LABELLING`: what one runtime answers.

Runs in each runtime's own environment, where nothing but numpy, the runtime and the gateway's
pure modules can be imported. The labels come from the classifier that the gateway serves; the
network's own bytes are read off the interpreter beneath it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tflite_classifier import TfliteClassifier, default_model_path
from tests.runtimes.windows_file import load_windows


@dataclass(frozen=True, slots=True)
class Labelling:
    """One runtime's answers; the first axis of each array but `versions` is the beat.

    `network_input` and `network_output` hold the int8 values of all input and all output tensors.
    """

    versions: NDArray[np.str_]  # runtime, numpy, machine
    beat_class: NDArray[np.str_]
    p_abnormal: NDArray[np.float64]
    network_input: NDArray[np.int8]
    network_output: NDArray[np.int8]

    def save(self, path: Path) -> None:
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(Labelling)})


def load_labelling(path: Path) -> Labelling:
    with np.load(path) as arrays:
        return Labelling(**arrays)


def label(runtime: str, batch: int, windows_path: Path) -> Labelling:
    """Label the windows in groups of `batch`; raises RuntimeError if another runtime did it."""
    inputs: list[NDArray[np.int8]] = []
    outputs: list[NDArray[np.int8]] = []
    _listen_in(runtime, inputs, outputs)
    classifier = TfliteClassifier(default_model_path())
    windows = load_windows(windows_path)
    labels = []
    for start in range(0, len(windows), batch):
        labels += classifier.classify(windows[start : start + batch])
    if sum(map(len, outputs)) != len(windows):
        raise RuntimeError(f"{runtime} gave {sum(map(len, outputs))} of {len(windows)} answers")
    distribution = runtime.replace("_", "-")
    version = f"{distribution} {importlib.metadata.version(distribution)}"
    return Labelling(
        versions=np.array([version, f"numpy {np.__version__}", platform.machine()]),
        beat_class=np.array([label.beat_class.value for label in labels]),
        p_abnormal=np.array([label.p_abnormal for label in labels]),
        network_input=np.concatenate(inputs),
        network_output=np.concatenate(outputs),
    )


def _listen_in(runtime: str, inputs: list[Any], outputs: list[Any]) -> None:
    """Have each of the runtime's interpreters note its tensors before and after a run."""
    module = importlib.import_module(f"{runtime}.interpreter")

    class ListeningInterpreter(module.Interpreter):
        def invoke(self) -> None:
            inputs.append(self._rows(self.get_input_details()))
            super().invoke()
            outputs.append(self._rows(self.get_output_details()))

        def _rows(self, tensors: list[dict[str, Any]]) -> NDArray[np.int8]:
            values = [self.get_tensor(tensor["index"]) for tensor in tensors]
            return np.hstack([value.reshape(len(value), -1) for value in values])

    module.Interpreter = ListeningInterpreter


def main() -> None:
    runtime, batch, windows_path, labelling_path = sys.argv[1:]
    label(runtime, int(batch), Path(windows_path)).save(Path(labelling_path))


if __name__ == "__main__":
    main()
