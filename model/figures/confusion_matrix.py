"""What became of the beats of each class."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from model.figures.style import GREY, WIDTH_IN
from model.predictions import RECORD_HOURS, Predictions
from model.scores import CLASSES, NOTHING

ANNOTATED = (*CLASSES, "no beat")
LABELLED = (*CLASSES, "no\nlabel")
DARK_SHARE = 0.55  # from here on a cell is dark enough for white text


def row_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of its row that each cell holds; NaN in a row without beats."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def draw(sets: dict[str, Predictions]) -> Figure:
    """One matrix for each named set of beats, side by side."""
    figure = Figure(figsize=(WIDTH_IN, 4.4))
    panels = figure.subplots(1, len(sets), squeeze=False)[0]
    for axes, (title, predictions) in zip(panels, sets.items(), strict=True):
        counts = predictions.by_record(RECORD_HOURS).tables.sum(axis=0)
        _name_axes(axes, title, counts.sum(axis=1).tolist())
        _draw_matrix(axes, counts)
    return figure


def _name_axes(axes: Axes, title: str, totals: list[int]) -> None:
    rows = zip(ANNOTATED, totals, strict=True)
    axes.set_title(title)
    axes.set_xticks(range(len(LABELLED)), LABELLED)
    axes.set_yticks(range(len(ANNOTATED)), [f"{name}\n{total:,}" for name, total in rows])
    axes.set(xlabel="label", ylabel="annotation, and its beats")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_matrix(axes: Axes, counts: NDArray[np.int64]) -> None:
    """The correct labels are framed; "no beat" without a label is nothing, and stays empty."""
    shares = row_shares(counts)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for place in range(len(CLASSES)):
        axes.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, fill=False, linewidth=1.2))
    for (row, column), count in np.ndenumerate(counts):
        if (row, column) != (NOTHING, NOTHING):
            _write_cell(axes, (column, row), int(count), shares[row, column])


def _write_cell(axes: Axes, at: tuple[int, int], count: int, share: float) -> None:
    text = f"{count:,}\n{share:.1%}" if count else "0"
    colour = "white" if share >= DARK_SHARE else "black" if count else GREY
    axes.text(*at, text, ha="center", va="center", color=colour, size=9)
