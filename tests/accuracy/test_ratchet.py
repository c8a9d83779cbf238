"""Six hard records in every test run; all 48 with `python -m tests.accuracy.r_peaks`."""

from __future__ import annotations

import pytest

from tests.accuracy.ec57 import Score
from tests.accuracy.r_peaks import FAST, read_ratchet, score_record, shortfalls


@pytest.mark.recordings
def test_the_detector_is_no_worse_than_it_was(ecg_data):
    scores = [score_record(name, ecg_data / "mitdb", 250) for name in FAST.split()]
    assert shortfalls("fast", sum(scores, Score()), read_ratchet()["250"]["fast"]) == []


def test_a_worse_detector_is_told():
    floor = {"Se": 99.0, "+P": 99.0}
    assert shortfalls("all", Score(990, 10, 10), floor) == []
    assert shortfalls("all", Score(980, 20, 0), floor) == ["all Se 98.000 is below 99.000"]
