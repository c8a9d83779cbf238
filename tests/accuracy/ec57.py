"""Beat-by-beat comparison in the manner of ANSI/AAMI EC57: a 150 ms match window, gross figures.

Stands by itself so that every accuracy figure in the project is counted by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MATCH_WINDOW_S = 0.150  # EC57 4.3.2
LEARNING_S = 300.0  # EC57: the first five minutes are not scored


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one record, or the sum of several (EC57's gross statistics)."""

    true_positive: int = 0
    false_negative: int = 0
    false_positive: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.true_positive + other.true_positive,
            self.false_negative + other.false_negative,
            self.false_positive + other.false_positive,
        )

    @property
    def sensitivity(self) -> float:
        """Se, percent; 100 where there was nothing to find."""
        return _percent(self.true_positive, self.false_negative)

    @property
    def positive_predictivity(self) -> float:
        """+P, percent; 100 where nothing was claimed."""
        return _percent(self.true_positive, self.false_positive)


def _percent(right: int, wrong: int) -> float:
    return 100.0 * right / (right + wrong) if right + wrong else 100.0


@dataclass(frozen=True, slots=True)
class Matches:
    """Which reference beat met which test beat; times in the unit that was given."""

    pairs: list[tuple[float, float]]
    missed: list[float]
    extra: list[float]

    def score_within(self, start: float, end: float) -> Score:
        """Counts of beats in [start, end): a pair lies where its reference beat does."""
        return Score(
            sum(start <= reference < end for reference, _ in self.pairs),
            sum(start <= reference < end for reference in self.missed),
            sum(start <= test < end for test in self.extra),
        )


def match_beats(
    reference_s: NDArray[np.float64], test_s: NDArray[np.float64], window_s: float = MATCH_WINDOW_S
) -> Matches:
    """Pair each reference beat with at most one test beat within `window_s`; both sorted.

    Walks both lists once as EC57's bxb does; where two compete for one partner the nearer wins.
    """
    reference, test = reference_s.tolist(), test_s.tolist()
    matches = Matches([], [], [])
    i = j = 0
    while i < len(reference) and j < len(test):
        distance = abs(test[j] - reference[i])
        if distance > window_s:
            earlier_is_reference = reference[i] < test[j]
        elif j + 1 < len(test) and abs(test[j + 1] - reference[i]) < distance:
            earlier_is_reference = False
        elif i + 1 < len(reference) and abs(test[j] - reference[i + 1]) < distance:
            earlier_is_reference = True
        else:
            matches.pairs.append((reference[i], test[j]))
            i, j = i + 1, j + 1
            continue
        if earlier_is_reference:
            matches.missed.append(reference[i])
            i += 1
        else:
            matches.extra.append(test[j])
            j += 1
    matches.missed.extend(reference[i:])
    matches.extra.extend(test[j:])
    return matches


def outside(
    times_s: NDArray[np.float64], excluded: Iterable[tuple[float, float]]
) -> NDArray[np.float64]:
    """`times_s` without those in any excluded stretch (EC57: ventricular flutter)."""
    keep = np.ones(times_s.size, dtype=bool)
    for start, end in excluded:
        keep &= (times_s < start) | (times_s > end)
    return times_s[keep]
