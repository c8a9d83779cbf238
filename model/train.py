"""`python -m model.train [EXPERIMENT…]`: train the float models; DS2 is never looked at here.

A split by patient is validated in four patient-wise folds of DS1, on every core at once: threshold,
calibration and length of training come from the beats of all four, and the final model is trained
on the whole of DS1. Everything random comes from the experiment's seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm, trange

from model.beats import Beats
from model.calibrate import calibrate
from model.experiments import Experiment, chosen_experiments, current_commit
from model.partition import Partition
from model.recipes import BATCH_BEATS, RECIPES, Epoch, Recipe
from model.scores import CLASSES, auc, best_f1_threshold

PREDICT_BEATS = 1024


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network's weights, its best epoch, and its outputs for the validation beats."""

    weights: list[NDArray[np.float32]]
    epochs: int
    outputs: NDArray[np.float32]


def fit(recipe: Recipe, partition: Partition, seed: int) -> Fitted:
    """Stops where the validation AUC has not risen for the recipe's patience; keeps the best."""
    model, epochs = _started(recipe, partition.train, recipe.max_epochs, seed)
    best, best_auc, fitted = 0, 0.0, None
    for epoch in range(1, recipe.max_epochs + 1):
        _run_epoch(model, next(epochs))
        if recipe.patience_epochs >= recipe.max_epochs and epoch < recipe.max_epochs:
            continue
        outputs = predict(model, partition.validation)
        epoch_auc = auc(partition.validation.is_abnormal, recipe.p_abnormal(outputs))
        if epoch_auc > best_auc:
            best, best_auc = epoch, epoch_auc
            fitted = Fitted(model.get_weights(), epoch, outputs)
        elif epoch - best >= recipe.patience_epochs:
            break
    assert fitted is not None, "any AUC is above 0"
    return fitted


def fit_for(recipe: Recipe, train: Beats, epochs: int, seed: int) -> keras.Model:
    model, drawn = _started(recipe, train, epochs, seed)
    for _ in trange(epochs, desc="final epochs", disable=None):
        _run_epoch(model, next(drawn))
    return model


def predict(model: keras.Model, beats: Beats) -> NDArray[np.float32]:
    """(n, outputs)."""
    outputs: NDArray[np.float32] = model.predict(
        beats.network_inputs, batch_size=PREDICT_BEATS, verbose=0
    )
    return outputs


def _started(
    recipe: Recipe, train: Beats, epochs: int, seed: int
) -> tuple[keras.Model, Iterator[Epoch]]:
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return recipe.compiled(epochs), recipe.epochs(train, np.random.default_rng(seed))


def _run_epoch(model: keras.Model, epoch: Epoch) -> None:
    model.fit(
        epoch.inputs,
        epoch.targets,
        sample_weight=epoch.weights,
        batch_size=BATCH_BEATS,
        shuffle=False,
        verbose=0,
    )


def _fit_fold(experiment: Experiment, fold: int) -> Fitted:
    """In a process of its own, with one thread."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return fit(RECIPES[experiment.network](), _folds(experiment)[fold], experiment.seed)


def _folds(experiment: Experiment) -> list[Partition]:
    beats = experiment.beats()
    return experiment.folds(beats[beats.is_trainable])


def train(experiment: Experiment) -> None:
    """Leaves the float model, and beside it the choices made on the way there."""
    recipe = RECIPES[experiment.network]()
    folds = _folds(experiment)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        running = workers.map(_fit_fold, [experiment] * len(folds), range(len(folds)))
        fitted = list(tqdm(running, f"{experiment.name} folds", len(folds), disable=None))
    epochs = round(float(np.median([fold.epochs for fold in fitted])))
    if experiment.split == "ds2":
        beats = experiment.beats()
        final = experiment.final(beats[beats.is_trainable]).train
        model = fit_for(recipe, final, epochs, experiment.seed)
    else:
        model = recipe.compiled(epochs)
        model.set_weights(fitted[0].weights)
    experiment.keras_path.parent.mkdir(parents=True, exist_ok=True)
    model.save(experiment.keras_path)
    choices = _choices(experiment, recipe, folds, fitted) | {"final_epochs": epochs}
    experiment.choices_path.write_text(json.dumps(choices, indent=1))
    print(experiment.name, choices)


def _choices(
    experiment: Experiment, recipe: Recipe, folds: list[Partition], fitted: list[Fitted]
) -> dict[str, object]:
    outputs = np.concatenate([fold.outputs for fold in fitted])
    is_abnormal = np.concatenate([fold.validation.is_abnormal for fold in folds])
    aami = np.concatenate([fold.validation.aami for fold in folds])
    np.savez(experiment.validation_path, outputs=outputs, aami=aami)
    p_abnormal = recipe.p_abnormal(outputs)
    choices: dict[str, object] = {
        "epochs": [fold.epochs for fold in fitted],
        "validation_auc": round(auc(is_abnormal, p_abnormal), 2),
        "commit": current_commit(),
    }
    if experiment.network == "specified":
        return choices | {"abnormal_threshold": best_f1_threshold(is_abnormal, p_abnormal)}
    classes = np.array([CLASSES.index(name) for name in aami])
    return choices | asdict(calibrate(outputs.astype(np.float64), classes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for experiment in chosen_experiments(parser):
        train(experiment)


if __name__ == "__main__":
    main()
