from __future__ import annotations

import sys

import numpy as np
import pytest
import wfdb
from scipy.signal import resample_poly

from gateway.wfdb_files import (
    Annotation,
    RecordRefused,
    read_lead,
    resample,
    write_annotations,
)
from tests.fakes import ecg_uv


@pytest.fixture
def write_record(tmp_path):
    """Writes a record of signals in physical units; gives its path without suffix."""

    def write(name="rec", rate=250, signals=None, units=("mV",), names=("II",), **options):
        if signals is None:
            signals = ecg_uv(10, rate, np.arange(0.5, 10, 0.8))[:, None] / 1000.0
        wfdb.wrsamp(
            name,
            fs=rate,
            units=list(units),
            sig_name=list(names),
            p_signal=signals,
            fmt=["16"] * len(names),
            write_dir=str(tmp_path),
            **options,
        )
        return tmp_path / name

    return write


def two_leads(rate=250, seconds=4):
    time_s = np.arange(rate * seconds) / rate
    return np.column_stack([np.sin(time_s), np.cos(time_s)])


@pytest.mark.parametrize("suffix", ["", ".hea"])
def test_a_record_with_and_without_suffix(write_record, suffix):
    path = write_record()
    lead = read_lead(path.with_name(path.name + suffix), None)
    assert (lead.record, lead.channel, lead.name, lead.sample_rate_hz) == ("rec", 0, "II", 250)
    assert lead.amplitude_uv == pytest.approx(ecg_uv(10, 250, np.arange(0.5, 10, 0.8)), abs=1.0)


@pytest.mark.parametrize(
    ("unit", "factor"), [("V", 1e6), ("mV", 1e3), ("uV", 1.0), ("nV", 1e-3), ("NU", 1e3)]
)
def test_the_unit_is_honoured_and_an_unknown_one_taken_for_mv(write_record, unit, factor):
    lead = read_lead(write_record(signals=two_leads()[:, :1], units=[unit]), "0")
    assert lead.amplitude_uv.max() == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize(
    ("names", "units", "expected"),
    [
        (("PLETH", "II"), ("NU", "mV"), 1),
        (("RESP", "MLII"), ("mV", "mV"), 1),
        (("EEG", "EOG"), ("mV", "mV"), 0),
        (("ABP", "V5"), ("mmHg", "mV"), 1),
        (("I", "V"), ("mV", "mV"), 0),
    ],
)
def test_the_first_ecg_lead_is_the_default(write_record, names, units, expected):
    path = write_record(signals=two_leads(), units=units, names=names)
    assert read_lead(path, None).channel == expected


@pytest.mark.parametrize(
    ("channel", "expected"), [("1", 1), ("V5", 1), ("v5", 1), ("MLII", 0), ("0", 0)]
)
def test_a_channel_by_number_or_name(write_record, channel, expected):
    path = write_record(signals=two_leads(), units=("mV",) * 2, names=("MLII", "V5"))
    assert read_lead(path, channel).channel == expected


@pytest.mark.parametrize("channel", ["2", "-1", "aVF", ""])
def test_an_unknown_channel_is_refused_with_those_that_are_there(write_record, channel):
    path = write_record(signals=two_leads(), units=("mV",) * 2, names=("MLII", "V5"))
    with pytest.raises(RecordRefused, match="0 MLII, 1 V5"):
        read_lead(path, channel)


def test_a_record_without_volts_asks_for_a_channel(write_record):
    path = write_record(signals=two_leads(), units=("mmHg", "NU"), names=("ABP", "PLETH"))
    with pytest.raises(RecordRefused, match="--channel"):
        read_lead(path, None)


def test_what_was_not_recorded_is_nan(write_record):
    signals = two_leads()[:, :1]
    signals[300:400] = np.nan
    lead = read_lead(write_record(signals=signals), None)
    assert np.flatnonzero(np.isnan(lead.amplitude_uv)).tolist() == [*range(300, 400)]


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(RecordRefused, match=r"nothing\.hea"):
        read_lead(tmp_path / "nothing", None)


@pytest.mark.parametrize(
    "header", ["", "rec", "rec 1 250\nrec.dat", "rec x y z\n", "rec 0 250 0\n", "\xff\xfe\n"]
)
def test_a_broken_header_is_refused(tmp_path, header):
    (tmp_path / "rec.hea").write_text(header)
    with pytest.raises(RecordRefused):
        read_lead(tmp_path / "rec", None)


def test_a_missing_signal_file_is_refused(write_record):
    path = write_record()
    path.with_suffix(".dat").unlink()
    with pytest.raises(RecordRefused, match="signal"):
        read_lead(path, None)


def test_a_pulse_rate_is_no_ecg(write_record):
    with pytest.raises(RecordRefused, match="too few"):
        read_lead(write_record(rate=25, signals=two_leads(25)[:, :1]), None)


def test_segments_become_one_record_with_its_gaps(write_record, tmp_path):
    write_record("first", signals=np.full((500, 1), 1.0), adc_gain=[200.0], baseline=[0])
    write_record("last", signals=np.full((250, 1), 2.0), adc_gain=[1000.0], baseline=[0])
    (tmp_path / "whole.hea").write_text("whole/3 1 250 1000\nfirst 500\n~ 250\nlast 250\n")
    lead = read_lead(tmp_path / "whole", None)
    assert lead.amplitude_uv[:500] == pytest.approx(np.full(500, 1000.0))
    assert np.isnan(lead.amplitude_uv[500:750]).all()
    assert lead.amplitude_uv[750:] == pytest.approx(np.full(250, 2000.0))


def test_a_lead_that_only_some_segments_hold(write_record, tmp_path):
    (tmp_path / "lay.hea").write_text(
        "lay 2 250 0\n~ 0 200(0)/mV 16 0 0 0 0 II\n~ 0 200(0)/mV 16 0 0 0 0 V\n"
    )
    write_record("first", signals=np.full((500, 1), 1.0), names=["II"])
    write_record("last", signals=np.full((250, 1), 2.0), names=["V"])
    (tmp_path / "var.hea").write_text("var/3 2 250 750\nlay 0\nfirst 500\nlast 250\n")
    lead = read_lead(tmp_path / "var", "V")
    assert np.isnan(lead.amplitude_uv[:500]).all()
    assert lead.amplitude_uv[500:] == pytest.approx(np.full(250, 2000.0))


def test_all_samples_of_a_frame_are_used(tmp_path):
    """Four samples a frame at 62.5 frames a second: the signal has 250 Hz, annotations 62.5."""
    samples = np.arange(1000, dtype="<i2")
    samples.tofile(tmp_path / "rec.dat")
    (tmp_path / "rec.hea").write_text("rec 1 62.5 250\nrec.dat 16x4 1(0)/mV 16 0 0 0 0 II\n")
    lead = read_lead(tmp_path / "rec", None)
    assert lead.sample_rate_hz == 250
    assert lead.amplitude_uv == pytest.approx(samples * 1000.0)
    assert lead.record_sample(1000) == 250


@pytest.mark.parametrize(
    ("rate", "legal"), [(100, 125), (128, 125), (200, 250), (257, 250), (400, 360), (1000, 500)]
)
def test_another_rate_goes_to_the_nearest_legal_one(write_record, rate, legal):
    signals = ecg_uv(20, rate, np.arange(0.5, 20, 0.8))[:, None] / 1000.0
    lead = read_lead(write_record(rate=rate, signals=signals), None)
    assert lead.sample_rate_hz == legal
    assert lead.amplitude_uv.size == pytest.approx(20 * legal, abs=legal / rate + 1)
    r_peak = int(lead.amplitude_uv[10 * legal : round(10.4 * legal)].argmax()) + 10 * legal
    assert lead.record_sample(r_peak) / rate == pytest.approx(10.1, abs=1.0 / rate)


@pytest.mark.parametrize(("rate", "other"), [(1000, 500), (128, 125), (200, 250)])
def test_resampling_keeps_the_ecg_band(rate, other):
    time_s = np.arange(rate * 10) / rate
    tones = sum(np.sin(2 * np.pi * hz * time_s) for hz in (1.0, 10.0, 40.0))
    resampled = resample(tones, rate, other)
    expected = resample_poly(tones, other, rate)
    inner = slice(other, 9 * other)
    assert resampled[inner] == pytest.approx(expected[inner], abs=0.02)


def test_resampling_stops_what_would_fold_back():
    time_s = np.arange(10_000) / 1000
    folded = resample(np.sin(2 * np.pi * 380.0 * time_s), 1000, 500)
    assert np.abs(folded[100:-100]).max() < 0.01


def test_resampling_spreads_no_nan():
    samples = np.ones(1000)
    samples[500:510] = np.nan
    unknown = np.flatnonzero(np.isnan(resample(samples, 1000, 500)))
    assert unknown.tolist() == [250, 251, 252, 253, 254]
    assert np.isnan(resample(np.full(100, np.nan), 1000, 500)).all()


def test_annotations_come_back(tmp_path):
    write_annotations(
        tmp_path / "rec.gw",
        [
            Annotation(500, "V"),
            Annotation(0, "~", subtype=-1),
            Annotation(100_000, "?"),
            Annotation(500, "+", aux_note="(ASYS"),
        ],
        channel=1,
    )
    back = wfdb.rdann(str(tmp_path / "rec"), "gw")
    assert back.sample.tolist() == [0, 500, 500, 100_000]
    assert back.symbol == ["~", "V", "+", "?"]
    assert back.subtype.tolist() == [-1, 0, 0, 0]
    assert back.chan.tolist() == [1, 1, 1, 1]
    assert [note.rstrip("\0") for note in back.aux_note] == ["", "", "(ASYS", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["rec.gw"]


def test_a_missing_wfdb_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(RecordRefused, match=r"package wfdb .* -m pip install wfdb tqdm"):
        read_lead(tmp_path / "rec", None)
