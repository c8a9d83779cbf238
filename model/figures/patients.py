"""How the served model does on each patient, which a mean over all beats hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gateway.messages import BeatClass
from model.figures.style import BLUE, GREY, VERMILION, WIDTH_IN
from model.predictions import RECORD_HOURS, Predictions
from model.scores import CLASSES, class_scores, false_positives


@dataclass(frozen=True, slots=True)
class Bar:
    """One record's figure, NaN where it has no such beats, and the number of beats behind it."""

    record: str
    height: float
    count: int


def sensitivities(predictions: Predictions, beat_class: BeatClass) -> list[Bar]:
    """Percent of each record's beats of the class that got its label; highest first."""
    tables = _tables(predictions)
    counts = tables[:, CLASSES.index(beat_class.value)].sum(axis=-1)
    return _sorted_bars(predictions, class_scores(tables)[f"{beat_class.value}_se"], counts)


def false_positive_rates(predictions: Predictions) -> list[Bar]:
    """Beats and false detections an hour wrongly called abnormal, in each record; most first."""
    counts = false_positives(_tables(predictions))
    return _sorted_bars(predictions, counts / RECORD_HOURS, counts)


def _tables(predictions: Predictions) -> NDArray[np.int64]:
    """(records, 6, 6), the records in the order of their names."""
    return predictions.by_record(RECORD_HOURS).tables


def _sorted_bars(
    predictions: Predictions, heights: NDArray[np.float64], counts: NDArray[np.int64]
) -> list[Bar]:
    """Records without such beats come last, equals in the order of their names."""
    records = np.unique(predictions.beats.record).tolist()
    bars = map(Bar, records, heights.tolist(), counts.tolist())
    return sorted(bars, key=lambda bar: (np.isnan(bar.height), -bar.height))


def draw(predictions: Predictions) -> Figure:
    """V sensitivity, S sensitivity and false positives an hour of each record."""
    figure = Figure(figsize=(WIDTH_IN, 8.4))
    ventricular, supraventricular, false = figure.subplots(3, 1)
    _draw_sensitivities(ventricular, predictions, BeatClass.VENTRICULAR, BLUE)
    _draw_sensitivities(supraventricular, predictions, BeatClass.SUPRAVENTRICULAR, VERMILION)
    bars = false_positive_rates(predictions)
    _draw_bars(false, bars, GREY)
    false.set(ylabel="false positives an hour", xlabel="record, and its false positives")
    mean = float(np.mean([bar.height for bar in bars]))
    _draw_mean(false, mean, f"mean of the records {mean:.1f}")
    return figure


def _draw_sensitivities(
    axes: Axes, predictions: Predictions, beat_class: BeatClass, colour: str
) -> None:
    name = beat_class.value
    _draw_bars(axes, sensitivities(predictions, beat_class), colour)
    axes.set(ylim=(0, 115), yticks=range(0, 101, 20), ylabel=f"{name} sensitivity (%)")
    axes.set_xlabel(f"record, and its {name} beats")
    together = class_scores(_tables(predictions).sum(axis=0))[f"{name}_se"]
    _draw_mean(axes, float(together), f"all {name} beats {together:.1f} %")


def _draw_bars(axes: Axes, bars: list[Bar], colour: str) -> None:
    places = range(len(bars))
    axes.bar(places, [np.nan_to_num(bar.height) for bar in bars], 0.7, color=colour)
    axes.set_xticks(places, [f"{bar.record}\n{bar.count}" for bar in bars])
    axes.set_xlim(-0.6, len(bars) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")


def _draw_mean(axes: Axes, height: float, label: str) -> None:
    axes.axhline(height, color="black", linewidth=1, linestyle="--")
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.annotate(label, (1, height), (-2, 4), bbox=paper, **place)
