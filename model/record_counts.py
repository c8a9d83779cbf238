"""What a model said of each record, counted so that any mix of the records is scored at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.beats import NOT_A_BEAT
from model.scores import (
    ABNORMAL,
    CLASSES,
    NO_LABEL,
    binary_scores,
    class_scores,
    confusion_by,
    false_positives,
    negatives_below,
    percent,
    unnamed_class_scores,
)

Scores = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """Confusion tables (r, 6, 6) and ordered pairs (r, r) of r records of equal length.

    `ordered_pairs[i, j]` counts the pairs of an abnormal beat of record i and a negative of record
    j where the abnormal one has the higher p(abnormal), a tie as a half: the AUC's numerator.
    """

    tables: NDArray[np.int64]
    ordered_pairs: NDArray[np.float64]
    hours_a_record: float
    names_classes: bool

    def scores_of(self, mixes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Each score of k mixes (k, r), which say how often a record counts; NaN for unknown.

        Percent, but for `false_positives_per_hour` and the number of rows `n`.
        """
        tables = np.tensordot(mixes, self.tables, axes=1)
        by_class = class_scores if self.names_classes else unnamed_class_scores
        hours = mixes.sum(axis=1) * self.hours_a_record
        return {
            **binary_scores(tables),
            "auc": self._auc(mixes, tables),
            **by_class(tables),
            "false_positives_per_hour": false_positives(tables) / hours,
            "n": tables.sum((-2, -1)),
        }

    def _auc(self, mixes: NDArray[np.float64], tables: NDArray[np.float64]) -> NDArray[np.float64]:
        positives = tables[:, ABNORMAL].sum((-2, -1))
        negatives = tables.sum((-2, -1)) - positives
        ordered = np.einsum("ki,ij,kj->k", mixes, self.ordered_pairs, mixes, optimize=True)
        return percent(ordered, positives * negatives)

    def scores(self) -> Scores:
        """Of every record once, rounded; None where there is nothing to take a share of."""
        measured = self.scores_of(np.ones((1, len(self.tables))))
        rounded = {name: rounded_or_none(value[0]) for name, value in measured.items()}
        return rounded | {"n": int(measured["n"][0])}


def count_records(
    record: NDArray[np.str_],
    reference: NDArray[np.str_],
    labels: NDArray[np.str_],
    p_abnormal: NDArray[np.float64],
    hours: float,
    names_classes: bool,
) -> RecordCounts:
    """Arrays (n,) of one row a beat; `hours` of ECG are shared evenly by the records.

    A detection that is no beat and has no label harms nobody, and counts nowhere.
    """
    counted = (reference != NOT_A_BEAT) | (labels != NO_LABEL)
    names, group = np.unique(record[counted], return_inverse=True)
    tables = confusion_by(group, len(names), reference[counted], labels[counted])
    is_abnormal = np.isin(reference[counted], CLASSES[ABNORMAL])
    pairs = _ordered_pairs(group, len(names), is_abnormal, p_abnormal[counted])
    return RecordCounts(tables, pairs, hours / len(names), names_classes)


def _ordered_pairs(
    group: NDArray[np.intp],
    groups: int,
    is_abnormal: NDArray[np.bool_],
    p_abnormal: NDArray[np.float64],
) -> NDArray[np.float64]:
    positives, group_of_positive = p_abnormal[is_abnormal], group[is_abnormal]
    pairs = np.empty((groups, groups))
    for other in range(groups):
        below = negatives_below(positives, p_abnormal[~is_abnormal & (group == other)])
        pairs[:, other] = np.bincount(group_of_positive, below, minlength=groups)
    return pairs


def rounded_or_none(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 2)
