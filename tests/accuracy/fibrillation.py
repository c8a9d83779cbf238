"""Ventricular fibrillation and flutter: found in time, and false findings an hour.

    python -m tests.accuracy.fibrillation [--update]

The whole pipeline on the first ECG lead, without the network (fibrillation has no beats to label):

- `vfdb`: annotated fibrillation or flutter of 4 s and more that is found within 10 s of its onset;
  episodes and their duration as EC57 counts them, from 5:00 on; and false findings an hour of what
  is not annotated as fibrillation, flutter, ventricular tachycardia, asystole or noise;
- MIT-BIH: the same, where the only flutter is in 207 of DS1;
- `challenge2015`: false findings an hour of the records without a true ventricular alarm;
- MIT-BIH in noise of `nstdb`, two minutes of each record and mixture: false findings an hour.

`tune` was there to choose by: one half of vfdb and challenge2015, DS1, and the first halves of the
noise. `report` is the rest. Fails where a figure is worse than in `ratchet.json`, which `--update`
tightens.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from gateway.commands.analyse import analyse_items, lead_items
from gateway.messages import Gap, RhythmKind, SampleBlock, SampleIndex
from gateway.wfdb_files import read_lead
from tests.accuracy.challenge2015 import read_alarm
from tests.accuracy.ec57 import LEARNING_S
from tests.accuracy.ec57_episodes import compare
from tests.accuracy.figures import Counted, Figure, Hourly, gross, markdown, values
from tests.accuracy.gateway_run import Event, for_each
from tests.accuracy.halves import present_halves
from tests.accuracy.lethal_rhythms import FIBRILLATION_KINDS, found
from tests.accuracy.noise_stress import RATE_HZ, mix, read_noise
from tests.accuracy.r_peaks import SPLITS, read_record
from tests.accuracy.ratchet import check
from tests.accuracy.reference import FIBRILLATION, Reference, Stretch, read_reference, within
from tests.fakes import FakeClassifier

SECTION = "fibrillation"
FAST = {"vfdb": ("424", "609"), "mitdb": ("207",)}  # fibrillation and both kinds of flutter
NOT_FALSE = (*FIBRILLATION, "VT", "ASYS", "NOISE")
FALSE = "false VF /h"
NOISES = (("bw",), ("ma",), ("bw", "ma"))
SNR_DB = (6, 0, -6)
NOISY_S = (300, 420)
DATABASES = ("vfdb", "mitdb", "challenge2015", "noise")


def find(items: Iterable[SampleBlock | Gap], rate_hz: int) -> list[Event]:
    """What the pipeline takes for fibrillation, in seconds."""
    return [
        Event(e.kind, Stretch(e.onset / rate_hz, e.end / rate_hz), e.decided / rate_hz)
        for e in analyse_items(items, rate_hz, FakeClassifier()).events
        if e.kind is RhythmKind.VENTRICULAR_FIBRILLATION and e.end is not None
    ]


def find_in(path: Path) -> tuple[list[Event], float]:
    """The findings of a record's first ECG lead, and its hours."""
    lead = read_lead(path, None)
    events = find(lead_items(lead, 0, lead.amplitude_uv.size), lead.sample_rate_hz)
    return events, lead.amplitude_uv.size / lead.sample_rate_hz / 3600.0


def score_annotated(name: str, folder: Path) -> dict[str, Figure]:
    """A record whose rhythm is annotated throughout."""
    reference = read_reference(folder / name)
    events, _ = find_in(folder / name)
    scored = Stretch(LEARNING_S, reference.end_s)
    stretches = within([event.stretch for event in events], scored)
    return {
        "within 10 s": found(reference.fibrillation, events, FIBRILLATION_KINDS),
        **compare("VF", within(reference.fibrillation, scored), stretches),
        FALSE: _false(events, reference),
    }


def _false(events: list[Event], reference: Reference) -> Hourly:
    lethal = reference.rhythm(*NOT_FALSE) + reference.fibrillation
    false = [e for e in events if not any(e.stretch.overlap_s(one) > 0.0 for one in lethal)]
    unclear_s = sum(one.duration_s for one in reference.rhythm(*NOT_FALSE))
    return Hourly(len(false), (reference.end_s - unclear_s) / 3600.0)


def score_unannotated(name: str, folder: Path) -> dict[str, Figure]:
    """A record of intensive care; with a true ventricular alarm nobody knows where it began."""
    alarm = read_alarm(folder / name)
    if alarm.is_true and alarm.name.startswith("Ventricular"):
        return {FALSE: Hourly(0, 0.0)}
    events, hours = find_in(folder / name)
    return {FALSE: Hourly(len(events), hours)}


def score_noisy(name: str, folder: Path) -> dict[str, Figure]:
    """A record of MIT-BIH in every mixture of noise."""
    half = 0 if name in SPLITS["DS1"] else 1
    record = read_record(folder / "mitdb", name, RATE_HZ)
    first, past = (second * RATE_HZ for second in NOISY_S)
    total = Hourly(0, 0.0)
    for names in NOISES:
        noises = [read_noise(folder, noise, half) for noise in names]
        for snr_db in SNR_DB:
            mixed = mix(record, noises, snr_db)[first:past].copy()
            events = find([SampleBlock(SampleIndex(0), RATE_HZ, mixed)], RATE_HZ)
            total += Hourly(len(events), (past - first) / RATE_HZ / 3600.0)
    return {FALSE: total}


def records(database: str, half: str, folder: Path) -> list[str]:
    if database in ("mitdb", "noise"):
        return sorted(SPLITS["DS1" if half == "tune" else "DS2"])
    return present_halves(folder / database)[half]


def score_all(folder: Path) -> dict[str, Counted]:
    """Database and half → its gross figures."""
    scores: dict[str, Callable[[str], Counted]] = {
        "vfdb": partial(score_annotated, folder=folder / "vfdb"),
        "mitdb": partial(score_annotated, folder=folder / "mitdb"),
        "challenge2015": partial(score_unannotated, folder=folder / "challenge2015"),
        "noise": partial(score_noisy, folder=folder),
    }
    lines = {}
    for database in DATABASES:
        for half in ("tune", "report"):
            name, names = f"{database} {half}", records(database, half, folder)
            lines[name] = gross(for_each(scores[database], names, name).values())
    return lines


def score_fast(folder: Path) -> Counted:
    """A few records, for every test run."""
    return gross(
        score_annotated(name, folder / database)
        for database, names in FAST.items()
        for name in names
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="tighten the ratchet")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("ECG_DATA", "../shared/data"))
    lines = score_all(folder)
    for database in DATABASES:
        halves = {name: line for name, line in lines.items() if name.split()[0] == database}
        print(markdown(f"Ventricular fibrillation in {database}", halves))
    reached = {name: values(line) for name, line in {**lines, "fast": score_fast(folder)}.items()}
    below = check(SECTION, reached, arguments.update)
    print(*below, sep="\n")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
