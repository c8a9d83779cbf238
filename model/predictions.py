"""What a finished model says of every beat of a test part, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from gateway.beat_classifier import most_fitting, probabilities
from gateway.messages import BeatClass
from gateway.tflite_classifier import TfliteClassifier
from model.beats import Beats, ServingBeats
from model.cards import card
from model.experiments import Experiment
from model.record_counts import RecordCounts, Scores, count_records
from model.scores import CLASSES, NO_LABEL, confusion

RECORD_HOURS = 650_000 / 360 / 3600  # every MIT-BIH record has 650,000 samples


@dataclass(frozen=True, slots=True)
class Predictions:
    """Beats of a test part and a model's word on each.

    `labels` hold the AAMI class, "" where there is none, since the beat was missed or its signal
    was too poor: such a beat gets p = 0. `names_classes` is False for the specified network, which
    only tells N from the rest (the rest is then "Q").
    """

    beats: Beats
    p_abnormal: NDArray[np.float64]
    labels: NDArray[np.str_]
    names_classes: bool

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Predictions:
        return Predictions(
            self.beats[chosen], self.p_abnormal[chosen], self.labels[chosen], self.names_classes
        )

    def confusion(self) -> NDArray[np.int64]:
        return confusion(self.beats.aami, self.labels)

    def by_record(self, hours: float) -> RecordCounts:
        """What the scores and their intervals need to know, of `hours` of ECG."""
        return count_records(
            self.beats.record,
            self.beats.aami,
            self.labels,
            self.p_abnormal,
            hours,
            self.names_classes,
        )

    def scores(self, hours: float) -> Scores:
        return self.by_record(hours).scores()

    def scores_of_whole_records(self) -> Scores:
        """Where the beats are all of their records, not a random share of them."""
        return self.scores(len(set(self.beats.record)) * RECORD_HOURS)


def recorded_hours(experiment: Experiment, all_beats: Beats, test: Beats) -> float:
    """Hours of ECG that the test part stands for."""
    if experiment.split == "random":
        return len(set(all_beats.record)) * RECORD_HOURS * len(test) / len(all_beats)
    return len(set(test.record)) * RECORD_HOURS


def int8_predictions(experiment: Experiment, beats: Beats) -> Predictions:
    """The shipped network goes through the gateway's own classifier."""
    if isinstance(beats, ServingBeats):
        return classified(experiment.tflite_path, beats)
    p_abnormal = _int8_p_abnormal(experiment.tflite_path, *beats.network_inputs)
    return _binary_predictions(beats, p_abnormal, card(experiment)["abnormal_threshold"])


def float_predictions(experiment: Experiment, beats: Beats) -> Predictions:
    """The float model that training left in build/models."""
    import keras  # the "train" extra; re-scoring the artefacts does without it

    model = keras.models.load_model(experiment.keras_path)
    outputs = model.predict(beats.network_inputs, batch_size=1024, verbose=0).astype(np.float64)
    stated = card(experiment)
    if experiment.network == "specified":
        return _binary_predictions(beats, outputs[:, 0], stated["abnormal_threshold"])
    shares = probabilities(outputs, stated["temperature"], stated["class_biases"])
    thresholds = stated["abnormal_threshold"], stated["supraventricular_threshold"]
    labels = most_fitting(shares, CLASSES, *thresholds)
    return _without_missed(beats, 1.0 - shares[:, 0], labels, names_classes=True)


def classified(tflite_path: Path, beats: ServingBeats) -> Predictions:
    """The labels that the gateway would give with the model at `tflite_path`."""
    labels = TfliteClassifier(tflite_path).classify(beats.in_context())
    return _without_missed(
        beats,
        np.array([label.p_abnormal for label in labels]),
        np.array([label.beat_class.value for label in labels]),
        names_classes=True,
    )


def _binary_predictions(
    beats: Beats, p_abnormal: NDArray[np.float64], threshold: float
) -> Predictions:
    labels = np.where(p_abnormal < threshold, BeatClass.NORMAL.value, BeatClass.UNKNOWN.value)
    return _without_missed(beats, p_abnormal, labels, names_classes=False)


def _without_missed(
    beats: Beats, p_abnormal: NDArray[np.float64], labels: NDArray[np.str_], names_classes: bool
) -> Predictions:
    return Predictions(
        beats,
        np.where(beats.has_window, p_abnormal, 0.0),
        np.where(beats.has_window, labels, NO_LABEL),
        names_classes,
    )


def _int8_p_abnormal(tflite_path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    interpreter = Interpreter(str(tflite_path), num_threads=1)
    given, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(given["index"], inputs.shape)
    interpreter.allocate_tensors()
    scale, zero_point = given["quantization"]
    steps = np.clip(np.rint(inputs / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(given["index"], steps)
    interpreter.invoke()
    scale, zero_point = output["quantization"]
    output_steps = interpreter.get_tensor(output["index"])[:, 0].astype(np.float64)
    return scale * (output_steps - zero_point)
