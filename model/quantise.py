"""`python -m model.quantise [EXPERIMENT…]`: float model → full-integer TFLite file and its card.

Weights, activations, input and outputs are int8; the ranges come from real training beats. The
card is written without scores, which `python -m model.evaluate --record` fills in.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gateway.beat_classifier import INPUTS, USUAL_BEAT_SPAN
from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from gateway.dsp.filters import HIGH_PASS_HZ, LOW_PASS_HZ
from gateway.messages import BEAT_WINDOW_RATE_HZ, BEAT_WINDOW_SAMPLES
from model.beats import Beats
from model.experiments import Experiment, chosen_experiments
from model.network import LABELS
from model.partition import ds1_records, patient_records

CALIBRATION_BEATS = 1024  # ranges settle from about 300 on
DATA_SOURCE = "MIT-BIH Arrhythmia Database 1.0.0 (Moody & Mark 2001), ODC-By 1.0"
CUT_FIELDS: dict[str, dict[str, object]] = {
    "serving": {
        "r_position": R_POSITION,
        "filter_band_hz": [HIGH_PASS_HZ, LOW_PASS_HZ],
        "normalisation": USUAL_BEAT_SPAN,
        "inputs": INPUTS,
        "rr_features": RR_FEATURES,
        "labels": LABELS,
    },
    "public": {
        "r_position": 0,
        "filter_band_hz": [],
        "normalisation": "min-max",
        "inputs": ["window"],
        "rr_features": [],
        "labels": [],
    },
}
CHOSEN = (  # the specified network has the first alone
    "abnormal_threshold",
    "supraventricular_threshold",
    "temperature",
    "class_biases",
)


def to_int8(model: keras.Model, inputs: list[NDArray[np.float32]]) -> bytes:
    """A full-integer model; `inputs` are what the float network is given of real beats."""
    names = [tensor.name for tensor in model.inputs]

    def representative_beats() -> Iterator[dict[str, NDArray[np.float32]]]:
        for beat in zip(*inputs, strict=True):
            yield {name: array[np.newaxis] for name, array in zip(names, beat, strict=True)}

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_beats
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def quantise(experiment: Experiment) -> None:
    beats = experiment.beats()
    train = experiment.final(beats[beats.is_trainable]).train
    calibration = train[_unlike_beats(train, experiment.seed)]
    model = keras.models.load_model(experiment.keras_path)
    content = to_int8(model, calibration.network_inputs)
    experiment.tflite_path.parent.mkdir(parents=True, exist_ok=True)
    experiment.tflite_path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    card = _card(experiment, sha256)
    if _is_known(experiment, card):
        print(f"{experiment.tflite_path}: the same {len(content)} bytes as before")
        return
    experiment.card_path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    print(f"{experiment.tflite_path}: {len(content)} bytes")


def _is_known(experiment: Experiment, new: dict[str, object]) -> bool:
    """Whether the card is this model's with the same choices, so that its scores hold."""
    if not experiment.card_path.exists():
        return False
    known = json.loads(experiment.card_path.read_text())
    return all(known.get(name) == new.get(name) for name in ("sha256", *CHOSEN))


def _unlike_beats(train: Beats, seed: int) -> NDArray[np.intp]:
    """Half of them abnormal: the ranges must hold what is rare and large."""
    generator = np.random.default_rng(seed)
    chosen = [
        generator.choice(np.flatnonzero(members), CALIBRATION_BEATS // 2, replace=False)
        for members in (train.is_abnormal, ~train.is_abnormal)
    ]
    return np.concatenate(chosen)


def _card(experiment: Experiment, sha256: str) -> dict[str, object]:
    choices = json.loads(experiment.choices_path.read_text())
    return {
        "name": experiment.tflite_path.stem,
        "sha256": sha256,
        "sample_rate_hz": BEAT_WINDOW_RATE_HZ,
        "window_samples": BEAT_WINDOW_SAMPLES,
        **CUT_FIELDS[experiment.cut.name],
        **{name: choices[name] for name in CHOSEN if name in choices},
        "split": _split(experiment),
        "training": _training(experiment, choices),
        "scores": [],
    }


def _split(experiment: Experiment) -> dict[str, list[str]]:
    if experiment.split == "random":
        return {"by beat, see random_70_15_15.txt": []}
    records = patient_records()
    return {"train": ds1_records(), "test": records["ds2"], "unused": records["paced"]}


def _training(experiment: Experiment, choices: dict[str, object]) -> dict[str, str]:
    return {
        "source": DATA_SOURCE,
        "cut": experiment.cut.name,
        "command": f"python -m model.train {experiment.name}",
        "commit": str(choices["commit"]),
        "seed": str(experiment.seed),
        "epochs": f"folds {choices['epochs']}, final {choices['final_epochs']}",
        "validation_auc": str(choices["validation_auc"]),
        **{name: version(name) for name in ("tensorflow-cpu", "keras", "ai-edge-litert")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for experiment in chosen_experiments(parser):
        quantise(experiment)


if __name__ == "__main__":
    main()
