"""The whole pipeline in every test run: six records of DS2, one half of the challenge's alarms.

All of it with `make ec57` and `make score-alarms`.
"""

from __future__ import annotations

import pytest

from tests.accuracy import ec57_report, score_alarms
from tests.accuracy.challenge2015 import answer_record
from tests.accuracy.false_alarms import false_alarm_lines, judge
from tests.accuracy.gateway_run import run_gateway
from tests.accuracy.halves import read_halves
from tests.accuracy.ratchet import check
from tests.accuracy.reference import read_reference


@pytest.fixture(scope="module")
def runs(ecg_data):
    """Record → its annotations and what the gateway finds in it."""
    paths = {name: ecg_data / "mitdb" / name for name in ec57_report.QUICK.split()}
    return {name: (read_reference(path), run_gateway(path)) for name, path in paths.items()}


@pytest.mark.recordings
def test_beats_runs_episodes_and_rates_are_no_worse_than_they_were(runs):
    scores = {name: ec57_report.score_run(*run) for name, run in runs.items()}
    quick = {"quick": ec57_report.gross_figures(scores, sorted(scores))}
    assert check(ec57_report.SECTION, quick, update=False) == []


@pytest.mark.recordings
def test_false_alarms_are_no_more_than_they_were(runs):
    lines = false_alarm_lines([judge(*run) for run in runs.values()])
    reached = score_alarms.held_to_ratchet({score_alarms.FALSE_QUICK: lines})
    assert check(score_alarms.SECTION, reached, update=False) == []


@pytest.mark.recordings
def test_intensive_care_alarms_are_judged_no_worse_than_they_were(ecg_data):
    folder = ecg_data / "challenge2015"
    answers = [answer_record(record, folder) for record in read_halves()["challenge2015_tune"]]
    lines = score_alarms.challenge_lines(answers)
    reached = score_alarms.held_to_ratchet({"Challenge 2015, tune": lines})
    assert check(score_alarms.SECTION, reached, update=False) == []
