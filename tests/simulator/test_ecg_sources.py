"""Recordings as a front end would give them: steps of 5 µV in frames of 187."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.messages import INVALID_STEP, FrameFlags
from gateway.simulator.ecg_sources import (
    EcgSource,
    EcgSourceError,
    RecordedEcg,
    RecordSlice,
    at_legal_rate,
    packaged_ecg,
    wfdb_ecg,
)


def steps_of(source: EcgSource, frames: int) -> NDArray[np.int16]:
    taken = [source.next_frame() for _ in range(frames)]
    return np.concatenate([frame.steps for frame in taken if frame is not None])


def test_a_recording_ends_with_a_frame_filled_as_invalid() -> None:
    source = RecordedEcg(np.full(200, 0.01), 250, loop=False)
    first, last = source.next_frame(), source.next_frame()
    assert first is not None
    assert last is not None
    assert (first.flags, last.flags) == (FrameFlags(0), FrameFlags.INVALID_SAMPLES)
    assert set(first.steps.tolist()) == {2}
    assert last.steps.tolist() == [2] * 13 + [INVALID_STEP] * 174
    assert source.next_frame() is None


def test_a_loop_goes_on_where_it_was() -> None:
    millivolts = np.arange(100) * 0.005
    source = RecordedEcg(millivolts, 250, loop=True)
    assert steps_of(source, 10).tolist() == [n % 100 for n in range(1870)]


def test_what_is_not_a_number_is_invalid_and_what_is_too_high_is_clipped() -> None:
    millivolts = np.zeros(187)
    millivolts[3], millivolts[4], millivolts[5] = np.nan, 200.0, -200.0
    frame = RecordedEcg(millivolts, 250, loop=False).next_frame()
    assert frame is not None
    assert frame.steps[3:6].tolist() == [INVALID_STEP, 32767, -32767]
    assert frame.flags == FrameFlags.INVALID_SAMPLES | FrameFlags.CLIPPED


def test_an_empty_recording_is_an_error() -> None:
    with pytest.raises(EcgSourceError, match="empty"):
        RecordedEcg(np.empty(0), 250, loop=False)


def test_the_packaged_recording_is_five_minutes_at_360_hz() -> None:
    source = packaged_ecg(None, loop=False)
    assert source.sample_rate_hz == 360
    frames = sum(1 for _ in iter(source.next_frame, None))
    assert frames == -(-5 * 60 * 360 // 187)


@pytest.mark.parametrize(("rate_hz", "legal_hz"), [(128, 125), (257, 250), (400, 360), (1000, 500)])
def test_an_illegal_rate_becomes_the_nearest_legal_one(rate_hz: int, legal_hz: int) -> None:
    time_s = np.arange(10 * rate_hz) / rate_hz
    resampled, sample_rate_hz = at_legal_rate(np.sin(2 * np.pi * 5 * time_s), rate_hz, None)
    assert sample_rate_hz == legal_hz
    expected = np.sin(2 * np.pi * 5 * np.arange(resampled.size) / legal_hz)
    middle = slice(legal_hz, -legal_hz)
    assert np.abs(resampled[middle] - expected[middle]).max() < 0.02


def test_what_is_unknown_stays_unknown_at_another_rate() -> None:
    millivolts = np.zeros(1000)
    millivolts[400:500] = np.nan
    resampled, _ = at_legal_rate(millivolts, 250, 125)
    assert np.flatnonzero(np.isnan(resampled)).tolist() == list(range(200, 250))


def test_a_missing_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EcgSourceError, match="can't read record"):
        wfdb_ecg(RecordSlice(tmp_path / "none"), None, loop=False)


@pytest.mark.recordings
def test_a_wfdb_slice_is_exact_to_the_step(ecg_data: Path) -> None:
    import wfdb

    path = ecg_data / "mitdb" / "100"
    source = wfdb_ecg(RecordSlice(path, channel=1, from_s=10.0, to_s=12.0), None, loop=False)
    adu = wfdb.rdrecord(str(path), sampfrom=3600, sampto=4320, channels=[1], physical=False)
    steps = steps_of(source, 4)
    assert source.sample_rate_hz == 360
    assert steps[:720].tolist() == (adu.d_signal[:, 0] - 1024).tolist()  # 5 µV a unit, from 1024
    assert set(steps[720:].tolist()) == {INVALID_STEP}
    assert source.next_frame() is None
