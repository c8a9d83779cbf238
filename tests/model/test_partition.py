import numpy as np

from model.beats import Beats
from model.partition import (
    RANDOM,
    by_beat,
    by_patient,
    draw_random,
    ds1_folds,
    ds1_records,
    patient_records,
)

LETTERS = dict(
    line.split(": ") for line in RANDOM.read_text().splitlines() if not line.startswith("#")
)


def beats_of(records: list[str], annotations: list[int]) -> Beats:
    n = len(records)
    unknown = np.full(n, np.nan, np.float32)
    return Beats(
        record=np.array(records),
        annotation=np.array(annotations, np.int32),
        aami=np.full(n, "N"),
        rr_before_ms=unknown,
        rr_after_ms=unknown,
        has_window=np.ones(n, np.bool_),
        windows=np.zeros((n, 187), np.float32),
    )


def test_de_chazals_parts_hold_each_record_once():
    records = patient_records()
    every = [name for part in records.values() for name in part]
    assert len(every) == len(set(every)) == 48
    assert len(ds1_records()) == len(records["ds2"]) == 22
    assert records["paced"] == ["102", "104", "107", "217"]


def test_a_folds_patients_are_on_one_side_only():
    beats = beats_of(list(LETTERS), [0] * len(LETTERS))
    for fold in ds1_folds():
        partition = by_patient(beats, fold)
        sides = [set(partition.train.record), set(partition.validation.record)]
        assert sides[1] == set(fold)
        assert sides[0] | sides[1] == set(ds1_records())
        assert not sides[0] & sides[1]
        assert set(partition.test.record) == set(patient_records()["ds2"])


def test_random_split_gives_each_annotated_beat_to_one_part():
    letters = "".join(LETTERS.values())
    assert len(letters) == 109_494
    assert letters.count("v") == letters.count("x")
    assert abs(letters.count("t") / len(letters) - 0.70) < 0.001
    numbers = range(len(LETTERS["100"]))
    partition = by_beat(beats_of(["100"] * len(numbers), list(numbers)))
    parts = [
        set(part.annotation) for part in (partition.train, partition.validation, partition.test)
    ]
    assert set.union(*parts) == set(numbers)
    assert sum(map(len, parts)) == len(numbers)


def test_random_draw_is_stratified_and_the_seeds():
    classes = np.array(["N"] * 1000 + ["F"] * 20)
    letters = draw_random(classes)
    assert (letters[1000:] == "v").sum() == (letters[1000:] == "x").sum() == 3
    np.testing.assert_array_equal(letters, draw_random(classes))
