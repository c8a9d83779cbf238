"""How each network is trained: its inputs, its targets, and how much each beat counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import scale_waveforms
from gateway.messages import BeatClass
from model import network
from model.augment import augmented
from model.beats import Beats, TrainingBeats
from model.imagined_patients import imagined_patients
from model.scores import CLASSES

BATCH_BEATS = 128
NORMAL_BEATS_PER_EPOCH = 9_000  # N is nine tenths of all; each epoch draws other ones of it
IMAGINED_BEATS_PER_EPOCH = 3_000  # of patients in whom supraventricular beats are the most
PATIENT_BALANCE = 0.7  # ... and less often from a patient with many: 1 would be equal shares
RECORD_CLASS_BALANCE = 0.3  # a thousand alike beats of one patient say less than of many
EPOCH_BEATS = NORMAL_BEATS_PER_EPOCH + IMAGINED_BEATS_PER_EPOCH + 5_000  # ... and the abnormal
LEAST_CLASS_BEATS = 300  # a class is weighted up to this rarity; DS1 has eight Q beats


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass of training is given, row for row."""

    inputs: list[NDArray[np.float32]]
    targets: NDArray[np.intp]
    weights: NDArray[np.float64]


class Recipe(Protocol):
    """What differs between the trainings of the two networks."""

    max_epochs: int
    patience_epochs: int  # without a better validation AUC before training stops

    def compiled(self, epochs: int) -> keras.Model: ...

    def epochs(self, train: Beats, generator: np.random.Generator) -> Iterator[Epoch]:
        """Without end."""
        ...

    def p_abnormal(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Not calibrated; (n,)."""
        ...


class SpecifiedRecipe:
    """All beats, balanced class weights, Adam, early stopping."""

    max_epochs = 20
    patience_epochs = 3

    def compiled(self, epochs: int) -> keras.Model:
        model = network.specified()
        model.compile(keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
        return model

    def epochs(self, train: Beats, generator: np.random.Generator) -> Iterator[Epoch]:
        while True:
            drawn = train[generator.permutation(len(train))]
            abnormal = drawn.is_abnormal.astype(np.intp)
            weights = len(abnormal) / (2.0 * np.bincount(abnormal)[abnormal])
            yield Epoch(drawn.network_inputs, abnormal, weights)

    def p_abnormal(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return outputs[:, 0]


class ShippedRecipe:
    """Augmented beats, weights by the root of rarity, AdamW on a cosine, a fixed length."""

    max_epochs = patience_epochs = 24

    def compiled(self, epochs: int) -> keras.Model:
        steps = epochs * EPOCH_BEATS // BATCH_BEATS
        rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
        model = network.shipped()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), loss=loss)
        return model

    def epochs(self, train: TrainingBeats, generator: np.random.Generator) -> Iterator[Epoch]:
        imagined = imagined_patients(train, generator)
        imagined = replace(imagined, record=np.char.add(imagined.record, " imagined"))
        while True:
            yield self._epoch(train, imagined, generator)

    def _epoch(
        self, train: TrainingBeats, imagined: TrainingBeats, generator: np.random.Generator
    ) -> Epoch:
        chosen = generator.permutation(len(imagined))[:IMAGINED_BEATS_PER_EPOCH]
        drawn, imagined = train[_epoch_beats(train, generator)], imagined[chosen]
        shown = augmented(drawn, imagined, generator)
        waveforms = scale_waveforms(shown.windows, shown.usual, shown.late)
        classes = np.array([CLASSES.index(name) for name in shown.aami])
        weights = _weights(TrainingBeats.join([drawn, imagined]), classes)
        order = generator.permutation(len(classes))
        return Epoch([waveforms[order], shown.rr_features[order]], classes[order], weights[order])

    def p_abnormal(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return 1.0 - odds[:, CLASSES.index(BeatClass.NORMAL)] / odds.sum(axis=1)


RECIPES: dict[str, type[Recipe]] = {"specified": SpecifiedRecipe, "shipped": ShippedRecipe}


def _epoch_beats(train: Beats, generator: np.random.Generator) -> NDArray[np.intp]:
    """Every abnormal beat and a fresh draw of the normal ones."""
    normal = np.flatnonzero(~train.is_abnormal)
    _, patient, counts = np.unique(train.record[normal], return_inverse=True, return_counts=True)
    share = counts[patient].astype(np.float64) ** -PATIENT_BALANCE
    drawn = generator.choice(
        normal, min(NORMAL_BEATS_PER_EPOCH, len(normal)), replace=False, p=share / share.sum()
    )
    return np.concatenate((np.flatnonzero(train.is_abnormal), drawn))


def _weights(beats: Beats, classes: NDArray[np.intp]) -> NDArray[np.float64]:
    counts = np.bincount(classes, minlength=len(CLASSES)).clip(LEAST_CLASS_BEATS)
    rarity = np.sqrt(len(classes) / counts[classes])
    of_patient = np.char.add(beats.record, beats.aami)
    _, group, sizes = np.unique(of_patient, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = rarity * sizes[group].astype(np.float64) ** -RECORD_CLASS_BALANCE
    return weights / weights.mean()
