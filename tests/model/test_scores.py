import numpy as np
import pytest

from model.scores import (
    auc,
    best_f1_threshold,
    binary_scores,
    class_scores,
    confusion,
    confusion_by,
    false_positives,
    unnamed_class_scores,
)

ABNORMAL = np.array([False, False, False, True, True])
P = np.array([0.1, 0.4, 0.6, 0.6, 0.9])
REFERENCE = np.array(["N", "V", "V", "V", "", "S", "N"])
GIVEN = np.array(["N", "V", "N", "", "V", "V", "S"])
TABLE = confusion(REFERENCE, GIVEN)


def test_auc_counts_ordered_pairs_and_half_of_the_ties():
    assert auc(ABNORMAL, P) == pytest.approx(100 * 5.5 / 6)
    assert auc(ABNORMAL, -P) == pytest.approx(100 * 0.5 / 6)


def test_best_threshold_separates_what_can_be_separated():
    threshold = best_f1_threshold(ABNORMAL, np.array([0.1, 0.2, 0.3, 0.7, 0.8]))
    assert 0.3 < threshold <= 0.7


def test_of_thresholds_that_are_nearly_as_good_the_lowest_is_taken():
    p = np.array([0.1, 0.2, 0.3, 0.7, 0.8])
    assert best_f1_threshold(ABNORMAL, p, plateau=0.0) == pytest.approx(0.31)
    f1_with_one_false_positive = 100 * 2 * ABNORMAL.sum() / (2 * ABNORMAL.sum() + 1)
    plateau = 100.1 - f1_with_one_false_positive
    assert best_f1_threshold(ABNORMAL, p, plateau) == pytest.approx(0.21)


def test_confusion_counts_missed_beats_and_false_detections():
    assert TABLE.shape == (6, 6)
    assert TABLE[2].tolist() == [1, 0, 1, 0, 0, 1]  # V: one as N, one right, one missed
    assert TABLE[5].tolist() == [0, 0, 1, 0, 0, 0]  # no beat, called V


def test_confusion_by_group_adds_up():
    tables = confusion_by(np.array([0, 1, 1, 2, 2, 0, 1]), 4, REFERENCE, GIVEN)
    np.testing.assert_array_equal(tables.sum(axis=0), TABLE)
    assert tables[2, 2, 5] == 1
    assert not tables[3].any()


def test_a_beat_without_a_label_is_a_miss_and_a_false_detection_an_error():
    scores = binary_scores(TABLE)
    assert scores["accuracy"] == pytest.approx(100 * 3 / 7)  # N, V, and S that is called V
    assert scores["recall"] == pytest.approx(100 * 2 / 4)
    assert scores["precision"] == pytest.approx(100 * 2 / 4)
    assert scores["f1"] == pytest.approx(50.0)
    assert false_positives(TABLE) == 2  # an N, and what is no beat


def test_class_scores_name_the_class():
    scores = class_scores(TABLE)
    assert scores["V_se"] == pytest.approx(100 / 3)
    assert scores["V_ppv"] == pytest.approx(100 / 3)
    assert scores["S_se"] == 0.0
    assert np.isnan(scores["F_se"])
    assert np.isnan(scores["macro_se"])  # not the mean of those that are there


def test_without_class_names_what_is_called_abnormal_is_right():
    scores = unnamed_class_scores(TABLE)
    assert scores["V_se"] == pytest.approx(100 / 3)
    assert scores["S_se"] == 100.0  # called V, and all that counts is that it isn't N
    assert scores["N_se"] == 50.0
    assert np.isnan(scores["S_ppv"])
    assert scores["N_ppv"] == 50.0


def test_nothing_called_abnormal_has_no_precision():
    assert np.isnan(
        binary_scores(confusion(np.array(["N", "V"]), np.array(["N", "N"])))["precision"]
    )


def test_many_tables_are_scored_like_one():
    several = np.stack([TABLE, 2 * TABLE, np.zeros_like(TABLE)])
    one, many = class_scores(TABLE), class_scores(several)
    assert many["V_se"][:2] == pytest.approx(float(one["V_se"]))
    assert np.isnan(many["V_se"][2])
