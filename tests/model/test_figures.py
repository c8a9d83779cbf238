from dataclasses import fields

import numpy as np
import pytest

from gateway.messages import BeatClass
from model.beats import Beats
from model.figures import confusion_matrix, curves, patients, reliability, worst_beats
from model.figures.style import save_png, save_svg, styled
from model.predictions import RECORD_HOURS, Predictions
from model.records import AnnotatedRecord


def predictions(rows: list[tuple[str, str, str, float]]) -> Predictions:
    """Rows of record, annotated class, label and p; the n-th row is annotation n."""
    record, aami, labels, p_abnormal = map(np.array, zip(*rows, strict=True))
    known = {
        "record": record,
        "annotation": np.arange(len(rows), dtype=np.int32),
        "aami": aami,
        "has_window": labels != "",
    }
    unused = np.zeros(len(rows), np.float32)
    beats = Beats(**{field.name: known.get(field.name, unused) for field in fields(Beats)})
    return Predictions(beats, p_abnormal.astype(float), labels, names_classes=True)


def many_beats() -> Predictions:
    generator = np.random.default_rng(3)
    aami, labels = generator.choice(list("NNNSV"), 600), generator.choice(list("NNNSV"), 600)
    record = generator.choice([str(name) for name in range(100, 115)], 600)
    p_abnormal = np.round(generator.random(600), 2)
    return predictions(list(zip(record, aami, labels, p_abnormal, strict=True)))


def drawn_record(name: str) -> AnnotatedRecord:
    beat_samples = np.arange(600) * 300 + 100  # the first strip has no two seconds before it
    wave = np.sin(np.arange(200_000) / 50.0)
    return AnnotatedRecord(name, 360, wave, beat_samples, np.array(["N"] * 600), wave)


def strip_picture():
    return worst_beats.draw(worst_beats.worst(many_beats()), drawn_record)


PICTURES = pytest.mark.parametrize(
    ("draw", "save"),
    [
        (lambda: confusion_matrix.draw({"DS2": many_beats(), "paced": many_beats()}), save_svg),
        (lambda: curves.draw({("shipped", "ds2"): curves.curve(many_beats())}), save_svg),
        (lambda: patients.draw(many_beats()), save_svg),
        (lambda: reliability.draw({"DS1": coin_tosses(), "DS2": coin_tosses()}), save_svg),
        (strip_picture, save_png),
    ],
    ids=["confusion", "curves", "patients", "reliability", "worst_beats"],
)


@PICTURES
def test_a_picture_drawn_again_is_the_same_file_and_names_its_model(draw, save, tmp_path):
    contents = []
    for name in ("one", "two"):
        with styled():
            save(draw(), tmp_path / name, "cnn 0123abcd")
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert b"cnn 0123abcd" in contents[0]


def coin_tosses() -> reliability.Reliability:
    return reliability.reliability(np.full(100, 0.5), np.arange(100) % 2 == 0)


def test_a_matrix_writes_counts_and_row_shares():
    rows = [("100", "V", "V", 0.9)] * 3 + [("100", "V", "", 0.0), ("100", "", "S", 0.8)]
    figure = confusion_matrix.draw({"DS2": predictions(rows)})
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written.count("0") == 32
    assert set(written) == {"0", "3\n75.0%", "1\n25.0%", "1\n100.0%"}


def test_a_row_without_beats_has_no_shares():
    assert np.isnan(confusion_matrix.row_shares(np.zeros((6, 6), np.int64))).all()


def test_a_curve_passes_every_threshold_once_and_its_labels():
    rows = [("1", "V", "V", 0.9), ("1", "N", "V", 0.6), ("1", "S", "N", 0.6), ("1", "N", "N", 0.1)]
    curve = curves.curve(predictions(rows))
    assert curve.thresholds.recall.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert curve.thresholds.false_positive_rate.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert curve.thresholds.precision[1:] == pytest.approx([1.0, 2 / 3, 0.5])
    assert (curve.labels.recall, curve.labels.false_positive_rate) == (0.5, 0.5)
    assert curve.labels.precision == 0.5
    assert curve.auc == pytest.approx(87.5)
    assert curve.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_missed_beat_is_on_the_curve_and_a_silent_false_detection_is_not():
    rows = [("1", "V", "V", 0.9), ("1", "V", "", 0.0), ("1", "N", "N", 0.1), ("1", "", "", 0.0)]
    curve = curves.curve(predictions(rows))
    assert curve.labels.recall == 0.5
    assert curve.thresholds.recall.tolist() == [0.0, 0.5, 0.5, 1.0]
    assert curve.thresholds.false_positive_rate.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_each_patient_has_a_bar_and_those_without_such_beats_come_last():
    rows = [
        *[("100", "N", "N", 0.1)],
        *[("101", "V", "V", 0.9), ("101", "V", "N", 0.2)],
        *[("102", "V", "V", 0.9), ("102", "N", "S", 0.9), ("102", "", "V", 0.9)],
    ]
    bars = patients.sensitivities(predictions(rows), BeatClass.VENTRICULAR)
    assert [(bar.record, bar.count) for bar in bars] == [("102", 1), ("101", 2), ("100", 0)]
    assert [bar.height for bar in bars] == pytest.approx([100.0, 50.0, np.nan], nan_ok=True)
    wrong = patients.false_positive_rates(predictions(rows))
    assert [(bar.record, bar.count) for bar in wrong] == [("102", 2), ("100", 0), ("101", 0)]
    assert wrong[0].height == pytest.approx(2 / RECORD_HOURS)


def test_calibration_error_is_the_distance_from_the_observed_share():
    assert coin_tosses().calibration_error == pytest.approx(0.0)
    sure = reliability.reliability(np.full(100, 1.0), np.arange(100) < 70)
    assert sure.counts.tolist() == [0] * 9 + [100]
    assert sure.calibration_error == pytest.approx(0.3)


def test_the_calibration_error_weighs_bins_by_their_beats():
    p = np.array([0.05] * 30 + [0.95] * 10)
    mixed = reliability.reliability(p, np.array([False] * 30 + [False] * 10))
    assert mixed.calibration_error == pytest.approx((30 * 0.05 + 10 * 0.95) / 40)


def test_wilson_interval():
    low, high = reliability.wilson_interval(np.array([0.5, 0.0]), np.array([100, 10]))
    assert low == pytest.approx([0.404, 0.0], abs=0.001)
    assert high == pytest.approx([0.596, 0.278], abs=0.001)


def test_the_worst_beats_are_the_most_confident_wrong_labels():
    rows = [
        ("100", "N", "V", 0.8),
        ("101", "V", "N", 0.1),  # surest
        ("102", "N", "N", 0.0),  # right
        ("103", "", "V", 1.0),  # no annotated beat
        ("104", "V", "", 0.0),  # no label
        ("105", "S", "V", 0.7),
    ]
    chosen = worst_beats.worst(predictions(rows))
    assert [(wrong.record, wrong.annotation) for wrong in chosen] == [
        ("101", 1),
        ("100", 0),
        ("105", 5),
    ]
    assert chosen[0] == worst_beats.WrongLabel("101", 1, "V", "N", 0.1)


def test_one_patient_does_not_fill_the_picture():
    surest_first = [(str(100 + n // 30), "V", "N", n / 1000) for n in range(330)]
    chosen = worst_beats.worst(predictions(surest_first))
    assert [wrong.record for wrong in chosen] == [str(100 + n // 2) for n in range(20)]
    assert [wrong.annotation for wrong in chosen[:4]] == [0, 1, 30, 31]


def test_a_strip_names_its_beat_and_marks_it_among_its_neighbours():
    wrong = worst_beats.WrongLabel("233", 10, "N", "V", 0.987)
    (axes,) = worst_beats.draw([wrong], drawn_record).axes
    assert axes.get_title() == "233 at 0:08.6: annotated N, labelled V, p 0.987"
    letters = [(text.get_position()[0], text.get_weight()) for text in axes.texts]
    assert [at for at, weight in letters if weight == "bold"] == [0.0]
    assert [round(at, 2) for at, _ in letters] == [-1.67, -0.83, 0.0, 0.83, 1.67]
