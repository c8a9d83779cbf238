"""Whether p(abnormal) means what it says: of beats given 0.7, are seven in ten abnormal?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.figures.style import BLUE, GREY, VERMILION, WIDTH_IN

BINS = 10
Z_95 = 1.96
LOOKS = [(VERMILION, "o", "-"), (BLUE, "s", "--")]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Beats in ten equal bins of p: how many, their mean p and the abnormal share (NaN if none)."""

    counts: NDArray[np.int64]
    mean_p: NDArray[np.float64]
    observed: NDArray[np.float64]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error (Guo et al. 2017): |p − share|, weighted by the beats."""
        filled = self.counts > 0
        distance = np.abs(self.mean_p - self.observed)[filled]
        return float((self.counts[filled] * distance).sum() / self.counts.sum())


def reliability(p_abnormal: NDArray[np.float64], is_abnormal: NDArray[np.bool_]) -> Reliability:
    bins = np.minimum((p_abnormal * BINS).astype(np.intp), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    beats_or_nan = np.where(counts > 0, counts, np.nan)
    return Reliability(
        counts,
        np.bincount(bins, p_abnormal, BINS) / beats_or_nan,
        np.bincount(bins, is_abnormal, BINS) / beats_or_nan,
    )


def wilson_interval(
    shares: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % interval of each share (Wilson 1927); the beats are taken as independent."""
    n = np.where(counts > 0, counts, np.nan)
    middle = (shares + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 * np.sqrt(shares * (1 - shares) / n + Z_95**2 / (4 * n**2)) / (1 + Z_95**2 / n)
    return middle - half, middle + half


def draw(measured: dict[str, Reliability]) -> Figure:
    """One line and one row of bars for each named set of beats, two at most."""
    figure = Figure(figsize=(WIDTH_IN, 5.8))
    diagram, histogram = figure.subplots(2, 1, height_ratios=(3, 1.3), sharex=True)
    diagram.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="calibrated")
    for place, (name, reliability_of_set) in enumerate(measured.items()):
        _draw_line(diagram, reliability_of_set, name, LOOKS[place])
        _draw_counts(histogram, reliability_of_set, place, len(measured))
    diagram.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="observed share abnormal")
    diagram.legend(loc="upper left")
    histogram.set(yscale="log", ylabel="beats", xlabel="predicted p(abnormal)")
    histogram.set_xticks(np.linspace(0, 1, BINS + 1))
    histogram.set_ylim(0.7, 20 * max(one.counts.max() for one in measured.values()))
    return figure


def _draw_line(axes: Axes, drawn: Reliability, name: str, look: tuple[str, str, str]) -> None:
    colour, marker, line = look
    low, high = wilson_interval(drawn.observed, drawn.counts)
    label = f"{name}: expected calibration error {drawn.calibration_error:.3f}"
    axes.vlines(drawn.mean_p, low, high, color=colour, linewidth=1.5)
    filled = drawn.counts > 0
    points = drawn.mean_p[filled], drawn.observed[filled]
    axes.plot(*points, color=colour, marker=marker, linestyle=line, label=label)


def _draw_counts(axes: Axes, drawn: Reliability, place: int, sets: int) -> None:
    """Bars side by side within each bin, each with its count written above it."""
    width = 0.9 / BINS / sets
    centres = (np.arange(BINS) + 0.5) / BINS + (place - (sets - 1) / 2) * width
    axes.bar(centres, drawn.counts, width, color=LOOKS[place][0])
    for centre, count in zip(centres, drawn.counts, strict=True):
        above = {"textcoords": "offset points", "ha": "center", "size": 9}
        axes.annotate(f"{count:,}", (centre, max(count, 1)), (0, 2 + 11 * place), **above)
