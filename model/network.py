"""The two networks: the specified one, and the same trunk with a second head that ships."""

from __future__ import annotations

import keras
from keras import layers

from gateway.messages import BEAT_WINDOW_SAMPLES, BeatClass

LABELS = tuple(beat_class.value for beat_class in BeatClass)
P_ABNORMAL = "p_abnormal"
AAMI_CLASS = "aami_class"


def specified() -> keras.Model:
    """p(abnormal) from one window; input (n, 187, 1), output (n, 1)."""
    window = keras.Input((BEAT_WINDOW_SAMPLES, 1), name="window")
    return keras.Model(window, {P_ABNORMAL: _p_abnormal(_trunk(window))})


def two_headed() -> keras.Model:
    """The specified network with a five-class softmax beside the sigmoid.

    A binary network can't name the AAMI class that the rhythm rules and the screen need.
    """
    window = keras.Input((BEAT_WINDOW_SAMPLES, 1), name="window")
    features = _trunk(window)
    aami_class = layers.Dense(len(LABELS), activation="softmax", name=AAMI_CLASS)(features)
    return keras.Model(window, {P_ABNORMAL: _p_abnormal(features), AAMI_CLASS: aami_class})


def _trunk(window: keras.KerasTensor) -> keras.KerasTensor:
    features = _convolution_block(window, filters=32)
    features = _convolution_block(features, filters=64)
    features = layers.Dense(32, activation="relu")(layers.Flatten()(features))
    return layers.Dropout(0.3)(features)


def _convolution_block(features: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    features = layers.Conv1D(filters, 3)(features)
    features = layers.ReLU()(layers.BatchNormalization()(features))
    return layers.Dropout(0.2)(layers.MaxPooling1D(2)(features))


def _p_abnormal(features: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Dense(1, activation="sigmoid", name=P_ABNORMAL)(features)
