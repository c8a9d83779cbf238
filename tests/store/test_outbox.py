"""What the cloud is told: with the row, once, and pruned only when it was delivered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.messages import AlarmState, SessionId
from gateway.store import outbox
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import (
    AddBed,
    AlarmChanged,
    BedId,
    MinuteSummary,
    SessionStarted,
)
from gateway.store.outbox import DeliveredRows, Lane, OutboxReader, OutboxRow
from gateway.store.transactions import StoreWriter
from tests.store.contents import asystole, monitored_bed

ADMITTED_S = 1_000_000.0
ACTIVE = asystole(1_000_050.0)
ENDED = asystole(1_000_050.0, AlarmState.ENDED, ended_s=1_000_060.0)


def minute(session: SessionId, minute_s: int = 1_000_020) -> MinuteSummary:
    return MinuteSummary(session, minute_s, 72, 3, 60.0, 71.5, 88.0, 58.0, 1.496)


@pytest.fixture
def admitted(writer: StoreWriter, started: SessionStarted) -> StoreWriter:
    """A patient in bed 1 with a sensor."""
    writer.write(monitored_bed("Bed 1", started, ADMITTED_S))
    return writer


@pytest.fixture
def pending(store: Path) -> Iterator[OutboxReader]:
    reader = OutboxReader(store)
    yield reader
    reader.close()


def test_an_alarm_goes_out_each_time_it_changes_and_only_then(
    admitted: StoreWriter, pending: OutboxReader, session: SessionId
) -> None:
    for alarm in (ACTIVE, ACTIVE, ENDED, ENDED):
        admitted.write([AlarmChanged(BedId(1), alarm, session)])
    rows = pending.pending(Lane.ALARM, 0, 10)
    assert [json.loads(row.payload)["state"] for row in rows] == ["active", "ended"]
    assert len({row.message_id for row in rows}) == 2


def test_what_an_alarm_says(
    admitted: StoreWriter, pending: OutboxReader, session: SessionId
) -> None:
    admitted.write([AlarmChanged(BedId(1), ACTIVE, session)])
    (row,) = pending.pending(Lane.ALARM, 0, 10)
    assert row == OutboxRow(
        row.id, Lane.ALARM, "alarm", ADMITTED_S, row.message_id, payload=row.payload
    )
    words = json.loads(row.payload)
    assert words == {
        "version": 1,
        "bed": "Bed 1",
        "stay_admitted_s": ADMITTED_S,
        "device": "ECG-00000007",
        "boot_id": 1,
        "salt": session.salt.hex(),
        "alarm": "asystole",
        "priority": "high",
        "onset_s": 1_000_050.0,
        "raised_s": 1_000_054.0,
        "state": "active",
        "ended_s": None,
        "acknowledged_s": None,
        "escalated_s": None,
        "confidence": None,
        "alarm_id": words["alarm_id"],
        "notify": True,
        "model": None,
        "strip": {"first_sequence": 58, "last_sequence": 72, "sample_rate_hz": 250},
    }


def test_an_alarm_without_signal_names_no_session(
    admitted: StoreWriter, pending: OutboxReader
) -> None:
    admitted.write([AlarmChanged(BedId(1), ACTIVE)])
    (row,) = pending.pending(Lane.ALARM, 0, 10)
    assert json.loads(row.payload)["device"] is None


def test_a_summary_says_its_minute_once(
    admitted: StoreWriter, pending: OutboxReader, session: SessionId
) -> None:
    admitted.write([minute(session)])
    admitted.write([minute(session)])
    (row,) = pending.pending(Lane.SUMMARY, 0, 10)
    words = json.loads(row.payload)
    assert (words["bed"], words["minute_s"], words["abnormal_beats"]) == ("Bed 1", 1_000_020, 3)


def test_the_minute_of_an_idle_sensor_stays_here(
    writer: StoreWriter, pending: OutboxReader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, minute(session)])
    assert pending.pending(Lane.SUMMARY, 0, 10) == []


def test_rows_are_given_in_order_by_lane_and_page(
    admitted: StoreWriter, pending: OutboxReader, session: SessionId
) -> None:
    minutes = [minute(session, 1_000_020 + 60 * n) for n in range(5)]
    admitted.write([*minutes[:3], AlarmChanged(BedId(1), ACTIVE), *minutes[3:]])
    first = pending.pending(Lane.SUMMARY, 0, 3)
    rest = pending.pending(Lane.SUMMARY, first[-1].id, 3)
    told = [json.loads(row.payload)["minute_s"] for row in [*first, *rest]]
    assert told == [m.minute_s for m in minutes]
    assert len(pending.pending(Lane.ALARM, 0, 10)) == 1


def test_two_gateways_never_share_a_message_id(tmp_path: Path) -> None:
    ids = set()
    for name in ("one", "two"):
        path = tmp_path / name
        open_store(path)
        writer = StoreWriter(writer_engine(path), lambda: ADMITTED_S)
        writer.write([AddBed("Bed 1"), AlarmChanged(BedId(1), ACTIVE)])
        writer.close()
        reader = OutboxReader(path)
        ids |= {row.message_id for row in reader.pending(Lane.ALARM, 0, 10)}
        reader.close()
    assert len(ids) == 2


def test_a_number_is_never_given_twice(
    admitted: StoreWriter, pending: OutboxReader, session: SessionId
) -> None:
    admitted.write([minute(session)])
    (row,) = pending.pending(Lane.SUMMARY, 0, 10)
    admitted.remove_delivered([row.message_id])
    assert pending.pending(Lane.SUMMARY, 0, 10) == []
    admitted.write([minute(session, 1_000_080)])
    (next_row,) = pending.pending(Lane.SUMMARY, 0, 10)
    assert next_row.id > row.id


def cloud_database(path: Path, settled: list[tuple[str, str]]) -> sqlite3.Connection:
    """The part of cloud_sync's database that is a contract; open, as the other daemon has it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE settled (message_id PRIMARY KEY, outcome)")
    connection.executemany("INSERT INTO settled VALUES (?, ?)", settled)
    connection.commit()
    return connection


def test_only_what_was_delivered_is_pruned(
    admitted: StoreWriter,
    pending: OutboxReader,
    session: SessionId,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "PRUNED_AT_ONCE", 2)
    admitted.write([minute(session, 1_000_020 + 60 * n) for n in range(5)])
    ids = [row.message_id for row in pending.pending(Lane.SUMMARY, 0, 10)]
    outcomes = ["refused", "delivered", "delivered", "delivered"]  # the last has no word yet
    cloud = store.with_name("delivered.sqlite3")
    connection = cloud_database(cloud, [*zip(ids, outcomes, strict=False), ("gone", "delivered")])
    pruned: set[str] = set()
    rows, more = DeliveredRows(store, cloud), True
    while more:
        delivered, more = rows.look()
        assert len(delivered) <= 2
        pruned |= set(delivered)
        admitted.remove_delivered(delivered)
    assert pruned == set(ids[1:4])
    assert [row.message_id for row in pending.pending(Lane.SUMMARY, 0, 10)] == [ids[0], ids[4]]
    connection.close()


def test_each_look_at_what_was_delivered_goes_on_behind_the_last(
    admitted: StoreWriter,
    pending: OutboxReader,
    session: SessionId,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "LOOKED_AT", 10)
    admitted.write([minute(session, 1_000_020)])
    (waiting,) = pending.pending(Lane.SUMMARY, 0, 10)
    gone = [(f"{number:032x}", "delivered") for number in range(25)]
    cloud = store.with_name("delivered.sqlite3")
    connection = cloud_database(cloud, [*gone, (waiting.message_id, "delivered")])
    rows = DeliveredRows(store, cloud)
    found = ((waiting.message_id,), False)
    for _ in range(2):  # it is not pruned, so it is found again
        assert [rows.look() for _ in range(3)] == [((), True), ((), True), found]
    connection.close()


def test_nothing_is_pruned_without_the_word_of_the_cloud_daemon(store: Path) -> None:
    cloud = store.with_name("delivered.sqlite3")
    assert DeliveredRows(store, cloud).look() == ((), False)
    assert not cloud.exists()
    cloud.write_bytes(b"")  # begun, its table not made yet
    assert DeliveredRows(store, cloud).look() == ((), False)
    cloud.write_bytes(b"damaged " * 1000)
    assert DeliveredRows(store, cloud).look() == ((), False)
