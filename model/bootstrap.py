"""95 % confidence intervals by bootstrap over patients (Efron & Tibshirani 1993, chapter 13).

Beats of one patient are alike, so it is patients that are drawn again, with replacement, and every
record is one patient. 201 and 202 are the same person: they lie on different sides of DS1 → DS2, so
there each drawn record is a person of its own; in the random split they count as two.

By patient, the interval says where the score may lie for other patients. Of the random split, whose
training part knows every patient, it only says how much the score owes to single records.
"""

from __future__ import annotations

import numpy as np

from model.record_counts import RecordCounts

RESAMPLES = 1_000  # about the least that a percentile interval wants (Efron & Tibshirani 1993)
PERCENTILES = (2.5, 97.5)
SEED = 1993

Intervals = dict[str, list[float]]


def confidence_intervals(counts: RecordCounts) -> Intervals:
    """Score → [low, high]; without the scores that no resample has.

    A resample that lacks a class says nothing of it and is left out of that score's interval.
    """
    records = len(counts.tables)
    generator = np.random.default_rng(SEED)
    draws = generator.multinomial(records, np.full(records, 1 / records), size=RESAMPLES)
    resampled = counts.scores_of(draws.astype(float))
    intervals = {name: values[~np.isnan(values)] for name, values in resampled.items()}
    return {
        name: np.percentile(values, PERCENTILES).round(2).tolist()
        for name, values in intervals.items()
        if values.size and name != "n"
    }
