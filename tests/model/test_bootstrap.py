import numpy as np
import pytest

from model.bootstrap import confidence_intervals
from model.record_counts import RecordCounts, count_records
from model.scores import auc, binary_scores, confusion


def counted(record, reference, labels, p_abnormal=None, hours=1.0) -> RecordCounts:
    p = np.zeros(len(record)) if p_abnormal is None else p_abnormal
    return count_records(np.array(record), np.array(reference), np.array(labels), p, hours, True)


def drawn_patients(patients: int, beats: int, spread: float, seed: int = 1) -> RecordCounts:
    """A tenth of the beats is V; each patient's share of V that is found varies by `spread`."""
    generator = np.random.default_rng(seed)
    record = np.repeat([f"{100 + patient}" for patient in range(patients)], beats)
    reference = np.where(np.arange(patients * beats) % 10 == 0, "V", "N")
    found = np.clip(0.7 + spread * generator.standard_normal(patients), 0, 1).repeat(beats)
    right = generator.random(len(record)) < found
    labels = np.where((reference == "V") & right, "V", "N")
    return counted(record, reference, labels, right.astype(float))


def width(counts: RecordCounts, score: str) -> float:
    low, high = confidence_intervals(counts)[score]
    return high - low


def test_the_counts_of_all_records_score_like_the_beats_themselves():
    generator = np.random.default_rng(7)
    record = generator.choice(["100", "101", "102"], 300)
    reference, labels = generator.choice(list("NNNSV"), 300), generator.choice(list("NSV"), 300)
    p = np.round(generator.random(300), 1)  # with ties
    scores = counted(record, reference, labels, p).scores()
    assert scores["auc"] == pytest.approx(auc(reference != "N", p), abs=0.005)
    expected = binary_scores(confusion(reference, labels))
    assert scores["f1"] == pytest.approx(expected["f1"], abs=0.005)
    assert scores["n"] == 300


def test_a_gated_beat_is_a_miss_and_a_gated_false_detection_is_nothing():
    counts = counted(["100"] * 4, ["V", "V", "N", ""], ["V", "", "N", ""], np.array([0.9, 0, 0, 0]))
    scores = counts.scores()
    assert scores["V_se"] == scores["recall"] == 50.0
    assert scores["n"] == 3
    assert scores["auc"] == 75.0  # the gated V ties with N


def test_false_positives_are_of_the_hours_that_the_records_stand_for():
    counts = counted(["100", "101"], ["N", ""], ["V", "S"], hours=4.0)
    assert counts.scores()["false_positives_per_hour"] == 0.5


def test_one_patient_leaves_no_doubt_about_himself():
    intervals = confidence_intervals(drawn_patients(1, 400, 0.0))
    assert all(low == high for low, high in intervals.values())


def test_the_interval_holds_the_score_and_is_the_same_each_time():
    counts = drawn_patients(20, 400, 0.1)
    intervals, scores = confidence_intervals(counts), counts.scores()
    assert intervals == confidence_intervals(counts)
    for name in ("V_se", "f1", "auc", "recall"):
        low, high = intervals[name]
        assert low < scores[name] < high
    assert "n" not in intervals


def test_more_patients_narrow_it_and_patients_who_differ_widen_it():
    assert width(drawn_patients(80, 400, 0.1), "V_se") < width(drawn_patients(10, 400, 0.1), "V_se")
    assert width(drawn_patients(20, 400, 0.2), "V_se") > width(
        drawn_patients(20, 400, 0.05), "V_se"
    )


def test_more_beats_of_the_same_patients_do_not_narrow_it():
    few, many = (width(drawn_patients(20, beats, 0.2), "V_se") for beats in (400, 4000))
    assert many > 0.8 * few


def test_about_95_of_100_intervals_hold_the_truth():
    held = 0
    for seed in range(100):
        low, high = confidence_intervals(drawn_patients(40, 200, 0.1, seed))["V_se"]
        held += low <= 70.0 <= high
    assert 88 <= held <= 99


def test_a_class_that_only_some_resamples_hold_has_an_interval_of_those():
    record = ["100"] * 2 + ["101"] * 2
    intervals = confidence_intervals(counted(record, ["F", "N", "N", "N"], ["F", "N", "N", "N"]))
    assert intervals["F_se"] == [100.0, 100.0]
    assert "S_se" not in intervals
