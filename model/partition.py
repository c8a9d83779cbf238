"""The two splits, read from text files: which beats train, which choose, which only report.

`python -m model.partition` writes the random split again from its seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.messages import BeatClass
from model.beats import Beats
from model.records import read_record, record_names

SPLITS = Path(__file__).with_name("splits")
DE_CHAZAL = SPLITS / "de_chazal.txt"
RANDOM = SPLITS / "random_70_15_15.txt"
RANDOM_SEED = 2018
VALIDATION_SHARE = TEST_SHARE = 0.15
TRAIN, VALIDATION, TEST = "t", "v", "x"  # one letter for each annotated beat of a record


@dataclass(frozen=True, slots=True)
class Partition:
    """Three sets of beats that share no beat (random) or no patient (de Chazal's folds)."""

    train: Beats
    validation: Beats
    test: Beats


def by_beat(beats: Beats) -> Partition:
    """Random 70/15/15: beats of one patient on all sides, so the figures flatter."""
    letters = dict(_lines(RANDOM))
    numbered = zip(beats.record, beats.annotation, strict=True)
    part = np.array([letters[record][number] for record, number in numbered])
    return Partition(*(beats[part == letter] for letter in (TRAIN, VALIDATION, TEST)))


def patient_records() -> dict[str, list[str]]:
    """Part of de Chazal's split → its records."""
    return {part: records.split() for part, records in _lines(DE_CHAZAL)}


def ds1_folds() -> list[list[str]]:
    return [records for part, records in patient_records().items() if part.startswith("ds1")]


def ds1_records() -> list[str]:
    return sorted(record for fold in ds1_folds() for record in fold)


def by_patient(beats: Beats, validation_fold: list[str]) -> Partition:
    """DS1 without the fold (which may be empty) trains, the fold chooses, DS2 reports."""
    training = [record for record in ds1_records() if record not in validation_fold]
    return Partition(
        beats.of_records(training),
        beats.of_records(validation_fold),
        beats.of_records(patient_records()["ds2"]),
    )


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            name, content = line.split(":")
            yield name, content.strip()


def draw_random(classes: NDArray[np.str_]) -> NDArray[np.str_]:
    """A letter for each beat, 70/15/15 within each class."""
    generator = np.random.default_rng(RANDOM_SEED)
    letters = np.full(len(classes), TRAIN)
    for beat_class in BeatClass:
        members = generator.permutation(np.flatnonzero(classes == beat_class.value))
        validation = round(VALIDATION_SHARE * len(members))
        test = round(TEST_SHARE * len(members))
        letters[members[:validation]] = VALIDATION
        letters[members[validation : validation + test]] = TEST
    return letters


def main() -> None:
    records = [read_record(name) for name in record_names()]
    letters = draw_random(np.concatenate([record.beat_classes for record in records]))
    ends = np.cumsum([len(record.beat_classes) for record in records])
    parts = np.split(letters, ends[:-1])
    lines = [f"{r.name}: {''.join(part)}" for r, part in zip(records, parts, strict=True)]
    header = f"# 70/15/15 by beat, stratified by AAMI class, seed {RANDOM_SEED}: t train,\n"
    header += "# v validation, x test; one letter for each annotated beat in order of time.\n"
    RANDOM.write_text(header + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
