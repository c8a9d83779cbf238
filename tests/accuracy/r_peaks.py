"""Accuracy of the R-peak detector on the MIT-BIH Arrhythmia Database, by the rules of EC57.

    python -m tests.accuracy.r_peaks [--rate 250] [--update]

Channel 0 of all 48 records from 5:00 on, without the ventricular flutter of 207. Only peaks that
were decided in time count: one that search-back added later is a missed beat here. Prints each
record and the gross figures of de Chazal's splits; fails if a figure lies below `ratchet.json`,
which `--update` tightens and never loosens.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.r_peaks import RPeakDetector
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, SAMPLES_PER_FRAME, SampleBlock, SampleIndex
from tests.accuracy.ec57 import LEARNING_S, Score, match_beats, outside
from tests.accuracy.ratchet import check

PROCESSES = 2
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
DS1 = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230"
DS2 = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234"
PACED = "102 104 107 217"
FAST = "106 108 119 201 203 207"  # of DS1: ectopy, low QRS, bigeminy, pauses, noise, flutter
SPLITS = {
    "DS1": frozenset(DS1.split()),
    "DS2": frozenset(DS2.split()),
    "all": frozenset(f"{DS1} {DS2} {PACED}".split()),
}


@dataclass(frozen=True, slots=True)
class AnnotatedRecord:
    """One channel at some rate, µV, and what the cardiologists marked, in seconds."""

    amplitude_uv: NDArray[np.float64]
    beats_s: NDArray[np.float64]
    flutter_s: list[tuple[float, float]]


def read_record(mitdb: Path, name: str, rate_hz: int) -> AnnotatedRecord:
    """Channel 0 of a record, resampled (anti-aliased) where `rate_hz` is not its own."""
    import wfdb
    from scipy.signal import resample_poly

    record = wfdb.rdrecord(str(mitdb / name), channels=[0])
    marks = wfdb.rdann(str(mitdb / name), "atr")
    times_s = marks.sample / record.fs
    is_beat = np.array([symbol in BEAT_SYMBOLS for symbol in marks.symbol])
    starts = [t for t, symbol in zip(times_s, marks.symbol, strict=True) if symbol == "["]
    ends = [t for t, symbol in zip(times_s, marks.symbol, strict=True) if symbol == "]"]
    amplitude_uv = record.p_signal[:, 0] * 1000.0
    if rate_hz != record.fs:
        common = math.gcd(rate_hz, record.fs)
        up, down = rate_hz // common, record.fs // common
        amplitude_uv = resample_poly(amplitude_uv, up, down, padtype="line")
    return AnnotatedRecord(amplitude_uv, times_s[is_beat], list(zip(starts, ends, strict=True)))


def detect_in_time(amplitude_uv: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """Times of the peaks that were not searched back, in seconds, from frame-sized pushes."""
    detector = RPeakDetector(rate_hz)
    peaks = []
    for start in range(0, amplitude_uv.size, SAMPLES_PER_FRAME):
        samples = amplitude_uv[start : start + SAMPLES_PER_FRAME]
        peaks += detector.push(SampleBlock(SampleIndex(start), rate_hz, samples))
    peaks += detector.finish()
    return np.array([peak.sample for peak in peaks if not peak.searched_back]) / rate_hz


def score_record(name: str, mitdb: Path, rate_hz: int) -> Score:
    record = read_record(mitdb, name, rate_hz)
    found_s = outside(detect_in_time(record.amplitude_uv, rate_hz), record.flutter_s)
    matches = match_beats(outside(record.beats_s, record.flutter_s), found_s)
    return matches.score_within(LEARNING_S, np.inf)


def gross(scores: dict[str, Score]) -> dict[str, Score]:
    """The sum over the records of each split."""
    return {
        split: sum((scores[name] for name in sorted(names & scores.keys())), Score())
        for split, names in SPLITS.items()
    }


def figures(score: Score) -> dict[str, float]:
    return {"Se": score.sensitivity, "+P": score.positive_predictivity}


def print_line(name: str, score: Score) -> None:
    print(
        f"{name:>5} {score.true_positive:7d} {score.false_negative:5d} {score.false_positive:5d}"
        f" {score.sensitivity:8.3f} {score.positive_predictivity:8.3f}"
    )


def main() -> int:
    from tqdm import tqdm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=250, choices=LEGAL_SAMPLE_RATES_HZ)
    parser.add_argument("--update", action="store_true", help="tighten the ratchet")
    arguments = parser.parse_args()
    mitdb = Path(os.environ.get("ECG_DATA", "../shared/data")) / "mitdb"
    names = sorted(SPLITS["all"])
    score = partial(score_record, mitdb=mitdb, rate_hz=arguments.rate)
    with ProcessPoolExecutor(PROCESSES) as pool:
        scores = dict(zip(names, tqdm(pool.map(score, names), total=len(names)), strict=True))
    print("          TP    FN    FP       Se       +P")
    splits = gross(scores)
    for name, counted in (scores | splits).items():
        print_line(name, counted)
    fast = sum((scores[name] for name in FAST.split()), Score())
    reached = {split: figures(score) for split, score in (splits | {"fast": fast}).items()}
    below = check(str(arguments.rate), reached, arguments.update)
    print(*below, sep="\n")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
