"""The four trained models: two networks on two splits.

Only `shipped_ds2` is ever served; the others say what the same effort gives elsewhere.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.tflite_classifier import default_model_path
from model.beats import Beats
from model.dataset import load_cut
from model.partition import Partition, by_beat, by_patient, ds1_folds

SEED = 20261122  # fixed before the first run, not chosen among several
SHIPPED = "shipped_ds2"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A network ("specified" or "shipped") and a split ("random" or "ds2")."""

    network: str
    split: str
    seed: int = SEED

    @property
    def is_served(self) -> bool:
        return self.name == SHIPPED

    @property
    def is_shipped_ds2(self) -> bool:
        """One of the seeds over which the shipped network's scores are averaged."""
        return (self.network, self.split) == ("shipped", "ds2")

    @property
    def name(self) -> str:
        return f"{self.network}_{self.split}"

    @property
    def cut(self) -> str:
        return "public" if self.network == "specified" else "serving"

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

    def beats(self) -> Beats:
        return load_cut(self.cut)

    def folds(self, beats: Beats) -> list[Partition]:
        """The partitions that choose threshold and length of training."""
        if self.split == "random":
            return [by_beat(beats)]
        return [by_patient(beats, fold) for fold in ds1_folds()]

    def final(self, beats: Beats) -> Partition:
        """The partition that the finished model is trained and reported on."""
        return by_beat(beats) if self.split == "random" else by_patient(beats, [])


EXPERIMENTS = [
    Experiment(network, split)
    for network in ("specified", "shipped")
    for split in ("random", "ds2")
]


def served() -> Experiment:
    """The experiment whose artefact is installed with the gateway."""
    return next(experiment for experiment in EXPERIMENTS if experiment.is_served)


def chosen_experiments(parser: argparse.ArgumentParser) -> list[Experiment]:
    """The experiments that the command line names; all of them where it names none."""
    by_name = {experiment.name: experiment for experiment in EXPERIMENTS}
    parser.add_argument("experiments", nargs="*", help=f"of {', '.join(by_name)}")
    names = parser.parse_args().experiments or list(by_name)
    unknown = sorted(set(names) - set(by_name))
    if unknown:
        parser.error(f"no experiment {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def current_commit() -> str:
    """What the working tree is based on, for cards and the log of DS2."""
    head = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
