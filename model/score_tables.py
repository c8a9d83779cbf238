"""The scores as Markdown tables, for the terminal and `scores.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.beat_classifier import Score
from model.experiments import Experiment
from model.predictions import Predictions
from model.record_counts import Scores
from model.scores import CLASSES

PUBLISHED: Scores = {
    "accuracy": 94.96,
    "precision": 96.45,
    "recall": 96.57,
    "f1": 96.51,
    "auc": 98.76,
}
TITLES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auc": "AUC",
    "V_se": "V Se",
    "V_ppv": "V +P",
    "S_se": "S Se",
    "S_ppv": "S +P",
    "macro_se": "macro Se",
    "false_positives_per_hour": "FP/h",
    "n": "n",
}
ROBUSTNESS_TITLES = {name: TITLES[name] for name in ("f1", "V_se", "V_ppv", "S_se", "S_ppv")}
UNKNOWN = "—"


def model_rows(experiment: Experiment, scores: Iterable[Score], origin: str) -> Iterator[str]:
    """int8 and its 95 % interval, and float32; `origin` is what to say of the float figures."""
    name = f"{experiment.name}, served" if experiment.is_served else experiment.name
    for score in scores:
        is_float = score.arithmetic == "float32"
        yield _row([name, score.arithmetic + (origin if is_float else "")], score.percent)
        if not is_float:
            intervals = {key: f"{low:.1f}–{high:.1f}" for key, (low, high) in score.ci95.items()}
            yield _row(["", "95 %"], intervals)


def score_table(rows: Iterable[str], seeds: tuple[Scores, Scores]) -> Iterator[str]:
    """The rows of every model between a head, the mean of the seeds and what was published."""
    yield _line(["model", "arithmetic", *TITLES.values()])
    yield _rule(2 + len(TITLES))
    yield from rows
    yield _row(["shipped_ds2, mean of the seeds", "int8"], seeds[0])
    yield _row(["", "standard deviation"], seeds[1])
    yield _row(["specified, as published: PTBDB, split not known", "not known"], PUBLISHED)


def class_table(title: str, predictions: Predictions, scores: Scores) -> Iterator[str]:
    """The confusion table with sensitivity and positive predictivity of each class."""
    stated = (f"{TITLES[name]} {_cell(scores[name])}" for name in ("f1", "auc", "macro_se"))
    yield f"\nServed model, int8, {title}: {', '.join(stated)}\n"
    yield _line(["annotated ↓ labelled →", *CLASSES, "no label", "Se", "+P"])
    yield _rule(len(CLASSES) + 4)
    for name, counts in zip([*CLASSES, "no beat"], predictions.confusion(), strict=True):
        measured = [_cell(scores.get(f"{name}_{of}")) for of in ("se", "ppv")]
        yield _line([name, *map(str, counts), *measured])


def robustness_table(conditions: Mapping[str, Scores]) -> Iterator[str]:
    """DS2 as other sensors would have given it."""
    yield "\nServed model, int8, DS2 under other conditions\n"
    yield _line(["condition", *ROBUSTNESS_TITLES.values(), "no label"])
    yield _rule(2 + len(ROBUSTNESS_TITLES))
    for condition, scores in conditions.items():
        yield _line(
            [condition, *(_cell(scores[name]) for name in (*ROBUSTNESS_TITLES, "no_label"))]
        )


def _row(cells: list[str], scores: Mapping[str, float | str | None]) -> str:
    return _line([*cells, *(_cell(scores.get(name)) for name in TITLES)])


def _cell(value: float | str | None) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return UNKNOWN if value is None else str(value)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return "|" + "---|" * columns
