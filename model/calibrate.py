"""From logits to probabilities that mean what they say, fitted on beats of unseen patients.

Bias-corrected temperature scaling (Alexandari, Kundaje & Shrikumar 2020): rare classes weigh more
in training than they occur, and the biases take that back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from gateway.beat_classifier import probabilities
from gateway.messages import BeatClass
from model.scores import CLASSES, best_f1_threshold

# F1 hardly changes over a wide range of thresholds, so where it peaks there is chance. A beat that
# is marked for nothing costs a nurse less than one that is missed: the sensitive end of that range.
F1_PLATEAU = 0.3
BIAS_PENALTY = 1e-4  # keeps the bias of a class that hardly occurs where it is


@dataclass(frozen=True, slots=True)
class Calibration:
    temperature: float
    class_biases: list[float]
    abnormal_threshold: float
    supraventricular_threshold: float


def calibrate(logits: NDArray[np.float64], classes: NDArray[np.intp]) -> Calibration:
    """Of logits (n, 5) and the annotated classes (n,), by their log loss; then the thresholds.

    These give nearly the best F1 of "abnormal" and of S, as sensitively as can be.
    """

    def log_loss(parameters: NDArray[np.float64]) -> float:
        shares = probabilities(logits, float(np.exp(parameters[0])), parameters[1:])
        likelihood = np.log(shares[np.arange(len(classes)), classes] + 1e-12)
        return float(-likelihood.mean() + BIAS_PENALTY * (parameters[1:] ** 2).sum())

    fitted = minimize(log_loss, np.zeros(1 + len(CLASSES)), method="L-BFGS-B").x
    temperature = round(float(np.exp(fitted[0])), 4)
    biases = [round(float(bias), 4) for bias in fitted[1:]]
    shares = probabilities(logits, temperature, biases)
    normal, supraventricular = map(CLASSES.index, (BeatClass.NORMAL, BeatClass.SUPRAVENTRICULAR))
    return Calibration(
        temperature,
        biases,
        best_f1_threshold(classes != normal, 1.0 - shares[:, normal], F1_PLATEAU),
        best_f1_threshold(classes == supraventricular, shares[:, supraventricular], F1_PLATEAU),
    )
