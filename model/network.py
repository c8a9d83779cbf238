"""The two networks: the specified one, and the smaller one that ships."""

from __future__ import annotations

import keras
from keras import layers

from gateway.beat_classifier import INPUTS, WAVEFORMS
from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from gateway.messages import BEAT_WINDOW_SAMPLES, BeatClass

# From 0.37 s before R to 0.50 s after it: the P wave and the T wave, and seldom a neighbour. How
# early a beat is then reaches the network in one way alone, through the RR features.
BEAT_REACH = (R_POSITION - 46, BEAT_WINDOW_SAMPLES - R_POSITION - 62)
LABELS = tuple(beat_class.value for beat_class in BeatClass)


def specified() -> keras.Model:
    """p(abnormal) from one window; input (n, 187, 1), output (n, 1)."""
    window = keras.Input((BEAT_WINDOW_SAMPLES, 1), name="window")
    features = _specified_block(window, filters=32)
    features = _specified_block(features, filters=64)
    features = layers.Dense(32, activation="relu")(layers.Flatten()(features))
    features = layers.Dropout(0.3)(features)
    return keras.Model(window, layers.Dense(1, activation="sigmoid")(features))


def _specified_block(features: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    features = layers.Conv1D(filters, 3)(features)
    features = layers.ReLU()(layers.BatchNormalization()(features))
    return layers.Dropout(0.2)(layers.MaxPooling1D(2)(features))


def shipped() -> keras.Model:
    """Logits of the AAMI classes, (n, 5), from a beat beside its patient's others and RR intervals.

    Inputs (n, 187, 3) and (n, 17). The logits are the output because TFLite's int8 softmax differs
    by a step between x86-64 and arm64, and what makes probabilities of them is fitted afterwards.
    """
    waveforms = keras.Input((BEAT_WINDOW_SAMPLES, WAVEFORMS), name=INPUTS[0])
    rr_features = keras.Input((len(RR_FEATURES),), name=INPUTS[1])
    beat = layers.Cropping1D(BEAT_REACH)(waveforms)
    shape = _block(beat, filters=12, width=7, stride=2)  # 16 ms a step: 40 Hz still fits
    shape = layers.MaxPooling1D(2)(_block(shape, filters=16, width=5))
    shape = layers.MaxPooling1D(2)(_block(shape, filters=24, width=5))
    shape = layers.AveragePooling1D(4)(_block(shape, filters=32, width=3))
    shape = layers.Dropout(0.3)(layers.Flatten()(shape))
    timing = layers.Dense(24, activation="relu")(rr_features)
    both = layers.Dense(48, activation="relu")(layers.Concatenate()([shape, timing]))
    logits = layers.Dense(len(LABELS))(layers.Dropout(0.3)(both))
    return keras.Model([waveforms, rr_features], logits)


def _block(
    features: keras.KerasTensor, filters: int, width: int, stride: int = 1
) -> keras.KerasTensor:
    features = layers.Conv1D(filters, width, stride, padding="same", use_bias=False)(features)
    return layers.Dropout(0.1)(layers.ReLU()(layers.BatchNormalization()(features)))
