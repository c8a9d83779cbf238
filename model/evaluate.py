"""`python -m model.evaluate`: score the int8 artefacts and hold them to their cards.

The last line is one JSON object with every figure. `--record REASON`, after training, scores the
float models too, writes the figures into the cards and `scores.md`, and logs each look at DS2.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from model.experiments import EXPERIMENTS, SHIPPED, Experiment, current_commit
from model.partition import patient_records
from model.predictions import (
    RECORD_HOURS,
    Predictions,
    Scores,
    card,
    float_predictions,
    int8_predictions,
    recorded_hours,
)
from model.scores import CLASSES

DS2_LOG = Path(__file__).with_name("ds2_log.md")
SCORES = Path(__file__).with_name("scores.md")
COMMAND = "python -m model.evaluate"
CARD_TOLERANCE = 0.1  # percentage points; another CPU's kernels may move single beats
PUBLISHED: Scores = {
    "accuracy": 94.96,
    "precision": 96.45,
    "recall": 96.57,
    "f1": 96.51,
    "auc": 98.76,
}
BINARY_COLUMNS = ("accuracy", "precision", "recall", "f1", "auc", "false_positives_per_hour", "n")
SCORES_HEADING = f"""# Scores

Percent, but for the false positives an hour and the number n of beats and false detections, on the
test part of each split. Written by `{COMMAND} --record`; `{COMMAND}` measures the int8 rows again.

"""
SAME_PERSON_AS_201 = "202"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", metavar="REASON", help="write cards, scores.md and ds2_log.md")
    reason = parser.parse_args().record
    report, figures, short = [], {"specified": {}, "shipped": {}}, []
    for experiment in EXPERIMENTS:
        evaluation = evaluate(experiment, with_float=reason is not None)
        if reason:
            _write_card(experiment, evaluation)
            _log_ds2(experiment, evaluation["int8"], reason)
        short += _short_of_card(experiment, evaluation["int8"])
        report += [(experiment, *item) for item in evaluation.items()]
        figures[experiment.network][experiment.split] = evaluation["int8"]
    text = "\n".join([*_score_table(report), *_class_tables()])
    if reason:
        SCORES.write_text(SCORES_HEADING + text + "\n")
    print(text)
    print(json.dumps(figures))
    if short:
        raise SystemExit("; ".join(short))


def evaluate(experiment: Experiment, with_float: bool) -> dict[str, Scores]:
    """Arithmetic → scores on the experiment's own test part."""
    beats = experiment.beats()
    test = experiment.final(beats).test
    hours = recorded_hours(experiment, beats, test)
    evaluation = {"int8": int8_predictions(experiment, test).scores(hours)}
    if with_float:
        evaluation["float32"] = float_predictions(experiment, test).scores(hours)
    return evaluation


def _short_of_card(experiment: Experiment, scores: Scores) -> Iterator[str]:
    stated = [s["percent"] for s in card(experiment)["scores"] if s["arithmetic"] == "int8"]
    if not stated:
        yield f"{experiment.name} is newly trained: score it with --record REASON"
    for percent in stated:
        for name in ("f1", "auc"):
            if scores[name] < percent[name] - CARD_TOLERANCE:
                yield f"{experiment.name}: {name} is {scores[name]}, its card says {percent[name]}"


def _write_card(experiment: Experiment, evaluation: dict[str, Scores]) -> None:
    fields: dict[str, Any] = card(experiment)
    fields["scores"] = [
        {
            "data": f"mitdb, {experiment.cut} cut",
            "split": experiment.split,
            "arithmetic": arithmetic,
            "command": COMMAND,
            "percent": scores,
        }
        for arithmetic, scores in evaluation.items()
    ]
    experiment.card_path.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n")


def _log_ds2(experiment: Experiment, scores: Scores, reason: str) -> None:
    if experiment.split != "ds2":
        return
    today = datetime.datetime.now(datetime.UTC).date()
    sha = card(experiment)["sha256"][:8]
    cells = (today, current_commit(), experiment.name, sha, scores["f1"], scores["auc"], reason)
    with DS2_LOG.open("a") as log:
        log.write(f"| {' | '.join(map(str, cells))} |\n")


def _score_table(report: list[tuple[Experiment, str, Scores]]) -> Iterator[str]:
    yield "| network | data | split | arithmetic | " + " | ".join(BINARY_COLUMNS) + " |"
    yield "|---|---|---|---|" + "---|" * len(BINARY_COLUMNS)
    for experiment, arithmetic, scores in report:
        cells = [experiment.network, f"mitdb, {experiment.cut} cut", experiment.split, arithmetic]
        yield _row(cells, scores)
    yield _row(["specified, as published", "PTBDB", "not known", "not known"], PUBLISHED)


def _row(cells: list[str], scores: Scores) -> str:
    return "| " + " | ".join([*cells, *(_cell(scores.get(c)) for c in BINARY_COLUMNS)]) + " |"


def _cell(value: float | None) -> str:
    return "—" if value is None else str(value)


def _class_tables() -> Iterator[str]:
    """The served artefact by class: DS2, DS2 without 202, and the paced records."""
    experiment = next(e for e in EXPERIMENTS if e.name == SHIPPED)
    beats = experiment.beats()
    ds2 = int8_predictions(experiment, experiment.final(beats).test)
    paced = int8_predictions(experiment, beats.of_records(patient_records()["paced"]))
    yield from _class_table("DS2", ds2)
    yield from _class_table("DS2 without 202", ds2[ds2.beats.record != SAME_PERSON_AS_201])
    yield from _class_table("paced records, in neither part", paced)


def _class_table(title: str, predictions: Predictions) -> Iterator[str]:
    hours = len(np.unique(predictions.beats.record)) * RECORD_HOURS
    scores = predictions.scores(hours)
    yield f"\nServed model, int8, {title}: F1 {scores['f1']}, AUC {scores['auc']}\n"
    yield "| annotated ↓ labelled → | " + " | ".join(CLASSES) + " | no label | Se | +P |"
    yield "|---|" + "---|" * (len(CLASSES) + 3)
    names = [*CLASSES, "no beat"]
    for name, counts in zip(names, predictions.confusion(), strict=True):
        measured = [_cell(scores.get(f"{name}_se")), _cell(scores.get(f"{name}_ppv"))]
        yield "| " + " | ".join([name, *map(str, counts), *measured]) + " |"


if __name__ == "__main__":
    main()
