import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gateway.beat_classifier import Score
from model import cards
from model.beats import Beats
from model.cards import HEADLINE, INT8, shortfalls, stated_scores, write_scores
from model.evaluate import check_order, hold_to_cards
from model.experiments import EXPERIMENTS, Experiment, current_commit
from model.predictions import Predictions
from model.summary import over_seeds, summary


def predictions(named: bool = True) -> Predictions:
    """Of two records: N right, V right, V gated, S called V, N called V, a gated detection."""
    aami = np.array(["N", "V", "V", "S", "N", ""])
    labels = np.array(["N", "V", "", "V", "V", ""])
    unknown = np.zeros(6, np.float32)
    beats = Beats(
        record=np.array(["200", "200", "200", "202", "202", "202"]),
        annotation=np.arange(6, dtype=np.int32),
        aami=aami,
        rr_before_ms=unknown,
        rr_after_ms=unknown,
        has_window=labels != "",
        windows=np.zeros((6, 187), np.float32),
    )
    return Predictions(beats, np.array([0.1, 0.9, 0.0, 0.6, 0.6, 0.0]), labels, named)


@dataclass(frozen=True)
class Seed(Experiment):
    """A stand-in for one of several seeds of the shipped network."""

    number: int = 1

    @property
    def is_served(self) -> bool:
        return self.number == 2


@pytest.fixture
def figures() -> dict:
    scores = {experiment: predictions(False).scores(2.0) for experiment in EXPERIMENTS}
    scores = {e: s for e, s in scores.items() if e.network == "specified" or e.split == "random"}
    for number in range(1, 6):
        seed = Seed("shipped", "ds2", number=number)
        scores[seed] = predictions().scores(2.0) | {"f1": 80.0 + number}
    parts = {"ds2_without_202": predictions()[:3], "paced": predictions()[3:]}
    return json.loads(json.dumps(summary(scores, parts), allow_nan=False))


@pytest.mark.parametrize(
    ("network", "part"),
    [
        ("specified", "random"),
        ("specified", "ds2"),
        ("shipped", "random"),
        ("shipped", "ds2"),
        ("shipped", "ds2_five_seeds"),
        ("shipped", "ds2_five_seeds_sd"),
        ("shipped", "ds2_without_202"),
        ("shipped", "paced"),
    ],
)
def test_the_last_line_holds_every_figure_of_every_part(figures, network, part):
    assert set(figures[network][part]) >= {*HEADLINE, "macro_se", "n"}


def test_what_ships_is_one_seed_beside_the_mean_of_all(figures):
    assert figures["shipped"]["ds2"]["f1"] == 82.0
    assert figures["shipped"]["ds2_five_seeds"]["f1"] == 83.0
    assert figures["shipped"]["ds2_five_seeds_sd"]["f1"] == pytest.approx(1.58)
    assert figures["shipped"]["ds2_five_seeds"]["n"] == 5


def test_a_score_that_one_seed_lacks_has_no_mean():
    mean, deviation = over_seeds([{"Q_ppv": 50.0, "n": 9}, {"Q_ppv": None, "n": 9}])
    assert mean == {"Q_ppv": None, "n": 9}
    assert deviation["Q_ppv"] is None


def test_one_seed_has_no_spread():
    mean, deviation = over_seeds([{"f1": 50.0, "n": 9}])
    assert mean["f1"] == 50.0
    assert deviation["f1"] is None


def test_a_gated_beat_counts_as_a_miss(figures):
    ds2 = figures["shipped"]["ds2"]
    assert ds2["V_se"] == 50.0
    assert ds2["recall"] == pytest.approx(66.67)
    assert ds2["n"] == 5  # the gated detection is no row
    assert ds2["false_positives_per_hour"] == 0.5


def test_the_specified_network_names_no_class(figures):
    specified = figures["specified"]["ds2"]
    assert (specified["S_se"], specified["S_ppv"], specified["V_ppv"]) == (100.0, None, None)
    assert figures["shipped"]["ds2"]["S_se"] == 0.0


@dataclass(frozen=True)
class OnPaper(Experiment):
    """An experiment whose card lies where a test wants it."""

    folder: Path = Path()

    @property
    def tflite_path(self) -> Path:
        return self.folder / f"{self.name}.tflite"


GOOD = dict.fromkeys(HEADLINE, 90.0) | {"n": 1000}


@pytest.fixture
def experiment(tmp_path) -> Experiment:
    paper = OnPaper("specified", "ds2", folder=tmp_path)
    paper.card_path.write_text(json.dumps({"sha256": "0" * 64, "scores": []}))
    return paper


def recorded(experiment: Experiment, **percent: float | None) -> Experiment:
    score = Score("mitdb", "ds2", INT8, "x", GOOD | percent, {"f1": [80.0, 95.0]})
    write_scores(experiment, [score])
    return experiment


def test_written_scores_are_read_again_with_their_intervals(experiment):
    score = stated_scores(recorded(experiment))[INT8]
    assert score.percent == GOOD
    assert score.ci95 == {"f1": [80.0, 95.0]}
    assert json.loads(experiment.card_path.read_text())["sha256"] == "0" * 64


@pytest.mark.parametrize("name", [name for name in HEADLINE if name != "false_positives_per_hour"])
def test_each_figure_below_the_card_is_named(experiment, name):
    [short] = shortfalls(recorded(experiment), GOOD | {name: 89.6})
    assert short == f"specified_ds2: {name} is 89.6, its card says 90.0"
    assert not list(shortfalls(experiment, GOOD | {name: 89.8}))
    assert not list(shortfalls(experiment, GOOD | {name: 95.0}))
    assert list(shortfalls(experiment, GOOD | {name: None}))


def test_more_false_positives_than_the_card_says_are_a_shortfall(experiment):
    recorded(experiment)
    assert list(shortfalls(experiment, GOOD | {"false_positives_per_hour": 90.4}))
    assert not list(shortfalls(experiment, GOOD | {"false_positives_per_hour": 10.0}))


def test_what_the_card_does_not_know_is_not_held_against_the_model(experiment):
    recorded(experiment, V_ppv=None)
    assert not list(shortfalls(experiment, GOOD | {"V_ppv": None}))


def test_a_model_that_falls_short_fails_the_run_and_names_every_figure(experiment):
    with pytest.raises(SystemExit) as failure:
        hold_to_cards({recorded(experiment): GOOD | {"f1": 80.0, "S_se": 70.0}})
    assert str(failure.value).splitlines() == [
        "specified_ds2: f1 is 80.0, its card says 90.0",
        "specified_ds2: S_se is 70.0, its card says 90.0",
    ]


def test_a_model_as_good_as_its_card_passes(experiment):
    hold_to_cards({recorded(experiment): GOOD})


def test_a_newly_trained_model_is_looked_at_only_on_record(experiment):
    with pytest.raises(SystemExit, match="specified_ds2"):
        check_order([experiment], None)
    check_order([recorded(experiment)], None)


def test_a_look_at_ds2_is_a_line_with_commit_model_and_reason(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "DS2_LOG", tmp_path / "ds2_log.md")
    cards.log_look_at_ds2(experiment, {"f1": 80.5, "auc": 97.0}, "the five seeds")
    [line] = (tmp_path / "ds2_log.md").read_text().splitlines()
    cells = line.strip("| ").split(" | ")
    assert cells[1] == current_commit()
    assert cells[2:] == ["specified_ds2", "00000000", "80.5", "97.0", "the five seeds"]


def test_only_what_decides_the_scores_must_be_committed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [
        "model/scores.py",
        "model/figures/style.py",
        "gateway/dsp/filters.py",
        "gateway/log.py",
    ]
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("before")
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], check=True)
    assert cards.uncommitted_sources() == []
    for name in names:
        Path(name).write_text("after")
    assert cards.uncommitted_sources() == ["gateway/dsp/filters.py", "model/scores.py"]
