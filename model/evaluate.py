"""`python -m model.evaluate`: score the int8 artefacts and hold them to their cards.

The last line is one JSON object with every figure. `--robustness` puts the served model under other
conditions too. `--record REASON`, after training, scores the float models as well, writes the
figures into the cards and `scores.md`, and logs each look at DS2; without it a model that was never
recorded is not looked at. A model that is worse than its card says fails the run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gateway.beat_classifier import Score
from model import robustness, score_tables
from model.bootstrap import confidence_intervals
from model.cards import (
    FLOAT32,
    INT8,
    log_look_at_ds2,
    shortfalls,
    stated_scores,
    uncommitted_sources,
    unrecorded,
    write_scores,
)
from model.experiments import EXPERIMENTS, Experiment, served
from model.partition import patient_records
from model.predictions import Predictions, float_predictions, int8_predictions, recorded_hours
from model.record_counts import RecordCounts, Scores
from model.summary import over_seeds, summary

SCORES = Path(__file__).with_name("scores.md")
COMMAND = "python -m model.evaluate"
SAME_PERSON_AS_201 = "202"  # 201 trains, so DS2 is reported without 202 as well
PART_TITLES = {
    "ds2": "DS2",
    "ds2_without_202": "DS2 without 202",
    "paced": "paced records, in neither part",
}
SCORES_HEADING = f"""# Scores

Percent, but for the false positives an hour (FP/h) and the number n of beats and labelled false
detections, on the test part of each split. Written by `{COMMAND} --record`; `{COMMAND}` measures
the int8 rows again.

A beat that was missed, or that got no label since the signal around it was poor, counts as a miss.
The specified network can't name classes: its V Se and S Se are the shares of V and S that it calls
abnormal, and there is no +P. Macro Se is the mean of the sensitivities of N, S, V and F.

The intervals are 95 % bootstrap intervals over patients (1,000 resamples). For DS2 they say where a
score may lie for 22 other patients. For the random split, whose training part knows every patient,
they only say how much a score owes to single records.

"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Of one experiment on its own test part; `scores` by arithmetic."""

    int8_predictions: Predictions
    scores: dict[str, Score]


def main() -> None:
    arguments = _arguments()
    evaluations = {
        experiment: evaluate(experiment, with_float=arguments.record is not None)
        for experiment in tqdm(EXPERIMENTS, desc="models", disable=None)
    }
    int8_scores = {experiment: e.scores[INT8].percent for experiment, e in evaluations.items()}
    parts = served_parts(evaluations[served()].int8_predictions)
    conditions = robustness.measure() if arguments.robustness else {}
    text = report(evaluations, parts, conditions, float_from_card=arguments.record is None)
    if arguments.record:
        _record(evaluations, text, arguments.record)
    print(text)
    print(json.dumps(summary(int8_scores, parts)))
    hold_to_cards(int8_scores)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", metavar="REASON", help="write cards, scores.md and ds2_log.md")
    parser.add_argument("--robustness", action="store_true", help="rate, polarity, gain and noise")
    arguments = parser.parse_args()
    check_order(EXPERIMENTS, arguments.record)
    return arguments


def check_order(experiments: Iterable[Experiment], reason: str | None) -> None:
    """Code is committed before it is recorded, a model is recorded when it is first looked at."""
    if reason and (changed := uncommitted_sources()):
        raise SystemExit(f"commit first what the scores depend on: {', '.join(changed)}")
    if not reason and (names := unrecorded(experiments)):
        raise SystemExit(f"newly trained, score with --record REASON: {', '.join(names)}")


def hold_to_cards(int8_scores: Mapping[Experiment, Scores]) -> None:
    short = [line for e, scores in int8_scores.items() for line in shortfalls(e, scores)]
    if short:
        raise SystemExit("\n".join(short))


def evaluate(experiment: Experiment, with_float: bool) -> Evaluation:
    """Float scores are those of the card where they aren't asked for."""
    beats = experiment.beats()
    test = experiment.final(beats).test
    hours = recorded_hours(experiment, beats, test)
    predictions = int8_predictions(experiment, test)
    scores = {INT8: _score(experiment, INT8, predictions.by_record(hours))}
    if with_float:
        counts = float_predictions(experiment, test).by_record(hours)
        scores[FLOAT32] = _score(experiment, FLOAT32, counts)
    return Evaluation(predictions, stated_scores(experiment) | scores)


def _score(experiment: Experiment, arithmetic: str, counts: RecordCounts) -> Score:
    return Score(
        data=f"mitdb, {experiment.cut.name} cut",
        split=experiment.split,
        arithmetic=arithmetic,
        command=COMMAND,
        percent=counts.scores(),
        ci95=confidence_intervals(counts),
    )


def served_parts(ds2: Predictions) -> dict[str, Predictions]:
    """The served model beyond DS2 as a whole: DS2 without 202, and the paced records."""
    paced = served().beats().of_records(patient_records()["paced"])
    return {
        "ds2_without_202": ds2[ds2.beats.record != SAME_PERSON_AS_201],
        "paced": int8_predictions(served(), paced),
    }


def report(
    evaluations: Mapping[Experiment, Evaluation],
    parts: Mapping[str, Predictions],
    conditions: Mapping[str, Scores],
    float_from_card: bool,
) -> str:
    """Every table, the scores first."""
    origin = " (card)" if float_from_card else ""
    rows = [
        row
        for experiment, evaluation in evaluations.items()
        for row in score_tables.model_rows(experiment, evaluation.scores.values(), origin)
    ]
    seeds = over_seeds([e.scores[INT8].percent for x, e in evaluations.items() if x.is_shipped_ds2])
    lines = [*score_tables.score_table(rows, seeds)]
    for title, predictions in [("ds2", evaluations[served()].int8_predictions), *parts.items()]:
        lines += score_tables.class_table(
            PART_TITLES[title], predictions, predictions.scores_of_whole_records()
        )
    if conditions:
        lines += score_tables.robustness_table(conditions)
    return "\n".join(lines)


def _record(evaluations: Mapping[Experiment, Evaluation], text: str, reason: str) -> None:
    for experiment, evaluation in evaluations.items():
        write_scores(experiment, evaluation.scores.values())
        if experiment.split == "ds2":
            log_look_at_ds2(experiment, evaluation.scores[INT8].percent, reason)
    SCORES.write_text(SCORES_HEADING + text + "\n")


if __name__ == "__main__":
    main()
