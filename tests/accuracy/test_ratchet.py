"""Six hard records in every test run; all 48 with `python -m tests.accuracy.r_peaks`."""

from __future__ import annotations

import pytest

from tests.accuracy import ratchet
from tests.accuracy.ec57 import Score
from tests.accuracy.r_peaks import FAST, figures, score_record
from tests.accuracy.ratchet import check, shortfalls


@pytest.mark.recordings
def test_the_detector_is_no_worse_than_it_was(ecg_data):
    scores = [score_record(name, ecg_data / "mitdb", 250) for name in FAST.split()]
    assert check("250", {"fast": figures(sum(scores, Score()))}, update=False) == []


def test_a_worse_detector_is_told():
    floor = {"Se": 99.0, "+P": 99.0}
    assert shortfalls("all", figures(Score(990, 10, 10)), floor) == []
    assert shortfalls("all", figures(Score(980, 20, 0)), floor) == ["all Se 98.000 is below 99.000"]


def test_more_false_alarms_are_told():
    bounds = {"false alarms /h": 0.5, "rate error bpm": 3.0}
    assert shortfalls("DS2", {"false alarms /h": 0.5, "rate error bpm": 2.0}, bounds) == []
    assert shortfalls("DS2", {"false alarms /h": 0.6, "rate error bpm": 3.1}, bounds) == [
        "DS2 false alarms /h 0.600 is above 0.500",
        "DS2 rate error bpm 3.100 is above 3.000",
    ]


def test_what_could_not_be_measured_is_no_shortfall():
    assert shortfalls("DS2", {"Se": None}, {"Se": 90.0}) == []


def test_the_ratchet_only_tightens(tmp_path, monkeypatch):
    monkeypatch.setattr(ratchet, "RATCHET", tmp_path / "ratchet.json")
    ratchet.RATCHET.write_text("{}")
    check("tool", {"DS1": {"Se": 90.0, "false /h": 1.0, "+P": None}}, update=True)
    check("tool", {"DS1": {"Se": 95.0, "false /h": 2.0, "+P": 50.0}}, update=True)
    check("tool", {"DS1": {"Se": 80.0, "false /h": 0.5, "+P": None}}, update=True)
    assert ratchet.read_ratchet() == {"tool": {"DS1": {"Se": 95.0, "false /h": 0.5, "+P": 50.0}}}
    worse = {"Se": 94.0, "false /h": 0.5, "+P": 50.0}
    assert check("tool", {"DS1": worse}, update=False) == ["DS1 Se 94.000 is below 95.000"]
    assert check("tool", {"DS2": worse}, update=False) == ["DS2 is not recorded; --update does"]
    assert check("other", {"DS1": worse}, update=False) == ["DS1 is not recorded; --update does"]
