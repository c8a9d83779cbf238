from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
import wfdb

from gateway import __version__
from gateway.commands import analyse
from gateway.messages import AlarmKind, RhythmKind
from gateway.tflite_classifier import default_model_path
from gateway.wfdb_files import read_lead
from tests.fakes import FakeClassifier, ecg_uv

RATE = 250
LISTS = ("seconds", "minutes", "events", "alarms", "spectra")  # of a report


def run(*arguments):
    parser = argparse.ArgumentParser()
    analyse.add_arguments(parser)
    return analyse.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def record(tmp_path):
    """Writes a record of one lead in µV; gives its path."""

    def write(amplitude_uv, name="rec", rate=RATE):
        wfdb.wrsamp(
            name,
            fs=rate,
            units=["mV"],
            sig_name=["II"],
            p_signal=amplitude_uv[:, None] / 1000.0,
            fmt=["16"],
            adc_gain=[5000.0],
            baseline=[0],
            write_dir=str(tmp_path),
        )
        return tmp_path / name

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def report(out, name="rec"):
    return json.loads((out / f"{name}.json").read_text())


def annotations(out, name="rec"):
    return wfdb.rdann(str(out / name), "gw")


def marked(out, *symbols):
    """(sample, symbol, subtype, note) of the annotations that have one of the symbols."""
    found = annotations(out)
    rows = zip(found.sample, found.symbol, found.subtype, found.aux_note, strict=True)
    return [
        (int(sample), symbol, int(subtype), note.rstrip("\0"))
        for sample, symbol, subtype, note in rows
        if symbol in symbols
    ]


def ecg_with_a_pause():
    """40 s at 75 bpm without the beats between 15 and 25 s."""
    beats_s = np.arange(0.5, 40, 0.8)
    return ecg_uv(40, RATE, beats_s[(beats_s < 15) | (beats_s > 25)])


def test_minutes_and_spectra(record, out):
    beats_s = np.cumsum(0.8 + 0.02 * np.sin(np.arange(400)))
    seconds, hum_uv = 310, 20.0 * np.sqrt(2.0)
    signal = ecg_uv(seconds, RATE, beats_s[beats_s < seconds])
    signal += hum_uv * np.sin(2.0 * np.pi * 60.0 * np.arange(signal.size) / RATE)
    signal[100 * RATE] = np.nan
    assert run(record(signal), "--out", out, "--from", 4) == 0
    minutes = report(out)["minutes"]
    assert [minute["t"] for minute in minutes] == [0, 60, 120, 180, 240, 300]
    assert minutes[3]["rmssd_ms"] == pytest.approx(13.6, abs=4.0)
    assert minutes[3]["variability"]["sdnn_ms"] is None
    assert minutes[4]["variability"]["sdnn_ms"] == pytest.approx(14.1, abs=3.0)
    spectra = report(out)["spectra"]
    assert [spectrum["t"] for spectrum in spectra] == [t for t in range(4, 303, 8) if t != 100]
    assert {spectrum["mains_hz"] for spectrum in spectra} == {60}
    assert spectra[0]["mains_uv"] == pytest.approx(20.0, rel=0.1)


def test_beats_and_seconds_of_a_quiet_record(record, out):
    assert run(record(ecg_uv(30, RATE, np.arange(0.5, 30, 0.8))), "--out", out) == 0
    beats = marked(out, "N", "S", "V", "F", "Q", "?")
    at_s = np.array([beat[0] for beat in beats]) / RATE
    assert at_s == pytest.approx(np.arange(0.5, 30, 0.8), abs=0.02)
    seconds = report(out)["seconds"]
    assert [second["t"] for second in seconds] == [*range(30)]
    assert seconds[20] == {
        "t": 20,
        "heart_rate_bpm": pytest.approx(75.0, abs=0.3),
        "quality": 1.0,
        "reasons": [],
    }


def test_the_report_says_what_was_analysed_and_by_what(record, out):
    run(record(ecg_uv(5, 360, [1, 2, 3, 4]), rate=360), "--out", out)
    told = report(out)
    card = json.loads(default_model_path().with_suffix(".json").read_text())
    assert {key: told[key] for key in told if key not in LISTS} == {
        "record": "rec",
        "channel": 0,
        "channel_name": "II",
        "record_rate_hz": 360.0,
        "sample_rate_hz": 360,
        "gateway_version": __version__,
        "model_sha256": card["sha256"],
        "atrial_fibrillation_percent": 0.0,
    }


def test_an_asystole_with_its_times(record, out):
    run(record(ecg_with_a_pause()), "--out", out)
    told = report(out)
    (event,) = told["events"]
    assert event == {
        "kind": "asystole",
        "onset_s": pytest.approx(14.9, abs=0.02),
        "end_s": pytest.approx(25.3, abs=0.02),
        "decided_s": pytest.approx(19.2, abs=0.02),
        "confidence": 1.0,
        "beats": [],
    }
    (alarm,) = told["alarms"]
    assert alarm == {
        "kind": "asystole",
        "priority": "high",
        "onset_s": event["onset_s"],
        "raised_s": event["decided_s"],
        "end_s": event["end_s"],
        "confidence": 1.0,
    }
    onset, end = (round(event[key] * RATE) for key in ("onset_s", "end_s"))
    assert marked(out, "+") == [(onset, "+", 0, "(ASYS"), (end, "+", 0, "(N")]


def test_unknown_signal_is_told_and_raises_no_alarm(record, out):
    signal = ecg_uv(30, RATE, np.arange(0.5, 30, 0.8))
    signal[10 * RATE : 20 * RATE] = np.nan
    run(record(signal), "--out", out)
    told = report(out)
    assert told["events"] == told["alarms"] == []
    assert all(second["heart_rate_bpm"] is None for second in told["seconds"][10:20])
    assert {(*second["reasons"],) for second in told["seconds"][10:20]} == {("gap",)}
    assert marked(out, "~") == [
        (0, "~", 0, ""),
        (10 * RATE, "~", -1, ""),
        (20 * RATE, "~", 0, ""),
    ]


def test_a_beat_that_may_not_be_labelled_is_a_question_mark(record, out):
    signal = ecg_uv(30, RATE, np.arange(0.5, 30, 0.8))
    signal[round(13.7 * RATE) : 20 * RATE] = np.nan  # 0.4 s after R
    run(record(signal), "--out", out)
    last_before = [beat for beat in marked(out, "N", "V", "S", "F", "Q", "?") if beat[0] < 3500][-1]
    assert last_before[:2] == (pytest.approx(13.3 * RATE, abs=5), "?")


def test_times_count_from_the_records_start_also_with_from(record, out):
    run(record(ecg_with_a_pause()), "--out", out, "--from", 10.4, "--to", 30)
    told = report(out)
    assert [second["t"] for second in told["seconds"]] == [*range(10, 30)]
    assert told["events"][0]["onset_s"] == pytest.approx(14.9, abs=0.02)
    samples = annotations(out).sample
    assert samples.min() == round(10.4 * RATE)
    assert samples.max() <= 30 * RATE


def test_annotations_lie_on_the_records_own_samples(record, out):
    run(record(ecg_uv(30, 1000, np.arange(0.5, 30, 0.8)), rate=1000), "--out", out)
    at_s = np.array([beat[0] for beat in marked(out, "N", "V", "S", "F", "Q", "?")]) / 1000
    assert at_s == pytest.approx(np.arange(0.5, 30, 0.8), abs=0.02)
    assert (report(out)["record_rate_hz"], report(out)["sample_rate_hz"]) == (1000.0, 500)


@pytest.mark.parametrize("samples", [1, 50, RATE, 3 * RATE])
def test_a_very_short_record(record, out, samples):
    assert run(record(ecg_uv(4, RATE, [1.0, 2.0, 3.0])[:samples]), "--out", out) == 0
    assert len(report(out)["seconds"]) == samples // RATE


def test_a_record_without_any_known_sample(record, out):
    assert run(record(np.full(5 * RATE, np.nan)), "--out", out) == 0
    assert report(out)["alarms"] == []


def test_one_bad_record_does_not_stop_the_others(record, tmp_path, out, capsys):
    good = record(ecg_uv(5, RATE, [1, 2, 3, 4]))
    assert run(tmp_path / "missing", good, "--out", out) == 1
    assert f"{tmp_path / 'missing'}: there is no file" in capsys.readouterr().err
    assert report(out)["record"] == "rec"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--channel", "aVF"], 1, "0 II"),
        (["--from", "100"], 1, "ends at 5.0 s"),
        (["--from", "-1"], 2, "--from -1"),
        (["--from", "nan"], 2, "--from nan"),
        (["--from", "3", "--to", "2"], 2, "--to 2"),
        (["--to", "inf"], 2, "--to inf"),
    ],
)
def test_what_cannot_be_done_is_said(record, out, capsys, options, code, words):
    assert run(record(ecg_uv(5, RATE, [1, 2, 3, 4])), "--out", out, *options) == code
    assert words in capsys.readouterr().err
    assert not [*out.glob("*")]


def test_two_records_of_one_name_are_not_written_over_each_other(record, tmp_path, out, capsys):
    path = record(ecg_uv(5, RATE, [1, 2, 3, 4]))
    assert run(path, tmp_path / "other" / "rec.hea", "--out", out) == 2
    assert "rec would be written twice" in capsys.readouterr().err


def test_out_that_is_a_file_is_said(record, tmp_path, capsys):
    path = record(ecg_uv(5, RATE, [1, 2, 3, 4]))
    assert run(path, "--out", path.with_suffix(".hea")) == 1
    assert "rec.hea" in capsys.readouterr().err


def test_only_whole_files_are_left_and_no_bar_without_a_terminal(record, out, capfd):
    run(record(ecg_uv(5, RATE, [1, 2, 3, 4])), "--out", out)
    assert sorted(path.name for path in out.iterdir()) == ["rec.gw", "rec.json"]
    assert "rec:" not in capfd.readouterr().err


@pytest.mark.recordings
@pytest.mark.parametrize(("name", "at_s"), [("a142s", 295.1), ("a161l", 294.1), ("a754s", 296.0)])
def test_true_asystoles_of_intensive_care(ecg_data, name, at_s):
    lead = read_lead(ecg_data / "challenge2015" / name, None)
    found = analyse.analyse_lead(lead, 240 * 250, 300 * 250, FakeClassifier())
    raised = [alarm for alarm in found.alarms.values() if alarm.kind is AlarmKind.ASYSTOLE]
    assert raised[-1].onset_s == pytest.approx(at_s, abs=1.0)
    assert raised[-1].raised_s <= 300.0


@pytest.mark.recordings
@pytest.mark.parametrize("name", ["a165l", "a288s", "a420s", "t384s"])
def test_false_alarms_of_intensive_care_are_not_repeated(ecg_data, name):
    lead = read_lead(ecg_data / "challenge2015" / name, None)
    found = analyse.analyse_lead(lead, 240 * 250, 300 * 250, FakeClassifier())
    assert not {alarm.priority for alarm in found.alarms.values()} & {"high", "medium"}


@pytest.mark.recordings
def test_a_clean_record_raises_nothing(ecg_data, out):
    assert run(ecg_data / "mitdb/100.hea", "--out", out, "--to", 600) == 0
    told = report(out, "100")
    assert told["alarms"] == told["events"] == []
    rates = [second["heart_rate_bpm"] for second in told["seconds"]]
    assert sum(rate is not None for rate in rates) > 590


@pytest.mark.recordings
def test_the_pauses_of_a_sick_sinus_node(ecg_data):
    """Record 232 holds many pauses of 4 to 6 s; each is found, and nothing else is asystole."""
    lead = read_lead(ecg_data / "mitdb/232", None)
    found = analyse.analyse_lead(lead, 0, lead.amplitude_uv.size, FakeClassifier())
    reference = wfdb.rdann(str(ecg_data / "mitdb/232"), "atr")
    is_beat = np.isin(reference.symbol, [*"NLRAaJSVFejE/fQ"])
    beats_s = reference.sample[is_beat] / 360
    pauses_s = beats_s[:-1][np.diff(beats_s) >= 4.05]
    onsets = [e.onset / 360 for e in found.events if e.kind is RhythmKind.ASYSTOLE]
    assert all(min(abs(onset - pause) for onset in onsets) < 0.1 for pause in pauses_s)
    assert all(np.diff(beats_s)[np.abs(beats_s[:-1] - onset).argmin()] > 3.9 for onset in onsets)
