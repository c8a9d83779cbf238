"""R peaks and signal quality in noise, after the noise stress protocol (Moody 1984).

    python -m tests.accuracy.noise_stress

Noise of `nstdb` on 118 and 119 in every other two minutes from 5:00 on: F1 of the R peaks. And how
long the heart rate is usable, and how often a usable one is wrong: on two noisy minutes of eight
records, and on ten minutes of all 48 as they are. The noise's first halves are those on which
limits may be tuned; its second halves have the last word.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.filters import BandPass
from gateway.dsp.quality import QualityMeter
from gateway.dsp.r_peaks import RPeakDetector
from gateway.dsp.rr_intervals import RRSeries
from gateway.messages import RPeak, SampleBlock, SampleIndex
from model.noise_level import noise_power, qrs_power
from tests.accuracy.ec57 import LEARNING_S, Score, match_beats
from tests.accuracy.r_peaks import SPLITS, AnnotatedRecord, detect_in_time, read_record

RATE_HZ = 250
NOISES = (("bw",), ("ma",), ("bw", "ma"))
SNR_DB = (18, 12, 6, 0, -6)
STRESS_RECORDS = ("118", "119")
QUALITY_RECORDS = ("118", "119", "106", "109", "124", "205", "215", "220")
NOISY_S = 120.0  # two minutes with noise, two without
CLEAN_S = 600.0
CLOSE_SHARE, CLOSE_BPM = 0.10, 5.0  # a rate within either is right


def read_noise(folder: Path, name: str, half: int = 0) -> NDArray[np.float64]:
    """One half (0 or 1) of a noise recording's first channel, µV around its mean."""
    import wfdb
    from scipy.signal import resample_poly

    record = wfdb.rdrecord(str(folder / "nstdb" / name), channels=[0])
    halves = np.array_split(record.p_signal[:, 0] * 1000.0, 2)
    noise: NDArray[np.float64] = resample_poly(halves[half], 25, 36, padtype="line")
    return noise - noise.mean()


def mix(
    record: AnnotatedRecord, noises: list[NDArray[np.float64]], snr_db: float
) -> NDArray[np.float64]:
    """The record with noise throughout, each noise with an equal share of the power."""
    r_samples = np.rint(record.beats_s[1:] * RATE_HZ).astype(int)
    power = qrs_power(record.amplitude_uv, r_samples, RATE_HZ) / 10 ** (snr_db / 10) / len(noises)
    mixed = record.amplitude_uv.copy()
    for noise in noises:
        mixed += np.resize(noise, mixed.size) * np.sqrt(power / noise_power(noise, RATE_HZ))
    return mixed


def stress(record: AnnotatedRecord, mixed: NDArray[np.float64]) -> Score:
    """Counts of the noisy stretches; the others are clean."""
    starts_s = np.arange(LEARNING_S, 1800.0, 2 * NOISY_S)
    amplitude_uv = record.amplitude_uv.copy()
    for start in (starts_s * RATE_HZ).astype(int):
        noisy = slice(start, start + round(NOISY_S * RATE_HZ))
        amplitude_uv[noisy] = mixed[noisy]
    matches = match_beats(record.beats_s, detect_in_time(amplitude_uv, RATE_HZ))
    return sum((matches.score_within(s, s + NOISY_S) for s in starts_s), Score())


def rate_quality(
    record: AnnotatedRecord, amplitude_uv: NDArray[np.float64], stretch_s: float
) -> tuple[int, int, int]:
    """From 5:00 on: seconds judged, those with a usable rate, and those where it is wrong."""
    first = round(LEARNING_S * RATE_HZ)
    stretch = amplitude_uv[first : first + round(stretch_s * RATE_HZ)]
    band_pass, detector, meter = BandPass(RATE_HZ), RPeakDetector(RATE_HZ), QualityMeter(RATE_HZ)
    found, truth = RRSeries(RATE_HZ), RRSeries(RATE_HZ)
    true_r = np.rint(record.beats_s * RATE_HZ).astype(int) - first
    judged = usable = wrong = 0
    for start in range(0, stretch.size, RATE_HZ):
        block = SampleBlock(SampleIndex(start), RATE_HZ, stretch[start : start + RATE_HZ].copy())
        peaks = detector.push(block)
        for peak in peaks:
            found.push_peak(peak)
        for r in true_r[(true_r >= start) & (true_r < block.end)].tolist():
            truth.push_peak(RPeak(SampleIndex(r), 0.0))
        for quality in meter.push(block, band_pass.push(block), peaks, detector.take_doubtful()):
            end = SampleIndex(quality.start + RATE_HZ)
            rate, true_rate = found.heart_rate_bpm(end), truth.heart_rate_bpm(end)
            judged += 1
            if quality.rate_usable and rate is not None and true_rate is not None:
                usable += 1
                wrong += abs(rate - true_rate) > max(CLOSE_BPM, CLOSE_SHARE * true_rate)
    return judged, usable, wrong


def rate_line(counts: list[tuple[int, int, int]]) -> str:
    judged, usable, wrong = (sum(column) for column in zip(*counts, strict=True))
    return f"{100 * usable / judged:6.1f} {100 * wrong / max(usable, 1):6.1f} of {usable} s"


def print_clean(mitdb: Path) -> None:
    for split, names in SPLITS.items():
        records = [read_record(mitdb, name, RATE_HZ) for name in sorted(names)]
        counts = [rate_quality(record, record.amplitude_uv, CLEAN_S) for record in records]
        print(f"clean {split:36} {rate_line(counts)}", flush=True)


def print_noisy(folder: Path, records: dict[str, AnnotatedRecord], half: int) -> None:
    for names in NOISES:
        noises = [read_noise(folder, name, half) for name in names]
        for snr_db in SNR_DB:
            mixed = {name: mix(record, noises, snr_db) for name, record in records.items()}
            score = sum((stress(records[n], mixed[n]) for n in STRESS_RECORDS), Score())
            se, ppv = score.sensitivity, score.positive_predictivity
            figures = f"{se:8.2f}{ppv:8.2f}{2 * se * ppv / (se + ppv):8.2f}"
            counts = [rate_quality(records[n], mixed[n], NOISY_S) for n in QUALITY_RECORDS]
            print(f"{'+'.join(names):6} {snr_db:6d} {figures}     {rate_line(counts)}", flush=True)


def main() -> int:
    folder = Path(os.environ.get("ECG_DATA", "../shared/data"))
    records = {name: read_record(folder / "mitdb", name, RATE_HZ) for name in QUALITY_RECORDS}
    for half, title in enumerate(("first", "second")):
        print(f"nstdb, {title} halves")
        print("noise   SNR dB      Se      +P      F1   usable %, wrong % of it")
        print_noisy(folder, records, half)
    print_clean(folder / "mitdb")
    return 0


if __name__ == "__main__":
    sys.exit(main())
