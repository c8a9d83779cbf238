"""How well the quality gates judge: how long they are open, and how right is what they let through.

    python -m tests.accuracy.quality_gates [--update]

Clean: DS1 and DS2 of MIT-BIH from 5:00 on. Noise: a minute of each of their records, each
elsewhere in the record and in the noise, mixed after the noise stress protocol (Moody 1984) with
`nstdb`, of which the first halves go with DS1, on which the limits were chosen, and the second
halves with DS2. A rate that is shown is right within 10 % or 5 bpm of that of the annotated beats.
A beat is labelled if the detector found it and the gate let it have a label. Fails if a figure lies
below `ratchet.json`, which `--update` tightens and never loosens.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.config import AlarmLimits
from gateway.messages import SAMPLES_PER_FRAME, Beat, SampleBlock, SampleIndex, VitalSigns
from gateway.pipeline import Pipeline
from tests.accuracy.ec57 import LEARNING_S
from tests.accuracy.ec57_rates import annotated_rates
from tests.accuracy.figures import Counted, Share, gross, markdown, values
from tests.accuracy.gateway_run import for_each
from tests.accuracy.noise_stress import CLOSE_BPM, CLOSE_SHARE, RATE_HZ, mix, read_noise
from tests.accuracy.r_peaks import SPLITS, AnnotatedRecord, read_record
from tests.accuracy.ratchet import check
from tests.accuracy.reference import Reference, read_reference
from tests.fakes import FakeClassifier

SECTION = "quality gates"
NOISES = {"bw": ("bw",), "ma": ("ma",), "em": ("em",), "bw+ma": ("bw", "ma")}
SNR_DB = (24, 18, 12, 6, 0, -6)
NOISY_S = 60.0
APART_S = 60.0  # from one record's noisy stretch to the next one's
CLASSES = ("N", "V")
MATCH_S = 0.150  # EC57
QUICK = "108 200 203 228"  # much ventricular ectopy
QUICK_CLEAN_S, QUICK_NOISES, QUICK_SNR_DB = 120.0, ("bw", "ma"), (18, 6)


def run(amplitude_uv: NDArray[np.float64]) -> tuple[list[VitalSigns], list[Beat]]:
    """What the pipeline finds, frame by frame."""
    pipeline = Pipeline(RATE_HZ, FakeClassifier(), AlarmLimits())
    found = []
    for start in range(0, amplitude_uv.size, SAMPLES_PER_FRAME):
        samples = amplitude_uv[start : start + SAMPLES_PER_FRAME].copy()
        found.append(pipeline.push(SampleBlock(SampleIndex(start), RATE_HZ, samples)))
    found.append(pipeline.finish())
    vitals = [second for findings in found for second in findings.vitals]
    return vitals, [beat for findings in found for beat in findings.beats]


def score_rates(vitals: Sequence[VitalSigns], true_bpm: NDArray[np.float64]) -> Counted:
    """Of all seconds those that are good, and of the rates shown those that are right."""
    shown = np.array([np.nan if v.heart_rate_bpm is None else v.heart_rate_bpm for v in vitals])
    known = ~np.isnan(shown) & ~np.isnan(true_bpm)
    close = np.maximum(CLOSE_BPM, CLOSE_SHARE * true_bpm[known])
    right = np.abs(shown - true_bpm)[known] <= close
    good = sum(second.quality.rate_usable for second in vitals)
    return {"good": Share(good, len(vitals)), "right": Share(int(right.sum()), right.size)}


def score_labels(reference: Reference, beats: Sequence[Beat], end_s: float) -> Counted:
    """Of the annotated beats that were found, those that have a label."""
    found_s = np.array([beat.r_sample for beat in beats]) / RATE_HZ
    has_label = np.array([beat.label is not None for beat in beats])
    within = (reference.beats_s >= LEARNING_S) & (reference.beats_s < end_s)
    true_s, classes = reference.beats_s[within], reference.classes[within]
    nearest = np.abs(found_s[:, None] - true_s).argmin(axis=0)
    found = np.abs(found_s[nearest] - true_s) <= MATCH_S
    counts = {name: found & (classes == name) for name in CLASSES}
    return {
        f"{name} labelled": Share(int((of_class & has_label[nearest]).sum()), int(of_class.sum()))
        for name, of_class in counts.items()
    }


def score_clean(name: str, mitdb: Path, clean_s: float) -> Counted:
    """The record as it is: from 5:00 on for `clean_s`, or to its end."""
    record, reference = read_record(mitdb, name, RATE_HZ), read_reference(mitdb / name)
    end_s = min(LEARNING_S + clean_s, record.amplitude_uv.size / RATE_HZ)
    vitals, beats = run(record.amplitude_uv[: round(end_s * RATE_HZ)])
    first = round(LEARNING_S)
    rates = score_rates(vitals[first:], annotated_rates(reference, len(vitals))[first:])
    return rates | score_labels(reference, beats, end_s)


def score_noisy(
    name: str, folder: Path, half: int, noises: Sequence[str], levels_db: Sequence[int]
) -> dict[str, Counted]:
    """Noise and SNR → figures of a minute of the record."""
    record = read_record(folder / "mitdb", name, RATE_HZ)
    reference = read_reference(folder / "mitdb" / name)
    true_bpm = annotated_rates(reference, round(reference.end_s))
    names = sorted(SPLITS["all"])
    first = round(LEARNING_S + APART_S * (names.index(name) % 22))
    lines = {}
    for noise in noises:
        parts = [read_noise(folder, part, half) for part in NOISES[noise]]
        for snr_db in levels_db:
            vitals = _vitals_of_stretch(record, parts, snr_db, first)
            true = true_bpm[first : first + len(vitals)]
            lines[f"{noise} {snr_db} dB"] = score_rates(vitals, true)
    return lines


def _vitals_of_stretch(
    record: AnnotatedRecord, noises: list[NDArray[np.float64]], snr_db: int, first_s: int
) -> list[VitalSigns]:
    mixed = mix(record, noises, snr_db)
    vitals, _ = run(mixed[first_s * RATE_HZ : round(first_s + NOISY_S) * RATE_HZ])
    return vitals


def gross_noise(records: Sequence[Mapping[str, Counted]]) -> dict[str, Counted]:
    """Each mixture's figures over all records, and all mixtures' together."""
    lines = {mixture: gross(record[mixture] for record in records) for mixture in records[0]}
    return {**lines, "all mixtures": gross(lines.values())}


def quick_figures(folder: Path) -> dict[str, dict[str, float | None]]:
    """What every test run measures."""
    names = QUICK.split()
    clean = gross(score_clean(name, folder / "mitdb", QUICK_CLEAN_S) for name in names)
    noisy = [score_noisy(name, folder, 1, QUICK_NOISES, QUICK_SNR_DB) for name in names]
    return {
        "clean quick": values(clean),
        "noise quick": values(gross_noise(noisy)["all mixtures"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="tighten the ratchet")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("ECG_DATA", "../shared/data"))
    here = [
        noise
        for noise, parts in NOISES.items()
        if all((folder / "nstdb" / f"{part}.hea").exists() for part in parts)
    ]
    reached = quick_figures(folder)
    for half, split in enumerate(("DS1", "DS2")):
        names = sorted(SPLITS[split])
        scored = partial(score_clean, mitdb=folder / "mitdb", clean_s=np.inf)
        clean = for_each(scored, names, f"clean {split}")
        print(markdown(f"Clean, {split}, %", {**clean, "gross": gross(clean.values())}))
        scored = partial(score_noisy, folder=folder, half=half, noises=here, levels_db=SNR_DB)
        noisy = gross_noise([*for_each(scored, names, f"noise {split}").values()])
        print(markdown(f"Noise, {split}, %", noisy))
        reached[f"clean {split}"] = values(gross(clean.values()))
        reached[f"noise {split}"] = values(noisy["all mixtures"])
    below = check(SECTION, reached, arguments.update)
    print(*below, sep="\n")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
