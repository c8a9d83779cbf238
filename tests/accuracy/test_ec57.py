from __future__ import annotations

import numpy as np
import pytest

from tests.accuracy.ec57 import Score, match_beats, outside


def counts(reference, test):
    return match_beats(np.array(reference, float), np.array(test, float)).score_within(0, np.inf)


@pytest.mark.parametrize(
    ("reference", "test", "expected"),
    [
        ([], [], Score(0, 0, 0)),
        ([1.0, 2.0], [], Score(0, 2, 0)),
        ([], [1.0], Score(0, 0, 1)),
        ([1.0, 2.0], [1.149, 1.851], Score(2, 0, 0)),
        ([1.0, 2.0], [1.151, 2.0], Score(1, 1, 1)),
        ([1310.5], [1310.65], Score(1, 0, 0)),  # 150 ms, and 1e-13 more in floating point
        ([1.0], [0.95, 1.01], Score(1, 0, 1)),  # one reference, two claims
        ([1.0, 1.1], [1.09], Score(1, 1, 0)),  # two references, one claim
        ([1.0, 1.2], [1.14, 1.21], Score(2, 0, 0)),  # the second claim is the second beat's
        ([1.0, 1.2], [1.14, 1.28], Score(1, 1, 1)),  # the first claim is the second beat's
    ],
)
def test_hand_cases(reference, test, expected):
    assert counts(reference, test) == expected


def test_the_nearer_claim_wins():
    assert match_beats(np.array([1.0]), np.array([0.95, 1.01])).pairs == [(1.0, 1.01)]


def test_beats_count_where_the_reference_lies():
    matches = match_beats(np.array([0.99, 2.0, 3.0]), np.array([1.01, 2.0, 2.5]))
    assert matches.score_within(1.0, 3.0) == Score(1, 0, 1)


def test_figures_are_percent():
    score = Score(90, 10, 30) + Score(0, 0, 0)
    assert (score.sensitivity, score.positive_predictivity) == (90.0, 75.0)
    assert (Score().sensitivity, Score().positive_predictivity) == (100.0, 100.0)


def test_excluded_stretches_are_left_out():
    assert outside(np.array([0.5, 1.0, 1.5, 2.5]), [(1.0, 2.0)]).tolist() == [0.5, 2.5]


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_wfdb(seed):
    processing = pytest.importorskip("wfdb.processing")
    random = np.random.default_rng(seed)
    reference = np.cumsum(random.integers(120, 300, 300))
    shifted = reference + random.integers(-40, 41, reference.size)
    kept = shifted[random.random(reference.size) > 0.05]
    test = np.unique(np.concatenate([kept, random.integers(0, reference[-1], 10)]))
    # wfdb's window is open: below 38 samples is at most 37.5, which is 150 ms
    theirs = processing.compare_annotations(reference, test, window_width=38)
    assert counts(reference / 250, test / 250) == Score(theirs.tp, theirs.fn, theirs.fp)
