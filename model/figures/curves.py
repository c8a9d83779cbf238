"""ROC and precision–recall curves of "abnormal", and where the labels lie on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.figures.style import BLUE, GREY, VERMILION, WIDTH_IN
from model.predictions import Predictions
from model.scores import ABNORMAL, CLASSES, NO_LABEL, auc

LOOKS = {  # the squares are larger, so that they can be seen behind the circles
    "specified": {"color": BLUE, "marker": "s", "markersize": 10, "linewidth": 1.6},
    "shipped": {"color": VERMILION, "marker": "o", "markersize": 7, "linewidth": 1.6},
}
LINES = {"random": (0, (4, 1.5)), "ds2": "-"}
SPLIT_NAMES = {"random": "random split", "ds2": "DS1 → DS2"}


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares 0–1 of the beats called abnormal: (n,), or scalars; no precision where none are."""

    recall: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]
    precision: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """`auc` in percent, as in the scores."""

    auc: float
    thresholds: Rates  # (n,), from no beat called abnormal to all of them
    labels: Rates  # scalars: what the model's labels say, which is its operating point

    @property
    def average_precision(self) -> float:
        """Precision weighted by the recall that each threshold adds; nothing interpolated."""
        return float((np.diff(self.thresholds.recall) * self.thresholds.precision[1:]).sum())


def curve(predictions: Predictions) -> Curve:
    """Rows count as they do in the scores.

    A beat without a label has p = 0, a false detection is not abnormal, and one without a label
    counts nowhere.
    """
    counted = predictions[predictions.beats.is_beat | (predictions.labels != NO_LABEL)]
    is_abnormal, p_abnormal = counted.beats.is_abnormal, counted.p_abnormal
    highest_first = np.argsort(-p_abnormal, kind="stable")
    ends_a_tie = np.append(np.diff(p_abnormal[highest_first]) != 0, True)
    called = np.append(0, np.flatnonzero(ends_a_tie) + 1)
    found = np.append(0, np.cumsum(is_abnormal[highest_first])[ends_a_tie])
    called_abnormal = np.isin(counted.labels, CLASSES[ABNORMAL])
    found_by_labels = (is_abnormal & called_abnormal).sum()
    return Curve(
        auc(is_abnormal, p_abnormal),
        _rates(found, called, is_abnormal),
        _rates(found_by_labels, called_abnormal.sum(), is_abnormal),
    )


def _rates(
    found: NDArray[np.int64], called: NDArray[np.int64], is_abnormal: NDArray[np.bool_]
) -> Rates:
    """From the number of abnormal beats found and the number of beats called abnormal."""
    return Rates(
        recall=found / is_abnormal.sum(),
        false_positive_rate=(called - found) / (~is_abnormal).sum(),
        precision=found / np.where(called > 0, called, np.nan),
    )


def draw(curves: dict[tuple[str, str], Curve]) -> Figure:
    """One pair of lines for each (network, split)."""
    figure = Figure(figsize=(WIDTH_IN, 5.1))
    roc, precision_recall = figure.subplots(1, 2)
    _name_axes(roc, "ROC", "false positive rate (%)", "sensitivity (%)")
    _name_axes(precision_recall, "Precision–recall", "sensitivity, recall (%)", "precision (%)")
    roc.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=":")
    for (network, split), drawn in curves.items():
        look = LOOKS[network] | {"linestyle": LINES[split]}
        summary = f"AUC {drawn.auc:.1f}, AP {100 * drawn.average_precision:.1f}"
        label = f"{network}, {SPLIT_NAMES[split]}: {summary}"
        _draw_line(roc, drawn, ("false_positive_rate", "recall"), look, label)
        _draw_line(precision_recall, drawn, ("recall", "precision"), look, label)
    legend = {"loc": "outside lower center", "ncols": 2, "handlelength": 4}
    figure.legend(*roc.get_legend_handles_labels(), **legend)
    return figure


def _name_axes(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set(title=title, xlabel=across, ylabel=up, xlim=(-1, 101), ylim=(-1, 101), aspect="equal")


def _draw_line(
    axes: Axes, drawn: Curve, rates: tuple[str, str], look: dict[str, Any], label: str
) -> None:
    """The whole curve, and a marker where the labels lie."""
    along = [100 * getattr(drawn.thresholds, rate) for rate in rates]
    point = [100 * getattr(drawn.labels, rate) for rate in rates]
    axes.plot(*along, **look, markevery=[], label=label)
    axes.plot(*point, **look, markeredgecolor="white")
