import numpy as np
import pytest

from model.scores import auc, best_f1_threshold, binary_scores, class_scores, confusion

ABNORMAL = np.array([False, False, False, True, True])
P = np.array([0.1, 0.4, 0.6, 0.6, 0.9])


def test_auc_counts_ordered_pairs_and_half_of_the_ties():
    assert auc(ABNORMAL, P) == pytest.approx(100 * 5.5 / 6)
    assert auc(ABNORMAL, -P) == pytest.approx(100 * 0.5 / 6)


def test_binary_scores():
    scores = binary_scores(ABNORMAL, P >= 0.5)
    assert scores["precision"] == pytest.approx(200 / 3)
    assert scores["recall"] == 100.0
    assert scores["f1"] == pytest.approx(80.0)


def test_nothing_called_abnormal_has_no_precision():
    assert np.isnan(binary_scores(ABNORMAL, P > 1)["precision"])


def test_best_threshold_separates_what_can_be_separated():
    threshold = best_f1_threshold(ABNORMAL, np.array([0.1, 0.2, 0.3, 0.7, 0.8]))
    assert 0.3 < threshold <= 0.7


def test_confusion_counts_missed_beats_and_false_detections():
    reference = np.array(["N", "V", "V", "V", "", "S"])
    given = np.array(["N", "V", "N", "", "V", "S"])
    table = confusion(reference, given)
    assert table.shape == (6, 6)
    assert table[2].tolist() == [1, 0, 1, 0, 0, 1]  # V: one as N, one right, one missed
    assert table[5].tolist() == [0, 0, 1, 0, 0, 0]  # no beat, called V
    scores = class_scores(table)
    assert scores["V_se"] == pytest.approx(100 / 3)
    assert scores["V_ppv"] == pytest.approx(50.0)
    assert np.isnan(scores["F_se"])
