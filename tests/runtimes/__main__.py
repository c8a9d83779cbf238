"""`make test-runtimes`: the same labels on every runtime that may serve.

    python -m tests.runtimes [--minutes 30]

ai-edge-litert must give the same bytes on x86-64 and on arm64 (emulated Cortex-A72), one by one and
64 at a time; with tflite-runtime at most one decision in a thousand may differ. Fails if a limit
is broken. The environments are made by the Makefile; the beats lie in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from gateway.beat_classifier import load_card
from gateway.tflite_classifier import default_model_path
from tests.runtimes.beats import drawn_windows, patient_windows
from tests.runtimes.comparison import Difference, difference
from tests.runtimes.labelling import Labelling, load_labelling
from tests.runtimes.windows_file import save_windows

PROJECT = Path(__file__).parents[2]
ENVIRONMENTS = PROJECT / "build/runtimes"
ARM64 = ENVIRONMENTS / "arm64"
MINUTES = 5  # of each record
LABELLING_TIMEOUT_S = 1800.0  # many times what the emulated machine takes
COLUMNS = "{:<58}{:>8}{:>9}{:>11}{:>13}{:>8}"


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python with one runtime in it."""

    runtime: str  # the package that holds `interpreter`
    python: list[str]
    variables: dict[str, str] = field(default_factory=dict)


HERE = Environment("ai_edge_litert", [sys.executable])
PI = Environment(
    "ai_edge_litert",
    ["qemu-aarch64", "-L", f"{ARM64}/root", f"{ARM64}/root/usr/bin/python3.11", "-S"],
    # qemu's own choice of processor, "max", has instructions whose emulation spoils int8 kernels
    {"QEMU_CPU": "cortex-a72", "PYTHONPATH": f"{ARM64}/site-packages"},
)
OLDER = Environment("tflite_runtime", [f"{ENVIRONMENTS}/tflite-runtime/bin/python"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=MINUTES, help="of each record")
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        _collect(minutes, Path(folder) / "windows")
        broken = _compare(Path(folder))
    if broken:
        raise SystemExit(f"not the same labels: {'; '.join(broken)}")


def _collect(minutes: int, path: Path) -> None:
    patients, drawn = patient_windows(minutes), drawn_windows()
    save_windows(patients + drawn, path)
    model = load_card(default_model_path().with_suffix(".json")).short_hash
    print(f"model {model}: {len(patients)} beats of DS2 ({minutes} minutes a record),", end=" ")
    print(f"{len(drawn)} drawn beats", flush=True)


def _compare(folder: Path) -> list[str]:
    """Print how each runtime differs from this one; returns those that break their limit."""
    reference = _labelling(HERE, 1, folder)
    print(f"compared with {_name(reference, 1)}; how many differ:\n")
    print(COLUMNS.format("", "inputs", "outputs", "decisions", "largest |Δp|", "s"), flush=True)
    broken = []
    for environment, batch in [(HERE, 64), (PI, 1), (PI, 64), (OLDER, 1), (OLDER, 64)]:
        begun_s = time.monotonic()
        labelling = _labelling(environment, batch, folder)
        found = difference(reference, labelling)
        _print_row(_name(labelling, batch), found, time.monotonic() - begun_s)
        must_be_same = environment.runtime == HERE.runtime
        if not (found.is_none if must_be_same else found.is_within_limit):
            broken.append(_name(labelling, batch))
    return broken


def _labelling(environment: Environment, batch: int, folder: Path) -> Labelling:
    module = ["-m", "tests.runtimes.labelling", environment.runtime, str(batch)]
    done = subprocess.run(
        [*environment.python, *module, str(folder / "windows"), str(folder / "labelling.npz")],
        cwd=PROJECT,
        env=os.environ | environment.variables,
        stderr=subprocess.PIPE,  # the runtimes tell there what they are about
        text=True,
        timeout=LABELLING_TIMEOUT_S,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(environment.python)}:\n{done.stderr}")
    return load_labelling(folder / "labelling.npz")


def _name(labelling: Labelling, batch: int) -> str:
    return f"{', '.join(labelling.versions)}, batch {batch}"


def _print_row(name: str, found: Difference, seconds: float) -> None:
    counts = (found.input_values, found.output_values, found.decisions)
    print(COLUMNS.format(name, *counts, f"{found.largest_p:.3g}", round(seconds)), flush=True)


if __name__ == "__main__":
    main()
