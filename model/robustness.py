"""The served model on DS2 as other sensors would have given it: rate, polarity, gain, noise.

Noise is the second half of each `nstdb` recording; training takes the first. It lies on the whole
record, and the SNR is that of the noise stress test (nst, Moody et al. 1984).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from multiprocessing import get_context

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly
from tqdm import tqdm

from model.dataset import serving_cut
from model.experiments import served
from model.noise_level import noise_power, qrs_power
from model.partition import patient_records
from model.predictions import int8_predictions
from model.record_counts import Scores, rounded_or_none
from model.records import AnnotatedRecord, database_path, read_record
from model.scores import NOTHING, binary_scores, class_scores, percent

RATES_HZ = (125, 250, 500)  # the sensor's other legal rates; MIT-BIH has 360
GAINS = (0.25, 0.5, 2, 4)
NOISES = (("bw",), ("ma",), ("bw", "ma"))
SNR_DB = (24, 18, 12, 6)

Change = Callable[[AnnotatedRecord], AnnotatedRecord]


def measure() -> dict[str, Scores]:
    """Condition → F1, Se and +P of V and S, and `no_label`: the share of beats without a label."""
    names = patient_records()["ds2"]
    tasks = list(product(CONDITIONS, names))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        done = tqdm(pool.map(_table, tasks), "robustness", len(tasks), disable=None)
        tables = np.array(list(done)).reshape(len(CONDITIONS), len(names), 6, 6).sum(axis=1)
    return {condition: _scores(table) for condition, table in zip(CONDITIONS, tables, strict=True)}


def _table(task: tuple[str, str]) -> NDArray[np.int64]:
    condition, name = task
    record = CONDITIONS[condition](read_record(name))
    return int8_predictions(served(), serving_cut(record)).confusion()


def _scores(table: NDArray[np.int64]) -> Scores:
    beats = table[:NOTHING]
    no_label = percent(beats[:, NOTHING].sum(), beats.sum())
    scores = binary_scores(table) | class_scores(table) | {"no_label": no_label}
    return {name: rounded_or_none(float(value)) for name, value in scores.items()}


def as_recorded(record: AnnotatedRecord) -> AnnotatedRecord:
    return record


def at_rate(record: AnnotatedRecord, rate_hz: int) -> AnnotatedRecord:
    divisor = np.gcd(rate_hz, record.sample_rate_hz)
    up, down = rate_hz // divisor, record.sample_rate_hz // divisor
    return replace(
        record,
        sample_rate_hz=rate_hz,
        amplitude_uv=resample_poly(record.amplitude_uv, up, down, padtype="line"),
        beat_samples=np.rint(record.beat_samples * up / down).astype(np.int64),
    )


def amplified(record: AnnotatedRecord, gain: float) -> AnnotatedRecord:
    return replace(record, amplitude_uv=gain * record.amplitude_uv)


def noisy(record: AnnotatedRecord, noises: tuple[str, ...], snr_db: float) -> AnnotatedRecord:
    """Each noise has an equal share of the noise's power; 15 minutes are given twice."""
    rate_hz, normal = record.sample_rate_hz, record.beat_samples[record.beat_classes == "N"]
    power = qrs_power(record.amplitude_uv, normal, rate_hz) / 10 ** (snr_db / 10) / len(noises)
    mixed = record.amplitude_uv.copy()
    for name in noises:
        noise = second_half_uv(name)
        scale = np.sqrt(power / noise_power(noise, rate_hz))
        mixed += scale * np.resize(noise, mixed.size)
    return replace(record, amplitude_uv=mixed)


def second_half_uv(name: str) -> NDArray[np.float64]:
    """Of a noise recording's first channel, at 360 Hz like MIT-BIH, around its mean."""
    recording = wfdb.rdrecord(str(database_path("nstdb") / name), channels=[0])
    half = recording.p_signal[recording.sig_len // 2 :, 0] * 1000.0
    return half - half.mean()


def _conditions() -> Iterator[tuple[str, Change]]:
    yield "as recorded, 360 Hz", as_recorded
    for rate_hz in RATES_HZ:
        yield f"{rate_hz} Hz", partial(at_rate, rate_hz=rate_hz)
    yield "lead reversed", partial(amplified, gain=-1)
    for gain in GAINS:
        yield f"gain {gain:g}", partial(amplified, gain=gain)
    for noises, snr_db in product(NOISES, SNR_DB):
        yield (
            f"{' and '.join(noises)} noise, {snr_db} dB",
            partial(noisy, noises=noises, snr_db=snr_db),
        )


CONDITIONS = dict(_conditions())
