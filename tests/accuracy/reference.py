"""What the annotators of a WFDB record marked: beats, rhythms and fibrillation, in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.records import AAMI_CLASS

FIBRILLATION = frozenset({"VF", "VFIB", "VFL"})  # the names that vfdb and mitdb use


@dataclass(frozen=True, slots=True)
class Stretch:
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def overlap_s(self, other: Stretch) -> float:
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))


@dataclass(frozen=True, slots=True)
class Reference:
    """Beats have their AAMI class, arrays of equal length; the record ends at `end_s`.

    `fibrillation` is ventricular flutter or fibrillation, `rhythms` all that was annotated.
    """

    beats_s: NDArray[np.float64]
    classes: NDArray[np.str_]
    rhythms: list[tuple[str, Stretch]]
    fibrillation: list[Stretch]
    end_s: float

    def rhythm(self, *names: str) -> list[Stretch]:
        """The stretches of these rhythms; those that follow one another are one."""
        return joined(stretch for name, stretch in self.rhythms if name in names)


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Those that touch, as one, in order of time."""
    result: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: stretch.start_s):
        if result and stretch.start_s <= result[-1].end_s:
            end_s = max(stretch.end_s, result[-1].end_s)
            result[-1] = Stretch(result[-1].start_s, end_s)
        else:
            result.append(stretch)
    return result


def rows(holds: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last position of each unbroken row of true ones."""
    edges = np.flatnonzero(np.diff(np.r_[False, holds, False])).reshape(-1, 2)
    return [(first, past) for first, past in edges.tolist()]


def within(stretches: Iterable[Stretch], window: Stretch) -> list[Stretch]:
    """The parts of the stretches that lie in the window."""
    return [
        Stretch(max(stretch.start_s, window.start_s), min(stretch.end_s, window.end_s))
        for stretch in stretches
        if stretch.overlap_s(window) > 0.0
    ]


def read_reference(path: Path) -> Reference:
    """The annotations `atr` of the record at `path`."""
    import wfdb

    header = wfdb.rdheader(str(path))
    marks = wfdb.rdann(str(path), "atr")
    times_s = marks.sample / header.fs
    end_s = header.sig_len / header.fs
    symbols = np.array(marks.symbol)
    is_beat = np.array([symbol in AAMI_CLASS for symbol in symbols], dtype=bool)
    notes = np.array([note.strip("\0(") for note in marks.aux_note])
    rhythms = _rhythms(times_s[symbols == "+"], notes[symbols == "+"], end_s)
    marked = [
        Stretch(start, end)
        for start, end in zip(times_s[symbols == "["], times_s[symbols == "]"], strict=True)
    ]
    return Reference(
        times_s[is_beat],
        np.array([AAMI_CLASS[symbol].value for symbol in symbols[is_beat]], dtype=str),
        rhythms,
        marked or joined(stretch for name, stretch in rhythms if name in FIBRILLATION),
        end_s,
    )


def _rhythms(
    changes_s: NDArray[np.float64], names: NDArray[np.str_], end_s: float
) -> list[tuple[str, Stretch]]:
    """Each rhythm lasts until the next change."""
    spans = pairwise([*changes_s.tolist(), end_s])
    named = zip(names.tolist(), spans, strict=True)
    return [(name, Stretch(start, end)) for name, (start, end) in named]
