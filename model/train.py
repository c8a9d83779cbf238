"""`python -m model.train [EXPERIMENT…]`: train the float models; DS2 is never looked at here.

Balanced class weights, Adam, early stopping. A split by patient is validated in four patient-wise
folds of DS1: each fold stops early by itself, the threshold comes from the beats of all four, and
the final model is trained on the whole of DS1 for the folds' median number of epochs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import trange

from gateway.beat_classifier import scale_min_max
from model import network
from model.augment import augmented
from model.beats import Beats
from model.experiments import SEED, Experiment, chosen_experiments, current_commit
from model.partition import Partition
from model.scores import auc, best_f1_threshold

MAX_EPOCHS = 20
PATIENCE_EPOCHS = 5
BATCH_BEATS = 128
LEARNING_RATE = 1e-3
NORMAL_BEATS_PER_EPOCH = 10_000  # N is nine tenths of all; each epoch draws other ones of it
PREDICT_BEATS = 1024
NETWORKS = {"specified": network.specified, "shipped": network.two_headed}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network, its best epoch, and p(abnormal) of the validation beats there."""

    model: keras.Model
    epochs: int
    p_validation: NDArray[np.float32]


class Trainer:
    """Trains one experiment's network; everything random comes from the seed."""

    def __init__(self, experiment: Experiment, seed: int = SEED) -> None:
        self._build = NETWORKS[experiment.network]
        self._augments = experiment.network == "shipped"
        self._seed = seed

    def fit(self, train: Beats, validation: Beats) -> Fitted:
        """Stops when the validation AUC has not risen for `PATIENCE_EPOCHS`; keeps the best."""
        self._start()
        best_auc, best, weights = 0.0, Fitted(self._model, 0, np.empty(0)), []
        epochs = trange(1, MAX_EPOCHS + 1, desc="epochs", disable=None)
        for epoch in epochs:
            self._run_epoch(train)
            p_abnormal = predict(self._model, validation)[network.P_ABNORMAL][:, 0]
            epoch_auc = auc(validation.is_abnormal, p_abnormal)
            epochs.set_postfix(auc=f"{epoch_auc:.2f}")
            if epoch_auc > best_auc:
                best_auc, best = epoch_auc, Fitted(self._model, epoch, p_abnormal)
                weights = self._model.get_weights()
            elif epoch - best.epochs >= PATIENCE_EPOCHS:
                break
        self._model.set_weights(weights)
        return best

    def fit_for(self, train: Beats, epochs: int) -> keras.Model:
        self._start()
        for _ in trange(epochs, desc="final", disable=None):
            self._run_epoch(train)
        return self._model

    def _start(self) -> None:
        keras.utils.set_random_seed(self._seed)
        self._generator = np.random.default_rng(self._seed)
        self._model = self._build()
        losses = {network.P_ABNORMAL: "binary_crossentropy"}
        if network.AAMI_CLASS in self._model.output_names:
            losses[network.AAMI_CLASS] = "sparse_categorical_crossentropy"
        self._model.compile(keras.optimizers.Adam(LEARNING_RATE), loss=losses)
        self._outputs = list(losses)

    def _run_epoch(self, train: Beats) -> None:
        drawn = train[_epoch_beats(train, self._generator)]
        windows = drawn.windows
        if self._augments:
            windows = augmented(windows, self._generator)
        targets, weights = _targets(drawn)
        self._model.fit(
            scale_min_max(windows)[:, :, np.newaxis],
            {name: targets[name] for name in self._outputs},
            sample_weight={name: weights[name] for name in self._outputs},
            batch_size=BATCH_BEATS,
            verbose=0,
        )


def _epoch_beats(train: Beats, generator: np.random.Generator) -> NDArray[np.intp]:
    """Every abnormal beat and a fresh draw of the normal ones."""
    normal = np.flatnonzero(~train.is_abnormal)
    drawn = min(NORMAL_BEATS_PER_EPOCH, len(normal))
    chosen = generator.choice(normal, drawn, replace=False)
    return np.concatenate((np.flatnonzero(train.is_abnormal), chosen))


def _targets(beats: Beats) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """What each head should say and how much each beat counts.

    The sigmoid's weights are balanced. The class head's grow with the root of a class's rarity
    only: fully balanced, DS1's eight Q beats would count as much as its 45,000 N beats.
    """
    abnormal = beats.is_abnormal.astype(np.intp)
    classes = np.array([network.LABELS.index(name) for name in beats.aami])
    targets = {network.P_ABNORMAL: abnormal[:, np.newaxis], network.AAMI_CLASS: classes}
    weights = {
        network.P_ABNORMAL: _rarity(abnormal),
        network.AAMI_CLASS: np.sqrt(_rarity(classes)),
    }
    return targets, {name: weight / weight.mean() for name, weight in weights.items()}


def _rarity(classes: NDArray[np.intp]) -> NDArray[np.float64]:
    return len(classes) / np.bincount(classes)[classes]


def predict(model: keras.Model, beats: Beats) -> dict[str, NDArray[np.float32]]:
    """Output name → what the float model gives for each beat."""
    return model.predict(beats.network_input, batch_size=PREDICT_BEATS, verbose=0)


def train(experiment: Experiment) -> None:
    """Leaves the float model, and beside it the choices made on the way there."""
    beats = experiment.beats()
    beats = beats[beats.is_trainable]
    trainer = Trainer(experiment)
    folds = experiment.folds(beats)
    fitted = [trainer.fit(fold.train, fold.validation) for fold in folds]
    model, epochs = fitted[0].model, fitted[0].epochs
    if experiment.split == "ds2":
        epochs = round(float(np.median([fold.epochs for fold in fitted])))
        model = trainer.fit_for(experiment.final(beats).train, epochs)
    experiment.keras_path.parent.mkdir(parents=True, exist_ok=True)
    model.save(experiment.keras_path)
    choices = _choices(folds, fitted) | {"final_epochs": epochs, "commit": current_commit()}
    experiment.keras_path.with_suffix(".json").write_text(json.dumps(choices, indent=1))
    print(experiment.name, choices)


def _choices(folds: list[Partition], fitted: list[Fitted]) -> dict[str, object]:
    is_abnormal = np.concatenate([fold.validation.is_abnormal for fold in folds])
    p_abnormal = np.concatenate([fold.p_validation for fold in fitted])
    return {
        "abnormal_threshold": best_f1_threshold(is_abnormal, p_abnormal),
        "epochs": [fold.epochs for fold in fitted],
        "validation_auc": round(auc(is_abnormal, p_abnormal), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tf.config.experimental.enable_op_determinism()
    for experiment in chosen_experiments(parser):
        train(experiment)


if __name__ == "__main__":
    main()
