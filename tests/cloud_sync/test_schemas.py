"""What the gateway's own store makes, sealed by the daemon, against the schemas checked in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from jsonschema import Draft202012Validator

import cloud_sync
from cloud_sync.__main__ import GatewayOutbox
from cloud_sync.envelope import seal_envelope
from cloud_sync.lanes import Lane
from cloud_sync.ports import OutboxRow
from cloud_sync.presence import Presence, status_message
from cloud_sync.stretches import Stretch
from gateway.store.database import open_store
from tests.cloud_sync.ward_rows import WardRows

SCHEMAS = Path(cloud_sync.__file__).parent / "schemas"


def check(schema: str, message: Any) -> None:
    words = json.loads((SCHEMAS / f"{schema}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(words)
    Draft202012Validator(words).validate(message)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[GatewayOutbox]:
    path = tmp_path / "gateway.sqlite3"
    open_store(path)
    with WardRows(path, beds=1) as ward:
        for number in range(2):
            ward.write_minute(number, with_frames=[0])
        ward.raise_alarm(bed=0, at_s=90.0)
        ward.end_alarm(bed=0, at_s=90.0)
        reader = GatewayOutbox(path)
        assert reader.version() is not None
        yield reader
        reader.close()


def test_alarms(outbox: GatewayOutbox) -> None:
    raised, ended = (
        json.loads(seal_envelope("ward-3", row, outbox.frames).payload)
        for row in outbox.pending(Lane.ALARM, 0, 9)
    )
    for message in (raised, ended):
        check("alarm", message)
    assert (raised["notify"], ended["notify"]) == (True, False)
    assert raised["alarm_id"] == ended["alarm_id"]
    assert raised["id"] != ended["id"]
    assert len([frame for frame in raised["strip"]["frames"] if frame]) >= 13  # ten seconds
    assert ended["strip"] is None


def test_summaries(outbox: GatewayOutbox) -> None:
    rows = outbox.pending(Lane.SUMMARY, 0, 9)
    assert len(rows) == 2
    for row in rows:
        message = json.loads(seal_envelope("ward-3", row, outbox.frames).payload)
        check("summary", message)
        assert message["abnormal_burden_percent"] == pytest.approx(
            100 * message["abnormal_beats"] / message["beats"]
        )


def test_corrections_of_times(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite3"
    open_store(path)
    with WardRows(path, beds=1) as ward:
        ward.clock_unsynced()
        ward.write_minute(0, with_frames=[])
        ward.raise_alarm(bed=0, at_s=30.0)
        ward.clock_known(wrong_by_s=86_400.0)
    outbox = GatewayOutbox(path)
    assert outbox.version() is not None
    for lane in (Lane.SUMMARY, Lane.ALARM):
        wrong, row = outbox.pending(lane, 0, 9)
        message = json.loads(seal_envelope("ward-3", row, outbox.frames).payload)
        check("redate", message)
        assert list(message["of"]) == [wrong.message_id]
    outbox.close()


def test_waveforms(outbox: GatewayOutbox) -> None:
    (row, *_) = outbox.pending(Lane.SUMMARY, 0, 1)
    stretch = Stretch.of(json.loads(row.payload))
    job = OutboxRow(1, stretch.message_id(), Lane.WAVEFORM, "frames", 1.0, stretch.to_json())
    message = cbor2.loads(seal_envelope("ward-3", job, outbox.frames).payload)
    check("waveform", message)
    assert len(message["sequences"]) == stretch.frame_count


@pytest.mark.parametrize("presence", Presence)
def test_statuses(presence: Presence) -> None:
    check("status", json.loads(status_message("ward-3", presence, 1.5, 900)))


def test_what_the_cloud_says() -> None:
    check("ack", {"version": 1, "ids": ["a" * 32], "notified": []})
    stretch = json.loads(Stretch("ECG-0000002A", 5, "ab" * 16, 0, 80).to_json())
    check("request", {"version": 1, "id": "r-1", **stretch})
