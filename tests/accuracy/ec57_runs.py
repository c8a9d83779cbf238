"""Run by run: ventricular couplets, short runs (3–5 beats) and long ones, by the rules of EC57.

As WFDB's `rxr` counts, EC57's reference implementation: a run is an unbroken row of V and F beats;
ventricular flutter or fibrillation is a long run. For sensitivity each annotated run is compared
with the longest run that was found between 150 ms before its first beat and 150 ms after its last;
for positive predictivity each found run with the longest annotated one. A run is right where its
partner's class of length is its own or longer. Runs of a single beat are counted nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.accuracy.ec57 import LEARNING_S, MATCH_WINDOW_S
from tests.accuracy.figures import Figure, Share
from tests.accuracy.gateway_run import GatewayRun
from tests.accuracy.reference import Reference, Stretch, rows

VENTRICULAR = ("V", "F")
LENGTHS = {"couplet": range(2, 3), "short run": range(3, 6), "long run": range(6, 7)}
LONGEST = 6  # beats; longer runs count as this long
FIBRILLATION = "ventricular fibrillation"


@dataclass(frozen=True, slots=True)
class Run:
    """Its first and last beat, and how many beats it has, at most `LONGEST`."""

    stretch: Stretch
    beats: int


@dataclass(frozen=True, slots=True)
class Labels:
    """One annotator's beats and fibrillation, the cardiologists' or the gateway's."""

    beats_s: NDArray[np.float64]
    classes: NDArray[np.str_]
    fibrillation: list[Stretch]

    def runs(self) -> list[Run]:
        """In order of time; beats within fibrillation are part of it."""
        scored = (self.beats_s >= LEARNING_S) & ~self._in_fibrillation()
        beats_s, is_run = self.beats_s[scored], np.isin(self.classes[scored], VENTRICULAR)
        runs = [
            Run(Stretch(beats_s[first], beats_s[past - 1]), min(past - first, LONGEST))
            for first, past in rows(is_run)
        ]
        runs += [
            Run(stretch, LONGEST) for stretch in self.fibrillation if stretch.end_s > LEARNING_S
        ]
        return sorted(runs, key=lambda run: run.stretch.start_s)

    def longest_run(self, window: Stretch) -> int:
        """Beats of the longest run within the window."""
        if any(stretch.overlap_s(window) > 0.0 for stretch in self.fibrillation):
            return LONGEST
        first, past = np.searchsorted(self.beats_s, [window.start_s, window.end_s])
        longest = length = 0
        for is_run in np.isin(self.classes[first:past], VENTRICULAR).tolist():
            length = length + 1 if is_run else 0
            longest = max(longest, length)
        return min(longest, LONGEST)

    def _in_fibrillation(self) -> NDArray[np.bool_]:
        inside = np.zeros(self.beats_s.size, dtype=bool)
        for stretch in self.fibrillation:
            inside |= (self.beats_s >= stretch.start_s) & (self.beats_s <= stretch.end_s)
        return inside


def score_runs(reference: Reference, run: GatewayRun) -> dict[str, Figure]:
    """The figures of one record."""
    annotated = Labels(reference.beats_s, reference.classes, reference.fibrillation)
    found = Labels(run.beats_s, run.labels, run.episodes(FIBRILLATION))
    figures: dict[str, Figure] = {}
    for name, lengths in LENGTHS.items():
        figures[f"{name} Se"] = _matched(annotated, found, lengths)
        figures[f"{name} +P"] = _matched(found, annotated, lengths)
    return figures


def _matched(runs_of: Labels, in_labels: Labels, lengths: range) -> Share:
    """The share of one annotator's runs of these lengths that the other one has as well."""
    runs = [run for run in runs_of.runs() if run.beats in lengths]
    matched = sum(in_labels.longest_run(_window(run)) >= lengths.start for run in runs)
    return Share(matched, len(runs))


def _window(run: Run) -> Stretch:
    return Stretch(run.stretch.start_s - MATCH_WINDOW_S, run.stretch.end_s + MATCH_WINDOW_S)
