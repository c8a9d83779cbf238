"""WFDB records in, WFDB annotation files out: the only file that imports wfdb.

A record is any that wfdb reads: one segment or many, of fixed or variable layout, with gaps, with
several samples a frame, in any unit of voltage.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.messages import LEGAL_SAMPLE_RATES_HZ

ANNOTATOR = "gw"
MIN_RECORD_RATE_HZ = 50.0  # slower ones hold no QRS; they are trends or pulse waves
MICROVOLTS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "nv": 1e-3}
SINC_HALF_WIDTH = 12  # zero crossings each side: flat to 0.9 of the lower Nyquist rate
RESAMPLED_AT_ONCE = 16_384  # bounds the matrix of weights to some 10 MB
_ECG_LEAD = re.compile(r"(ecg|ekg|lead|ml?i+|mcl?\d?|av[rlf]|i{1,3}|[vc]\d|mv\d|d\d)\b", re.I)
# what wfdb raises for files that are not there, cut short, or not what their header says
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class RecordRefused(Exception):
    """The record can't be read as asked; the text says why, for the person who asked."""


@dataclass(frozen=True, slots=True)
class Lead:
    """One signal of a record, at a legal rate.

    `amplitude_uv` has shape (n,), NaN where it is unknown; its first sample is the record's.
    """

    record: str
    channel: int
    name: str
    record_rate_hz: float  # of the record's own sample numbers, which annotations use
    sample_rate_hz: int
    amplitude_uv: NDArray[np.float64]

    def record_sample(self, sample: int) -> int:
        """The record's own sample number of a sample of `amplitude_uv`."""
        return round(sample * self.record_rate_hz / self.sample_rate_hz)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One WFDB annotation, at the record's own sample number."""

    sample: int
    symbol: str
    subtype: int = 0
    aux_note: str = ""


def read_lead(path: Path, channel: str | None) -> Lead:
    """One lead of the record at `path` (with or without .hea), by number or name.

    Without `channel` it is the first signal that is named like an ECG lead, or else the first in
    volts. Raises RecordRefused.
    """
    base = path.with_suffix("") if path.suffix == ".hea" else path
    header, layout = _read_headers(base)
    index = _find_channel(layout, channel)
    samples, rate_hz = _read_channel(base, header, index)
    if rate_hz < MIN_RECORD_RATE_HZ:
        raise RecordRefused(f"{rate_hz:g} samples a second are too few for an ECG")
    factor = MICROVOLTS.get(_unit(layout, index), MICROVOLTS["mv"])
    legal_rate_hz = min(LEGAL_SAMPLE_RATES_HZ, key=lambda legal: abs(legal - rate_hz))
    return Lead(
        record=base.name,
        channel=index,
        name=layout.sig_name[index] or str(index),
        record_rate_hz=float(header.fs),
        sample_rate_hz=legal_rate_hz,
        amplitude_uv=resample(samples * factor, rate_hz, legal_rate_hz),
    )


def resample(samples: NDArray[np.float64], from_hz: float, to_hz: float) -> NDArray[np.float64]:
    """`samples` (n,) at another rate, by a Hann-windowed sinc; NaN stays NaN where it was."""
    if from_hz == to_hz or samples.size == 0:
        return samples
    unknown = np.isnan(samples)
    known = _bridged(samples, unknown)
    positions = np.arange(int((samples.size - 1) * to_hz / from_hz) + 1) * (from_hz / to_hz)
    parts = np.array_split(positions, positions.size // RESAMPLED_AT_ONCE + 1)
    resampled = np.concatenate([_sinc_at(known, part, min(1.0, to_hz / from_hz)) for part in parts])
    before = positions.astype(np.intp)
    after = np.minimum(before + 1, samples.size - 1)
    resampled[unknown[before] | unknown[after]] = np.nan
    return resampled


def write_annotations(path: Path, annotations: Sequence[Annotation], channel: int) -> None:
    """Write them, ordered by sample, as the WFDB annotation file `path`, all or nothing."""
    wfdb = _import_wfdb()
    ordered = sorted(annotations, key=lambda annotation: annotation.sample)
    with TemporaryDirectory(dir=path.parent, prefix=".analyse-") as folder:
        wfdb.wrann(
            "record",  # a name that wfdb allows; the file does not hold it
            ANNOTATOR,
            np.array([annotation.sample for annotation in ordered]),
            symbol=[annotation.symbol for annotation in ordered],
            subtype=np.array([annotation.subtype for annotation in ordered]),
            chan=np.full(len(ordered), channel),
            aux_note=[annotation.aux_note for annotation in ordered],
            write_dir=folder,
        )
        Path(folder, f"record.{ANNOTATOR}").replace(path)


def missing_package(error: ImportError) -> RecordRefused:
    """The refusal where an optional package is not installed, with the command that installs it."""
    command = f"{sys.executable} -m pip install wfdb tqdm"
    return RecordRefused(f"the package {error.name} is not installed; install it: {command}")


def _import_wfdb() -> Any:
    try:
        import wfdb
    except ImportError as error:
        raise missing_package(error) from error
    return wfdb


def _read_headers(base: Path) -> tuple[Any, Any]:
    """The record's header, and the one that describes its signals: the same, or a segment's."""
    wfdb = _import_wfdb()
    header_path = base.parent / f"{base.name}.hea"
    if not header_path.is_file():
        raise RecordRefused(f"there is no file {header_path}")
    try:
        header = wfdb.rdheader(str(base))
        names = getattr(header, "seg_name", None)
        if names is None:
            return header, header
        first = next(name for name in names if name != "~")
        return header, wfdb.rdheader(str(base.parent / first))
    except (*_UNREADABLE, StopIteration) as error:
        raise RecordRefused(f"its header can't be read: {error}") from error


def _find_channel(layout: Any, channel: str | None) -> int:
    names = [name or "" for name in layout.sig_name or []]
    if not names:
        raise RecordRefused("it holds no signals")
    if channel is None:
        return _first_ecg(layout, names)
    if channel in names:
        return names.index(channel)
    folded = [name.casefold() for name in names]
    if channel.casefold() in folded:
        return folded.index(channel.casefold())
    if channel.isdecimal() and int(channel) < len(names):
        return int(channel)
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    raise RecordRefused(f"it has no channel {channel!r}; there are: {listed}")


def _first_ecg(layout: Any, names: list[str]) -> int:
    in_volts = [index for index in range(len(names)) if _unit(layout, index) in MICROVOLTS]
    leads = [index for index in in_volts if _ECG_LEAD.match(names[index])]
    for index in (*leads, *in_volts):
        return index
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    raise RecordRefused(f"no signal is in volts; choose one with --channel: {listed}")


def _unit(layout: Any, index: int) -> str:
    units = layout.units or []
    return str(units[index] or "mV").casefold() if index < len(units) else "mv"


def _read_channel(base: Path, header: Any, index: int) -> tuple[NDArray[np.float64], float]:
    """The channel's samples in physical units, all of each frame, and their rate."""
    try:
        record = _import_wfdb().rdrecord(
            str(base), channels=[index], smooth_frames=False, m2s=False
        )
        samples, per_frame = _joined_segments(record)
    except _UNREADABLE as error:
        raise RecordRefused(f"its signal can't be read: {error}") from error
    return samples, float(header.fs) * per_frame


def _joined_segments(record: Any) -> tuple[NDArray[np.float64], int]:
    """One channel of all segments, and its samples per frame; NaN where a segment lacks it."""
    segments = getattr(record, "segments", [record])
    frames = getattr(record, "seg_len", [record.sig_len])
    holds = [segment is not None and bool(segment.e_p_signal) for segment in segments]
    per_frame = next(
        (int(s.samps_per_frame[0]) for s, held in zip(segments, holds, strict=True) if held), 1
    )
    parts = [
        segment.e_p_signal[0] if held else np.full(length * per_frame, np.nan)
        for segment, held, length in zip(segments, holds, frames, strict=True)
    ]
    return np.concatenate(parts), per_frame


def _bridged(samples: NDArray[np.float64], unknown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`samples` with a straight line over what is unknown, so that no NaN spreads."""
    at = np.flatnonzero(~unknown)
    if at.size in (0, samples.size):
        return np.nan_to_num(samples)
    return np.interp(np.arange(samples.size), at, samples[at])


def _sinc_at(
    samples: NDArray[np.float64], positions: NDArray[np.float64], corner: float
) -> NDArray[np.float64]:
    """The band-limited value at each position; `corner` is a share of the Nyquist rate."""
    reach = SINC_HALF_WIDTH / corner
    offsets = np.arange(-int(reach), int(reach) + 2)
    index = positions.astype(np.intp)[:, None] + offsets
    distance = index - positions[:, None]
    taper = np.cos(np.clip(distance / reach, -1.0, 1.0) * (np.pi / 2.0)) ** 2
    weights = np.sinc(corner * distance) * taper
    weights /= weights.sum(axis=1, keepdims=True)
    gathered = samples[np.clip(index, 0, samples.size - 1)]
    result: NDArray[np.float64] = (gathered * weights).sum(axis=1)
    return result
