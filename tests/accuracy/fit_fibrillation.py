"""Fit the regression of `gateway.dsp.fibrillation` on the tuning halves; prints its constants.

    python -m tests.accuracy.fit_fibrillation

Four-second windows, one each second, both ECG leads of vfdb and challenge2015, channel 0 of DS1:

- fibrillation: annotated flutter and fibrillation of vfdb, and the last seconds before a true
  VF alarm of challenge2015;
- none: all else, but ventricular tachycardia, asystole and noise of vfdb and MIT-BIH (another
  rule's business, or nobody knows) and records of challenge2015 with a true ventricular alarm;
  and two minutes of each DS1 record in the first halves of the noise of nstdb.

Both classes weigh the same; so do the sources of the negatives, while a record with fibrillation
weighs as the root of its windows: there are five, and one is half of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gateway.dsp.fibrillation import QUIETEST_UV, WINDOW_S, measures
from gateway.dsp.filters import BandPass
from gateway.messages import SampleBlock, SampleIndex
from gateway.wfdb_files import read_lead
from tests.accuracy.challenge2015 import read_alarm
from tests.accuracy.halves import read_halves
from tests.accuracy.noise_stress import RATE_HZ, mix, read_noise
from tests.accuracy.r_peaks import SPLITS, read_record
from tests.accuracy.reference import FIBRILLATION, read_reference

NEITHER = frozenset({"VT", "NOISE", "ASYS"})
ALARM_S = 300.0  # challenge2015: every record's alarm
BEFORE_ALARM_S = 3.0  # windows that end in these seconds before it
NOISES = (("bw",), ("ma",), ("bw", "ma"))
SNR_DB = (6, 0, -6)
NOISY_S = (300, 420)
ITERATIONS = 25  # of Newton's method; ten settle it
RIDGE = 1e-3  # of the standardised weights, so that separable data has a solution


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one lead: their measures (n, 3), and whether each fibrillates (n,)."""

    source: str
    measured: NDArray[np.float64]
    fibrillates: NDArray[np.bool_]


def band_passed(amplitude_uv: NDArray[np.float64]) -> NDArray[np.float64]:
    return BandPass(RATE_HZ).push(SampleBlock(SampleIndex(0), RATE_HZ, amplitude_uv)).amplitude_uv


def measured_windows(
    source: str, amplitude_uv: NDArray[np.float64], kind: NDArray[np.int8] | int
) -> Windows:
    """The windows that end at each whole second from 4 s on; `kind` of each is 1 (fibrillation),
    0 (none) or −1 (not used), as are those too small to be looked at."""
    size = round(WINDOW_S * RATE_HZ)
    signals = sliding_window_view(band_passed(amplitude_uv), size)[::RATE_HZ]
    kinds = np.broadcast_to(np.asarray(kind, dtype=np.int8), len(signals))
    used = (kinds >= 0) & (signals.std(axis=1) >= QUIETEST_UV)
    measured = np.array([measures(signal, RATE_HZ) for signal in signals[used]])
    return Windows(source, measured.reshape(-1, 3), kinds[used] == 1)


def annotated(path: Path, source: str, amplitude_uv: NDArray[np.float64]) -> Windows:
    """A window fibrillates where all of it does; one that touches NEITHER is not used."""
    touches = {name: _touched(path, names, amplitude_uv.size) for name, names in _KINDS.items()}
    ends = np.arange(round(WINDOW_S), amplitude_uv.size // RATE_HZ + 1)
    share = {name: _mean_before(ends, touched) for name, touched in touches.items()}
    kind = np.where(share["fibrillation"] == 1.0, 1, -1)
    kind[(share["fibrillation"] == 0.0) & (share["neither"] == 0.0)] = 0
    return measured_windows(source, amplitude_uv, kind)


_KINDS = {"fibrillation": FIBRILLATION, "neither": NEITHER}


def _touched(path: Path, names: frozenset[str], size: int) -> NDArray[np.float64]:
    touched = np.zeros(size)
    for stretch in read_reference(path).rhythm(*names):
        touched[round(stretch.start_s * RATE_HZ) : round(stretch.end_s * RATE_HZ)] = 1.0
    return touched


def _mean_before(ends_s: NDArray[np.int_], touched: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.concatenate(([0.0], np.cumsum(touched)))
    ends, size = ends_s * RATE_HZ, round(WINDOW_S * RATE_HZ)
    mean: NDArray[np.float64] = (total[ends] - total[ends - size]) / size
    return mean


def vfdb(folder: Path) -> Iterator[Windows]:
    for name in read_halves()["vfdb_tune"]:
        for channel in "01":
            lead = read_lead(folder / "vfdb" / name, channel)
            yield annotated(folder / "vfdb" / name, "vfdb", lead.amplitude_uv)


def challenge(folder: Path) -> Iterator[Windows]:
    for name in read_halves()["challenge2015_tune"]:
        alarm = read_alarm(folder / "challenge2015" / name)
        is_ventricular = alarm.is_true and alarm.name.startswith("Ventricular")
        for channel in "01":
            lead = read_lead(folder / "challenge2015" / name, channel)
            amplitude_uv = np.nan_to_num(lead.amplitude_uv)
            if not is_ventricular:
                yield measured_windows("challenge2015", amplitude_uv, 0)
            elif alarm.name == "Ventricular_Flutter_Fib":
                yield measured_windows("challenge2015", amplitude_uv, _before_alarm(amplitude_uv))


def _before_alarm(amplitude_uv: NDArray[np.float64]) -> NDArray[np.int8]:
    """1 for the windows that end within the last seconds before the alarm, −1 for the others."""
    ends_s = np.arange(round(WINDOW_S), amplitude_uv.size // RATE_HZ + 1)
    inside = (ends_s >= ALARM_S - BEFORE_ALARM_S) & (ends_s <= ALARM_S)
    return np.where(inside, 1, -1).astype(np.int8)


def mitdb(folder: Path) -> Iterator[Windows]:
    noises = {names: [read_noise(folder, name) for name in names] for names in NOISES}
    first, past = (second * RATE_HZ for second in NOISY_S)
    for name in sorted(SPLITS["DS1"]):
        record = read_record(folder / "mitdb", name, RATE_HZ)
        windows = annotated(folder / "mitdb" / name, "mitdb", record.amplitude_uv)
        beating = ~windows.fibrillates
        yield Windows("mitdb", windows.measured[beating], windows.fibrillates[beating])
        for noise in noises.values():
            for snr_db in SNR_DB:
                yield measured_windows("noise", mix(record, noise, snr_db)[first:past], 0)


def weights(leads: list[Windows]) -> NDArray[np.float64]:
    """Of each window, in order; each class sums to ½."""
    counts = {lead.source: 0 for lead in leads}
    for lead in leads:
        counts[lead.source] += int((~lead.fibrillates).sum())
    parts = [
        np.where(
            lead.fibrillates,
            1.0 / np.sqrt(max(int(lead.fibrillates.sum()), 1)),
            1.0 / counts[lead.source],
        )
        for lead in leads
    ]
    weight = np.concatenate(parts)
    fibrillates = np.concatenate([lead.fibrillates for lead in leads])
    for one in (fibrillates, ~fibrillates):
        weight[one] /= 2.0 * weight[one].sum()
    return weight


def fit(leads: list[Windows]) -> tuple[NDArray[np.float64], float]:
    """Weights (3,) and bias of the weighted logistic regression, by Newton's method."""
    measured = np.concatenate([lead.measured for lead in leads])
    truth = np.concatenate([lead.fibrillates for lead in leads]).astype(np.float64)
    weight = weights(leads)
    mean, spread = measured.mean(axis=0), measured.std(axis=0)
    design = np.column_stack([np.ones(len(measured)), (measured - mean) / spread])
    ridge = RIDGE * np.diag([0.0, 1.0, 1.0, 1.0])
    solution = np.zeros(4)
    for _ in range(ITERATIONS):
        probability = 1.0 / (1.0 + np.exp(-design @ solution))
        slope = design.T @ (weight * (probability - truth)) + ridge @ solution
        curvature = (design.T * (weight * probability * (1.0 - probability))) @ design + ridge
        solution -= np.linalg.solve(curvature, slope)
    scaled = solution[1:] / spread
    return scaled, float(solution[0] - scaled @ mean)


def main() -> int:
    folder = Path(os.environ.get("ECG_DATA", "../shared/data"))
    leads = [*vfdb(folder), *challenge(folder), *mitdb(folder)]
    fibrillating = sum(int(lead.fibrillates.sum()) for lead in leads)
    print(f"{fibrillating} windows fibrillate, {sum(map(len, (w.measured for w in leads)))} in all")
    found, bias = fit([lead for lead in leads if len(lead.measured)])
    print("WEIGHTS =", [float(f"{weight:.3g}") for weight in found], "BIAS =", f"{bias:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
