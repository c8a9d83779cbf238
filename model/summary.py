"""The one JSON object that `python -m model.evaluate` prints last: int8 figures, in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.experiments import Experiment
from model.predictions import Predictions
from model.record_counts import Scores, rounded_or_none


def summary(
    scores: Mapping[Experiment, Scores], parts: Mapping[str, Predictions]
) -> dict[str, dict[str, Scores]]:
    """Network → split → scores; `shipped.ds2` is the artefact that ships.

    Beside it lie the mean and the standard deviation over the seeds, and the other parts that the
    served model was given.
    """
    figures: dict[str, dict[str, Scores]] = {"specified": {}, "shipped": {}}
    for experiment, measured in scores.items():
        if experiment.is_served or not experiment.is_shipped_ds2:
            figures[experiment.network][experiment.split] = measured
    mean, deviation = over_seeds([s for e, s in scores.items() if e.is_shipped_ds2])
    figures["shipped"] |= {"ds2_five_seeds": mean, "ds2_five_seeds_sd": deviation}
    figures["shipped"] |= {name: part.scores_of_whole_records() for name, part in parts.items()}
    return figures


def over_seeds(scores: Sequence[Scores]) -> tuple[Scores, Scores]:
    """Mean and sample standard deviation of each score; None where a seed's is unknown.

    Every seed is given the same `n` rows.
    """
    columns = {name: np.array([s[name] for s in scores], float) for name in scores[0]}
    spread = {name: c.std(ddof=1) if len(c) > 1 else np.nan for name, c in columns.items()}
    mean = {name: rounded_or_none(column.mean()) for name, column in columns.items()}
    deviation = {name: rounded_or_none(value) for name, value in spread.items()}
    return mean | {"n": scores[0]["n"]}, deviation
