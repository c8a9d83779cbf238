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

from gateway.beat_classifier import MIN_MAX
from gateway.dsp.beat_windows import R_POSITION
from gateway.dsp.filters import HIGH_PASS_HZ, LOW_PASS_HZ
from gateway.messages import BEAT_WINDOW_RATE_HZ, BEAT_WINDOW_SAMPLES
from model.experiments import SEED, Experiment, chosen_experiments
from model.network import LABELS
from model.partition import ds1_records, patient_records

CALIBRATION_BEATS = 512  # ranges settle from about 300 on
DATA_SOURCE = "MIT-BIH Arrhythmia Database 1.0.0 (Moody & Mark 2001), ODC-By 1.0"
CUT_FIELDS = {
    "serving": {"r_position": R_POSITION, "filter_band_hz": [HIGH_PASS_HZ, LOW_PASS_HZ]},
    "public": {"r_position": 0, "filter_band_hz": []},
}


def to_int8(model: keras.Model, calibration: NDArray[np.float32]) -> bytes:
    """A full-integer model; `calibration` is (n, 187, 1), what the network would be given."""

    def representative_beats() -> Iterator[list[NDArray[np.float32]]]:
        for beat in calibration:
            yield [beat[np.newaxis]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_beats
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def quantise(experiment: Experiment) -> None:
    beats = experiment.beats()
    train = experiment.final(beats[beats.is_trainable]).train
    generator = np.random.default_rng(SEED)
    calibration = train[generator.choice(len(train), CALIBRATION_BEATS, replace=False)]
    model = keras.models.load_model(experiment.keras_path)
    content = to_int8(model, calibration.network_input)
    experiment.tflite_path.parent.mkdir(parents=True, exist_ok=True)
    experiment.tflite_path.write_bytes(content)
    card = _card(experiment, hashlib.sha256(content).hexdigest())
    experiment.card_path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    print(f"{experiment.tflite_path}: {len(content)} bytes")


def _card(experiment: Experiment, sha256: str) -> dict[str, object]:
    choices = json.loads(experiment.keras_path.with_suffix(".json").read_text())
    return {
        "name": experiment.tflite_path.stem,
        "sha256": sha256,
        "sample_rate_hz": BEAT_WINDOW_RATE_HZ,
        "window_samples": BEAT_WINDOW_SAMPLES,
        **CUT_FIELDS[experiment.cut],
        "normalisation": MIN_MAX,
        "inputs": ["window"],
        "labels": list(LABELS) if experiment.network == "shipped" else [],
        "abnormal_threshold": choices["abnormal_threshold"],
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
        "cut": experiment.cut,
        "command": f"python -m model.train {experiment.name}",
        "commit": str(choices["commit"]),
        "seed": str(SEED),
        "epochs": f"folds {choices['epochs']}, final {choices['final_epochs']}",
        "validation_auc": str(choices["validation_auc"]),
        "tensorflow": version("tensorflow-cpu"),
        "keras": version("keras"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for experiment in chosen_experiments(parser):
        quantise(experiment)


if __name__ == "__main__":
    main()
