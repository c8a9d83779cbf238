from pathlib import Path

import pytest
import wfdb

from model.records import database_path, read_record


@pytest.mark.recordings
def test_beats_are_read_and_other_annotations_are_not():
    record = read_record("100")
    assert record.sample_rate_hz == 360
    assert record.amplitude_uv.shape == (650_000,)
    assert len(record.beat_samples) == len(record.beat_classes) == 2273
    assert record.beat_classes[0] == "N"
    assert abs(record.amplitude_uv[record.beat_samples]).mean() > 500.0


@pytest.mark.recordings
def test_mlii_is_taken_where_it_is_the_second_lead(ecg_data):
    mlii = wfdb.rdrecord(str(ecg_data / "mitdb/114"), channel_names=["MLII"], sampto=1000)
    assert read_record("114").amplitude_uv[:1000] == pytest.approx(mlii.p_signal[:, 0] * 1000)


def test_a_missing_database_is_downloaded_whole_or_not_at_all(tmp_path, monkeypatch):
    fetched: list[str] = []

    def interrupted_once(database: str, folder: str, files: list[str]) -> None:
        Path(folder).mkdir(exist_ok=True)
        for name in files:
            Path(folder, name).touch()
        fetched.extend(files)
        if len(fetched) == 3:
            raise ConnectionError

    monkeypatch.setenv("ECG_DATA", str(tmp_path))
    monkeypatch.setattr(wfdb, "get_record_list", lambda database: ["100", "101"])
    monkeypatch.setattr(wfdb, "dl_files", interrupted_once)
    with pytest.raises(ConnectionError):
        database_path("mitdb")
    assert not (tmp_path / "mitdb").exists()
    assert database_path("mitdb") == tmp_path / "mitdb"
    assert fetched[3:] == [
        f"{name}.{suffix}" for name in ("100", "101") for suffix in ("hea", "dat", "atr")
    ]
    assert database_path("mitdb") == tmp_path / "mitdb"
    assert len(fetched) == 9
