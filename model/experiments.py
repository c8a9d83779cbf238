"""The trained models: two networks on two splits, and the one that ships from several seeds.

Only one of `shipped_ds2_1` … is ever served; the others say what the same effort gives elsewhere.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.tflite_classifier import default_model_path
from model.beats import Beats
from model.dataset import PUBLIC, SERVING, Cut
from model.partition import Partition, by_beat, by_patient, ds1_folds

SEED = 20261122  # fixed before the first run
SHIPPED_SEEDS = 5
SERVED = "shipped_ds2_5"  # the seed with the best F1 in the folds of DS1


@dataclass(frozen=True, slots=True)
class Experiment:
    """A network ("specified" or "shipped"), a split ("random" or "ds2"), and which of its seeds."""

    network: str
    split: str
    number: int | None = None  # where there are several seeds

    @property
    def seed(self) -> int:
        return SEED + (self.number or 1) - 1

    @property
    def is_served(self) -> bool:
        return self.name == SERVED

    @property
    def is_shipped_ds2(self) -> bool:
        """One of the seeds over which the shipped network's scores are averaged."""
        return (self.network, self.split) == ("shipped", "ds2")

    @property
    def name(self) -> str:
        number = "" if self.number is None else f"_{self.number}"
        return f"{self.network}_{self.split}{number}"

    @property
    def cut(self) -> Cut:
        return PUBLIC if self.network == "specified" else SERVING

    @property
    def tflite_path(self) -> Path:
        """The served model is installed with the gateway; the others stay here."""
        if self.is_served:
            return default_model_path()
        return Path(__file__).with_name("artefacts") / f"{self.name}.tflite"

    @property
    def card_path(self) -> Path:
        return self.tflite_path.with_suffix(".json")

    @property
    def keras_path(self) -> Path:
        """The float model, rebuilt by training and not kept under version control."""
        return Path("build/models") / f"{self.name}.keras"

    @property
    def choices_path(self) -> Path:
        """What training chose besides the weights."""
        return self.keras_path.with_suffix(".json")

    @property
    def validation_path(self) -> Path:
        """Outputs and annotated classes of the validation beats."""
        return self.keras_path.with_suffix(".npz")

    def beats(self) -> Beats:
        return self.cut.load()

    def folds(self, beats: Beats) -> list[Partition]:
        """The partitions that choose threshold and length of training."""
        if self.split == "random":
            return [by_beat(beats)]
        return [by_patient(beats, fold) for fold in ds1_folds()]

    def final(self, beats: Beats) -> Partition:
        """The partition that the finished model is trained and reported on."""
        return by_beat(beats) if self.split == "random" else by_patient(beats, [])


EXPERIMENTS = [
    Experiment("specified", "random"),
    Experiment("specified", "ds2"),
    Experiment("shipped", "random"),
    *(Experiment("shipped", "ds2", number) for number in range(1, SHIPPED_SEEDS + 1)),
]


def served() -> Experiment:
    """The experiment whose artefact is installed with the gateway."""
    return next(experiment for experiment in EXPERIMENTS if experiment.is_served)


def chosen_experiments(parser: argparse.ArgumentParser) -> list[Experiment]:
    """The experiments that the command line names; where it names none, all but the seeds that
    only say how far seeds differ.
    """
    by_name = {experiment.name: experiment for experiment in EXPERIMENTS}
    one_seed = [e.name for e in EXPERIMENTS if e.is_served or not e.is_shipped_ds2]
    parser.add_argument(
        "experiments",
        nargs="*",
        help=f"of {', '.join(by_name)}; {', '.join(one_seed)} if not named",
    )
    names = parser.parse_args().experiments or one_seed
    unknown = sorted(set(names) - set(by_name))
    if unknown:
        parser.error(f"no experiment {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def current_commit() -> str:
    """What the working tree is based on, for cards and the log of DS2."""
    head = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
