"""Figures that add up: over records they give EC57's gross statistics, and their means the average.

Each is kept as the counts that it is made of. A record's figures are a mapping of names; its names
carry the unit, which `ratchet` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import sqrt
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Share:
    """Percent; None where there is nothing to take a share of."""

    part: float
    whole: float

    def __add__(self, other: Share) -> Share:
        return Share(self.part + other.part, self.whole + other.whole)

    @property
    def value(self) -> float | None:
        return 100.0 * self.part / self.whole if self.whole else None


@dataclass(frozen=True, slots=True)
class Hourly:
    """Events an hour."""

    events: int
    hours: float

    def __add__(self, other: Hourly) -> Hourly:
        return Hourly(self.events + other.events, self.hours + other.hours)

    @property
    def value(self) -> float | None:
        return self.events / self.hours if self.hours else None


@dataclass(frozen=True, slots=True)
class RootMeanSquare:
    """Of errors, in their unit."""

    squares: float
    count: int

    def __add__(self, other: RootMeanSquare) -> RootMeanSquare:
        return RootMeanSquare(self.squares + other.squares, self.count + other.count)

    @property
    def value(self) -> float | None:
        return sqrt(self.squares / self.count) if self.count else None


Figure = Share | Hourly | RootMeanSquare
Counted = dict[str, Figure]
Values = dict[str, float | None]


def values(counted: Counted) -> Values:
    return {name: figure.value for name, figure in counted.items()}


def gross(records: Iterable[Counted]) -> Counted:
    """Every record's counts together; all have the same names."""
    return reduce(lambda one, other: {name: one[name] + other[name] for name in one}, records)


def average(records: Iterable[Counted]) -> Values:
    """The mean over the records that have a value."""
    measured = [values(record) for record in records]
    columns = {name: [record[name] for record in measured] for name in measured[0]}
    known = {name: [v for v in column if v is not None] for name, column in columns.items()}
    return {name: fmean(column) if column else None for name, column in known.items()}


def markdown(title: str, lines: Mapping[str, Counted | Values]) -> str:
    """One line for each record or group; `—` where there was nothing to measure."""
    columns = list(next(iter(lines.values())))
    head = [["", *columns], ["---"] + ["---:"] * len(columns)]
    body = [[name, *map(cell, line.values())] for name, line in lines.items()]
    rows = ["| " + " | ".join(row) + " |" for row in head + body]
    return "\n".join([f"## {title}", "", *rows, ""])


def cell(figure: Figure | float | None) -> str:
    """The value, and of a share its counts."""
    if isinstance(figure, Share):
        return "—" if not figure.whole else f"{figure.value:.2f} ({_counts(figure)})"
    value = figure if figure is None or isinstance(figure, float) else figure.value
    return "—" if value is None else f"{value:.2f}"


def _counts(share: Share) -> str:
    """Whole numbers of beats or episodes; seconds to the second."""
    return f"{share.part:.0f}/{share.whole:.0f}"
