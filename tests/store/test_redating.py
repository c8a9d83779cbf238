"""Minutes and alarms that were dated by an unset clock, once it is known."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.messages import AlarmKind, AlarmState, DeviceId, SessionId
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import AlarmChanged, AlarmRedated, BedId, SessionStarted, SessionTimed
from gateway.store.outbox import Lane, OutboxReader
from gateway.store.reader import Reader
from gateway.store.redating import ROWS_PER_STEP
from gateway.store.transactions import StoreWriter
from tests.cloud_sync.ward_rows import minute_summary
from tests.store.contents import asystole, monitored_bed

SESSION = SessionId(DeviceId(7), 1, bytes(16))
BEGUN_S = 1_000_000.0  # by the clock that nobody had set
TRUE_S = 1_795_000_000.25
SHIFT_S = TRUE_S - BEGUN_S
BED = BedId(1)
MINUTES = ROWS_PER_STEP + 10  # more than one step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.sqlite3"
    open_store(path)
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[StoreWriter]:
    writer = StoreWriter(writer_engine(path), lambda: BEGUN_S)
    started = SessionStarted(SESSION, 250, 0, BEGUN_S, BEGUN_S)
    writer.write(monitored_bed("Bed 1", started, BEGUN_S))
    writer.write([SessionTimed(SESSION, BEGUN_S, 0.0, clock_unsynced=True)])
    yield writer
    writer.close()


def know_the_clock(writer: StoreWriter, true_s: float = TRUE_S) -> None:
    wrong_by_s = true_s - BEGUN_S
    writer.write([SessionTimed(SESSION, true_s, 0.01, clock_unsynced=False, wrong_by_s=wrong_by_s)])


def redate_all(writer: StoreWriter) -> None:
    while writer.redate():
        pass


def minutes_of(path: Path) -> list[int]:
    with closing(Reader(path)) as reader:
        return [minute.minute_s for minute in reader.summaries(SESSION)]


def told(path: Path, lane: Lane) -> list[tuple[str, str, dict]]:
    """Id, kind and words of each message."""
    with closing(OutboxReader(path)) as outbox:
        rows = outbox.pending(lane, 0, 1000)
    return [(row.message_id, row.kind, json.loads(row.payload)) for row in rows]


@pytest.mark.parametrize("true_s", [TRUE_S, BEGUN_S + 90.0, BEGUN_S - 90.0])
def test_minutes_move_to_where_they_belong_and_the_cloud_is_told(path, writer, true_s):
    for number in range(MINUTES):
        writer.write([minute_summary(SESSION, number, BEGUN_S)])
    know_the_clock(writer, true_s)
    redate_all(writer)
    shift_s = round(true_s - BEGUN_S)
    assert minutes_of(path) == [int(BEGUN_S) + 60 * n + shift_s for n in range(MINUTES)]
    messages = told(path, Lane.SUMMARY)
    wrong = [message_id for message_id, kind, _ in messages if kind == "summary"]
    corrections = [words for _, kind, words in messages if kind == "redate"]
    assert sorted(id_ for words in corrections for id_ in words["of"]) == sorted(wrong)
    assert {words["shift_s"] for words in corrections} == {true_s - BEGUN_S}


def test_a_clock_that_was_right_all_along_corrects_nothing(path, writer):
    writer.write([minute_summary(SESSION, 0, BEGUN_S)])
    know_the_clock(writer, BEGUN_S)
    redate_all(writer)
    assert minutes_of(path) == [BEGUN_S]
    assert [kind for _, kind, _ in told(path, Lane.SUMMARY)] == ["summary"]


def test_a_step_is_short_and_the_rest_follows(path, writer):
    for number in range(MINUTES):
        writer.write([minute_summary(SESSION, number, BEGUN_S)])
    know_the_clock(writer)
    assert writer.redate()
    moved = [minute_s for minute_s in minutes_of(path) if minute_s > TRUE_S - 60]
    assert len(moved) == ROWS_PER_STEP


def test_what_comes_after_is_dated_right_at_once(path, writer):
    writer.write([minute_summary(SESSION, 0, BEGUN_S)])
    know_the_clock(writer)
    writer.write([minute_summary(SESSION, 1, TRUE_S)])
    redate_all(writer)
    know_the_clock(writer, TRUE_S + 0.5)  # a later fit dates nothing anew
    redate_all(writer)
    assert minutes_of(path) == [round(BEGUN_S) + round(SHIFT_S), 1_795_000_061]
    assert [kind for _, kind, _ in told(path, Lane.SUMMARY)] == ["summary", "summary", "redate"]


def test_an_alarm_that_is_over_moves_with_all_its_times(path, writer):
    onset_s = BEGUN_S + 30.0
    ended = asystole(onset_s, AlarmState.ENDED, onset_s + 20.0)
    writer.write([AlarmChanged(BED, asystole(onset_s), SESSION)])
    writer.write([AlarmChanged(BED, ended, None, SESSION)])
    know_the_clock(writer)
    redate_all(writer)
    with closing(Reader(path)) as reader:
        (stored,) = reader.alarm_history(10)
    alarm = stored.alarm
    assert (alarm.onset_s, alarm.raised_s, alarm.ended_s) == (
        onset_s + SHIFT_S,
        onset_s + 4.0 + SHIFT_S,
        onset_s + 20.0 + SHIFT_S,
    )
    *wrong, (_, kind, correction) = told(path, Lane.ALARM)
    assert kind == "redate"
    assert set(correction["of"]) == {message_id for message_id, _, _ in wrong}


def test_an_open_alarm_moves_at_once_and_keeps_one_name_afterwards(path, writer):
    onset_s = BEGUN_S + 30.0
    writer.write([AlarmChanged(BED, asystole(onset_s), SESSION)])
    know_the_clock(writer)
    writer.write([AlarmRedated(BED, AlarmKind.ASYSTOLE, onset_s, SHIFT_S)])
    moved_s = onset_s + SHIFT_S
    ended = asystole(moved_s, AlarmState.ENDED, moved_s + 20.0)
    writer.write([AlarmChanged(BED, ended, SESSION)])
    redate_all(writer)
    with closing(Reader(path)) as reader:
        (stored,) = reader.alarm_history(10)
    assert (stored.alarm.onset_s, stored.alarm.state) == (moved_s, AlarmState.ENDED)
    (raised_id, _, _), (_, _, correction), (_, _, last) = told(path, Lane.ALARM)
    assert correction["of"] == {raised_id: last["alarm_id"]}


def test_of_a_clock_that_was_set_nothing_is_dated_anew(path, writer):
    know_the_clock(writer)
    redate_all(writer)
    writer.write([minute_summary(SESSION, 0, TRUE_S), AlarmChanged(BED, asystole(TRUE_S), SESSION)])
    know_the_clock(writer, TRUE_S + 100.0)
    redate_all(writer)
    assert minutes_of(path) == [1_795_000_001]
    assert [kind for _, kind, _ in told(path, Lane.ALARM)] == ["alarm"]


def test_whoever_was_admitted_by_a_clock_that_ran_ahead_keeps_the_stay(path, writer):
    know_the_clock(writer, BEGUN_S - 5000.0)
    writer.write([minute_summary(SESSION, 0, BEGUN_S - 5000.0)])
    with closing(sqlite3.connect(path)) as tables:
        (without_stay,) = tables.execute(
            "SELECT count(*) FROM summaries WHERE stay_id IS NULL"
        ).fetchone()
    assert without_stay == 0
