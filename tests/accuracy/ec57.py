"""Beat-by-beat comparison in the manner of ANSI/AAMI EC57: a 150 ms match window, gross figures.

Stands by itself so that every accuracy figure in the project is counted by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MATCH_WINDOW_S = 0.150  # EC57 4.3.2
ROUNDING_S = 1e-6  # of sample numbers that were turned into seconds
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

    Walks both lists once, as WFDB's bxb does; where two compete for one partner the nearer wins.
    """
    reference, test = [*reference_s.tolist(), np.inf], [*test_s.tolist(), np.inf]
    matches = Matches([], [], [])
    i = j = 0
    while i < reference_s.size and j < test_s.size:
        close = abs(test[j] - reference[i]) <= window_s + ROUNDING_S
        if close and _belong_together(*reference[i : i + 2], *test[j : j + 2]):
            matches.pairs.append((reference[i], test[j]))
            i, j = i + 1, j + 1
        elif reference[i] < test[j]:
            matches.missed.append(reference[i])
            i += 1
        else:
            matches.extra.append(test[j])
            j += 1
    matches.missed.extend(reference[i:-1])
    matches.extra.extend(test[j:-1])
    return matches


def _belong_together(
    reference: float, next_reference: float, test: float, next_test: float
) -> bool:
    """Whether the later beat has no nearer partner next, or the two next beats are a better pair
    than that (bxb as of 2002)."""
    across = abs(next_test - reference) if test < reference else abs(next_reference - test)
    return abs(test - reference) <= across or abs(next_reference - next_test) < across


def outside(
    times_s: NDArray[np.float64], excluded: Iterable[tuple[float, float]]
) -> NDArray[np.float64]:
    """`times_s` without those in any excluded stretch (EC57: ventricular flutter)."""
    keep = np.ones(times_s.size, dtype=bool)
    for start, end in excluded:
        keep &= (times_s < start) | (times_s > end)
    return times_s[keep]
