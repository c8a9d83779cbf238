"""Scores in percent, as the literature defines them; numpy only.

Every score but the AUC is a function of the confusion table: rows are the annotation N S V F Q and
"no beat", columns the label N S V F Q and "no label". The functions take tables (…, 6, 6) and give
arrays (…), so that a bootstrap's thousand tables are scored like the one that was measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.messages import BeatClass
from model.beats import NOT_A_BEAT

CLASSES = tuple(beat_class.value for beat_class in BeatClass)
NO_LABEL = NOT_A_BEAT  # one name for the last row of a table and for its last column
ROWS = (*CLASSES, NOT_A_BEAT)
N, ABNORMAL, NOTHING = 0, slice(1, 5), 5  # positions in a table
MACRO = ("N", "S", "V", "F")  # Q are beats that could not be classified, and DS2 has seven
Counts = NDArray[np.int64] | NDArray[np.float64]


def percent(part: Counts, whole: Counts) -> NDArray[np.float64]:
    """NaN where there is nothing to take a share of."""
    shares = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.divide(100.0 * part, whole, out=shares, where=np.asarray(whole) > 0)


def auc(is_abnormal: NDArray[np.bool_], p_abnormal: NDArray[np.float64]) -> float:
    """Area under the ROC curve (Mann–Whitney)."""
    below = negatives_below(p_abnormal[is_abnormal], p_abnormal[~is_abnormal])
    return float(percent(below.sum(), np.array(below.size * (is_abnormal.size - below.size))))


def negatives_below(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each positive the number of negatives with a lower p; a tie counts half."""
    ranked = np.sort(negatives)
    before, after = (ranked.searchsorted(positives, side) for side in ("left", "right"))
    return (before + after) / 2.0


def best_f1_threshold(
    is_abnormal: NDArray[np.bool_], p_abnormal: NDArray[np.float64], plateau: float = 0.0
) -> float:
    """The lowest threshold, in hundredths, whose F1 is within `plateau` points of the highest."""
    thresholds = np.arange(1, 100) / 100.0
    called = p_abnormal >= thresholds[:, np.newaxis]
    true_positives = (called & is_abnormal).sum(axis=1)
    f1 = percent(2 * true_positives, called.sum(axis=1) + is_abnormal.sum())
    return float(thresholds[int(np.argmax(f1 >= np.nanmax(f1) - plateau))])


def confusion(reference: NDArray[np.str_], given: NDArray[np.str_]) -> NDArray[np.int64]:
    """(6, 6): rows the annotation N S V F Q and "no beat", columns the label and "no label"."""
    return confusion_by(np.zeros(len(reference), np.intp), 1, reference, given)[0]


def confusion_by(
    group: NDArray[np.intp], groups: int, reference: NDArray[np.str_], given: NDArray[np.str_]
) -> NDArray[np.int64]:
    """(groups, 6, 6): the table of each group, which are numbered from 0."""
    size = len(ROWS)
    cells = (group * size + _positions(reference)) * size + _positions(given)
    return np.bincount(cells, minlength=groups * size * size).reshape(groups, size, size)


def _positions(names: NDArray[np.str_]) -> NDArray[np.intp]:
    return (names[:, np.newaxis] == np.array(ROWS)).argmax(axis=1)


def binary_scores(tables: Counts) -> dict[str, NDArray[np.float64]]:
    """Accuracy, precision, recall and F1 of "abnormal".

    A beat without a label is an error of accuracy, and a miss where it is abnormal; a labelled
    detection that is no beat is an error of accuracy, and a false positive where it is called
    abnormal.
    """
    true_positives = tables[..., ABNORMAL, ABNORMAL].sum((-2, -1))
    called, abnormal = tables[..., ABNORMAL].sum((-2, -1)), tables[..., ABNORMAL, :].sum((-2, -1))
    return {
        "accuracy": percent(true_positives + tables[..., N, N], tables.sum((-2, -1))),
        "precision": percent(true_positives, called),
        "recall": percent(true_positives, abnormal),
        "f1": percent(2 * true_positives, called + abnormal),
    }


def false_positives(tables: Counts) -> Counts:
    """Beats that are N, and detections that are no beat, called abnormal."""
    return tables[..., [N, NOTHING], ABNORMAL].sum((-2, -1))


def class_scores(tables: Counts) -> dict[str, NDArray[np.float64]]:
    """Sensitivity and positive predictivity of each class, and the mean sensitivity of N S V F."""
    scores = {}
    for index, name in enumerate(CLASSES):
        right = tables[..., index, index]
        scores[f"{name}_se"] = percent(right, tables[..., index, :].sum(-1))
        scores[f"{name}_ppv"] = percent(right, tables[..., index].sum(-1))
    return scores | {"macro_se": _macro(scores)}


def unnamed_class_scores(tables: Counts) -> dict[str, NDArray[np.float64]]:
    """Of a network that only tells N from the rest: the share of each class that is put right.

    That is called abnormal, and N for N. What was meant by "abnormal" is not known, so there is no
    positive predictivity but N's.
    """
    scores = class_scores(tables)
    unknown = np.full(tables.shape[:-2], np.nan)
    for index, name in list(enumerate(CLASSES))[ABNORMAL]:
        called = tables[..., index, ABNORMAL].sum(-1)
        scores[f"{name}_se"] = percent(called, tables[..., index, :].sum(-1))
        scores[f"{name}_ppv"] = unknown
    return scores | {"macro_se": unknown}


def _macro(scores: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.mean([scores[f"{name}_se"] for name in MACRO], axis=0)
