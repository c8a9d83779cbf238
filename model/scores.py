"""Scores in percent, as the literature defines them; numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from gateway.messages import BeatClass
from model.beats import NOT_A_BEAT

CLASSES = tuple(beat_class.value for beat_class in BeatClass)


def percent(part: float, whole: float) -> float:
    """NaN where there is nothing to take a share of."""
    return float(100.0 * part / whole) if whole else float("nan")


def auc(is_abnormal: NDArray[np.bool_], p_abnormal: NDArray[np.float64]) -> float:
    """Area under the ROC curve, by the Mann–Whitney rank sum; ties count half."""
    positives = int(is_abnormal.sum())
    negatives = len(is_abnormal) - positives
    rank_sum = rankdata(p_abnormal)[is_abnormal].sum()
    return percent(rank_sum - positives * (positives + 1) / 2, positives * negatives)


def binary_scores(
    is_abnormal: NDArray[np.bool_], called_abnormal: NDArray[np.bool_]
) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of "abnormal"."""
    true_positives = int((is_abnormal & called_abnormal).sum())
    precision = percent(true_positives, int(called_abnormal.sum()))
    recall = percent(true_positives, int(is_abnormal.sum()))
    errors = int((is_abnormal ^ called_abnormal).sum())
    return {
        "accuracy": percent(len(is_abnormal) - errors, len(is_abnormal)),
        "precision": precision,
        "recall": recall,
        "f1": percent(2 * true_positives, int(is_abnormal.sum() + called_abnormal.sum())),
    }


def best_f1_threshold(is_abnormal: NDArray[np.bool_], p_abnormal: NDArray[np.float64]) -> float:
    """The threshold, in hundredths, at which F1 is highest."""
    thresholds = np.arange(1, 100) / 100.0
    f1 = [binary_scores(is_abnormal, p_abnormal >= t)["f1"] for t in thresholds]
    return float(thresholds[int(np.argmax(f1))])


def confusion(reference: NDArray[np.str_], given: NDArray[np.str_]) -> NDArray[np.int64]:
    """(6, 6): rows the annotation N S V F Q and "no beat", columns the label and "no label"."""
    rows = (*CLASSES, NOT_A_BEAT)
    return np.array([[((reference == r) & (given == g)).sum() for g in rows] for r in rows])


def class_scores(table: NDArray[np.int64]) -> dict[str, float]:
    """Sensitivity and positive predictivity of each class of a confusion table."""
    scores = {}
    for index, name in enumerate(CLASSES):
        scores[f"{name}_se"] = percent(table[index, index], table[index].sum())
        scores[f"{name}_ppv"] = percent(table[index, index], table[:, index].sum())
    return scores
