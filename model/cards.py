"""The scores in the cards: read, held to, written; and the log of every look at DS2."""

from __future__ import annotations

import datetime
import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.beat_classifier import Score
from model.experiments import Experiment, current_commit
from model.record_counts import Scores

DS2_LOG = Path(__file__).with_name("ds2_log.md")
INT8, FLOAT32 = "int8", "float32"
HEADLINE = (
    *("accuracy", "precision", "recall", "f1", "auc", "V_se", "V_ppv", "S_se", "S_ppv"),
    "false_positives_per_hour",
)
# Another CPU's kernels may move single beats: one S beat of the random test part is 0.24 points.
TOLERANCE = 0.3
# What decides the scores, for the commit that a card and the log name.
SCORED_SOURCES = (
    ":(glob)model/*.py",
    "gateway/dsp",
    "gateway/pipeline.py",
    "gateway/*classifier.py",
)


def card(experiment: Experiment) -> dict[str, Any]:
    """As written: the gateway's `load_card` refuses, rightly, a model of the public cut."""
    fields: dict[str, Any] = json.loads(experiment.card_path.read_text())
    return fields


def stated_scores(experiment: Experiment) -> dict[str, Score]:
    """Arithmetic → what the card says; nothing of a model that was never recorded."""
    return {score["arithmetic"]: Score(**score) for score in card(experiment)["scores"]}


def unrecorded(experiments: Iterable[Experiment]) -> list[str]:
    """Names of the newly trained models, which nobody has scored yet."""
    return [experiment.name for experiment in experiments if not stated_scores(experiment)]


def shortfalls(experiment: Experiment, measured: Scores) -> Iterator[str]:
    """Each headline figure of the int8 model that is worse than its card says."""
    for name in HEADLINE:
        stated, now = stated_scores(experiment)[INT8].percent.get(name), measured[name]
        if stated is None:
            continue
        gain = 1 if name != "false_positives_per_hour" else -1
        if now is None or gain * (now - stated) < -TOLERANCE:
            yield f"{experiment.name}: {name} is {now}, its card says {stated}"


def write_scores(experiment: Experiment, scores: Iterable[Score]) -> None:
    fields = card(experiment) | {"scores": [asdict(score) for score in scores]}
    experiment.card_path.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n")


def log_look_at_ds2(experiment: Experiment, scores: Scores, reason: str) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    sha = card(experiment)["sha256"][:8]
    cells = (today, current_commit(), experiment.name, sha, scores["f1"], scores["auc"], reason)
    with DS2_LOG.open("a") as log:
        log.write(f"| {' | '.join(map(str, cells))} |\n")


def uncommitted_sources() -> list[str]:
    """Files that decide the scores and differ from the commit that would be named for them."""
    command = ["git", "diff", "--name-only", "HEAD", "--", *SCORED_SOURCES]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
