import hashlib
import json

import pytest

from model.cards import DS2_LOG
from model.experiments import EXPERIMENTS, Experiment
from model.partition import ds1_records, patient_records

BY_NAME = pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)


def card(experiment: Experiment) -> dict:
    return json.loads(experiment.card_path.read_text())


@BY_NAME
def test_the_card_is_the_files(experiment):
    content = experiment.tflite_path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == card(experiment)["sha256"]
    assert card(experiment)["training"]["seed"] == str(experiment.seed)
    assert {score["arithmetic"] for score in card(experiment)["scores"]} == {"int8", "float32"}


@pytest.mark.parametrize("experiment", [e for e in EXPERIMENTS if e.network == "shipped"], ids=str)
def test_the_network_that_ships_is_small(experiment):
    assert experiment.tflite_path.stat().st_size <= 64 * 1024


def test_one_seed_serves_and_the_others_differ():
    seeds = [experiment for experiment in EXPERIMENTS if experiment.is_shipped_ds2]
    assert [experiment.is_served for experiment in seeds].count(True) == 1
    assert len({card(experiment)["sha256"] for experiment in seeds}) == len(seeds) == 5


@BY_NAME
def test_quantisation_costs_half_a_point_of_f1_at_most(experiment):
    f1 = {score["arithmetic"]: score["percent"]["f1"] for score in card(experiment)["scores"]}
    assert f1["float32"] - f1["int8"] <= 0.5


@pytest.mark.parametrize("experiment", [e for e in EXPERIMENTS if e.split == "ds2"], ids=str)
def test_a_model_by_patient_names_its_records_and_its_look_at_ds2_is_logged(experiment):
    split = card(experiment)["split"]
    assert split["train"] == ds1_records()
    assert split["test"] == patient_records()["ds2"]
    assert card(experiment)["sha256"][:8] in DS2_LOG.read_text()
