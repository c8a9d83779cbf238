"""Old waveforms go in small steps; what was received stays known."""

from __future__ import annotations

import json
import queue
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.config import StoreConfig
from gateway.messages import (
    SAMPLES_PER_FRAME,
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    GapReason,
    RhythmEvent,
    RhythmKind,
    SampleIndex,
    SessionId,
)
from gateway.store import frame_files, retention
from gateway.store import recorder as recorder_module
from gateway.store.answers import JournalledFrame
from gateway.store.database import writer_engine
from gateway.store.entries import (
    AddBed,
    AlarmChanged,
    BedId,
    Found,
    MinuteSummary,
    SessionStarted,
)
from gateway.store.files import connect_read_only
from gateway.store.frame_blocks import PAGE_BYTES
from gateway.store.outbox import Lane, OutboxReader
from gateway.store.reader import Reader
from gateway.store.recorder import Recorder
from gateway.store.transactions import StoreWriter
from tests.store.contents import NOW_S, asystole, frame, monitored_bed, unlabelled_beats

DAY_S = 86_400.0
COUNTED_AT_ONCE = 10


def await_steps(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Until the recorder has begun and ended so many steps of retention from now on."""
    steps: queue.Queue[None] = queue.Queue()
    retain = Recorder._retain

    def counted(self: Recorder) -> None:
        retain(self)
        steps.put(None)

    monkeypatch.setattr(Recorder, "_retain", counted)
    for _ in range(count):
        steps.get(timeout=10)


def stored_sequences(reader: Reader, session: SessionId) -> list[int]:
    journal = reader.journal_after(session, None)
    return [entry.frame.sequence for entry in journal if isinstance(entry, JournalledFrame)]


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of five frames fills a file."""
    monkeypatch.setattr(frame_files, "FILE_BYTES", PAGE_BYTES)
    monkeypatch.setattr(retention, "LEAST_FREE_BYTES", 0)


def write_in_files(writer: StoreWriter, session: SessionId, *ages_s: float) -> None:
    """Five frames of each age in a file of their own."""
    for number, age_s in enumerate(ages_s):
        writer.write([frame(session, 5 * number + n, NOW_S - age_s) for n in range(5)])


def retain(writer: StoreWriter, config: StoreConfig) -> int:
    """All steps that are due; gives how many."""
    steps = 1
    while writer.remove_old(config):
        steps += 1
    return steps


def write_findings(writer: StoreWriter, session: SessionId, count: int, first: int = 0) -> None:
    """A beat, an event and a minute of each second."""
    if first == 0:
        started = SessionStarted(session, 250, 0, NOW_S, NOW_S)
        writer.write(monitored_bed("Bed 1", started, NOW_S))
    samples = [SampleIndex(250 * second) for second in range(first, first + count)]
    events = tuple(RhythmEvent(RhythmKind.PAUSE, sample, sample) for sample in samples)
    writer.write([Found(session, "0123abcd", unlabelled_beats(samples), events)])
    writer.write(
        [
            MinuteSummary(session, round(NOW_S) + second, 1, 0, None, None, None, 1.0, 0.0)
            for second in range(first, first + count)
        ]
    )


def count_rows(store: Path) -> int:
    tables = ("beats", "events", "summaries", "outbox")
    with closing(connect_read_only(store)) as connection:
        return sum(
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables
        )


@contextmanager
def instructions(writer: StoreWriter) -> Iterator[list[int]]:
    """How many SQLite takes meanwhile, some at a time."""
    done: list[int] = []

    def took() -> None:
        done.append(COUNTED_AT_ONCE)

    with writer._engine.connect() as connection:
        pooled = connection.connection.driver_connection
    pooled.set_progress_handler(took, COUNTED_AT_ONCE)
    yield done
    pooled.set_progress_handler(None, 0)


def removed_frames(reader: Reader, session: SessionId) -> list[tuple[int, int]]:
    """First sequence and number of frames of each tombstone."""
    return [
        (gap.start // SAMPLES_PER_FRAME, gap.length // SAMPLES_PER_FRAME)
        for gap in reader.removed(session)
    ]


@pytest.mark.usefixtures("small_files")
def test_files_of_old_frames_go_and_leave_a_gap(
    writer: StoreWriter,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 1)
    writer.write([started])
    write_in_files(writer, session, DAY_S + 2, DAY_S + 1, DAY_S - 1, 0.0)
    assert retain(writer, StoreConfig(waveform_days=1)) > 2
    assert stored_sequences(reader, session) == list(range(10, 20))
    assert reader.received_ranges(session) == ((0, 19),)
    assert removed_frames(reader, session) == [(0, 10)]
    assert reader.removed(session)[0].reason is GapReason.REMOVED


@pytest.mark.usefixtures("small_files")
def test_the_oldest_files_go_when_there_are_too_many(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started])
    write_in_files(writer, session, 3.0, 2.0, 1.0, 0.0)
    retain(writer, StoreConfig(waveform_gigabytes=2 * PAGE_BYTES / 1e9 + 1e6 / 1e9))
    assert stored_sequences(reader, session)[-5:] == [15, 16, 17, 18, 19]
    retain(writer, StoreConfig(waveform_gigabytes=0.0))
    assert stored_sequences(reader, session) == [15, 16, 17, 18, 19]  # what is being written stays


@pytest.mark.usefixtures("small_files")
def test_a_crowded_disk_takes_the_oldest_waveforms(
    writer: StoreWriter,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer.write([started])
    write_in_files(writer, session, 2.0, 1.0, 0.0)
    monkeypatch.setattr(retention, "LEAST_FREE_BYTES", 2**62)
    retain(writer, StoreConfig())
    assert stored_sequences(reader, session) == [10, 11, 12, 13, 14]


@pytest.mark.usefixtures("small_files")
def test_a_replay_of_a_frame_that_is_gone_is_not_stored_again(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started])
    write_in_files(writer, session, DAY_S + 1, 0.0)
    retain(writer, StoreConfig(waveform_days=1))
    commit = writer.write([frame(session, 0)])
    assert commit.frames == {session: (0,)}  # the sensor may forget it
    assert stored_sequences(reader, session) == [5, 6, 7, 8, 9]


@pytest.mark.usefixtures("small_files")
def test_journal_numbers_go_on_after_frames_are_gone(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started])
    write_in_files(writer, session, DAY_S + 1, 0.0)
    retain(writer, StoreConfig(waveform_days=1))
    writer.write([frame(session, 10)])
    assert [entry.journal_id for entry in reader.journal_after(session, None)] == [*range(6, 12)]


def test_frames_in_the_table_of_before_go_by_their_age(
    store: Path, writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started])
    rows = [(n + 1, 1, n, b"sealed", NOW_S - age_s) for n, age_s in enumerate((DAY_S + 1, 0.0))]
    with sqlite3.connect(store) as connection:
        connection.executemany(
            "INSERT INTO frames (journal_id, session_id, sequence, sealed, received_s)"
            " VALUES (?, ?, ?, ?, ?)",
            rows,
        )
    connection.close()
    assert stored_sequences(reader, session) == [0, 1]
    retain(writer, StoreConfig(waveform_days=1))
    assert stored_sequences(reader, session) == [1]
    assert removed_frames(reader, session) == [(0, 1)]


def test_findings_go_by_age_and_alarms_that_are_not_over_stay(
    store: Path, reader: Reader, session: SessionId
) -> None:
    writer = StoreWriter(writer_engine(store), lambda: NOW_S)
    begun_s = NOW_S - 2 * DAY_S
    writer.write([AddBed("Bed 1"), SessionStarted(session, 250, 0, begun_s, begun_s)])
    seconds = (0, round(DAY_S) - 1, round(DAY_S) + 1)
    samples = [SampleIndex(250 * second) for second in seconds]
    events = tuple(RhythmEvent(RhythmKind.PAUSE, sample, sample) for sample in samples)
    writer.write([Found(session, "0123abcd", unlabelled_beats(samples), events)])
    for kind, state in (
        (AlarmKind.ASYSTOLE, AlarmState.ENDED),
        (AlarmKind.LEAD_OFF, AlarmState.ACTIVE),
    ):
        alarm = Alarm(kind, AlarmPriority.HIGH, begun_s, begun_s, state)
        writer.write([AlarmChanged(BedId(1), alarm)])
    retain(writer, StoreConfig(finding_days=1, report_days=1))
    writer.close()
    stored = reader.beats(session, SampleIndex(0), SampleIndex(2**40))
    assert [each.beat.r_sample for each in stored] == samples[2:]
    assert [event.onset for event in reader.events(session)] == samples[2:]
    assert [stored.alarm.kind for stored in reader.alarm_history(9)] == [AlarmKind.LEAD_OFF]


def test_a_step_removes_no_more_rows_than_it_may_of_all_kinds_together(
    store: Path, session: SessionId
) -> None:
    day = 0
    writer = StoreWriter(writer_engine(store), lambda: NOW_S + day * DAY_S)
    write_findings(writer, session, 100)
    day = 1000
    rows = [count_rows(store)]
    while writer.remove_old(StoreConfig()):
        rows.append(count_rows(store))
    writer.close()
    removed = [before - after for before, after in pairwise(rows)]
    assert rows[-1] == 0
    assert max(removed) == retention.ROWS_PER_STEP


def test_a_step_finds_its_rows_however_many_there_are(store: Path, session: SessionId) -> None:
    """SQLite's own instructions are counted: a table that is read from end to end is many."""
    writer = StoreWriter(writer_engine(store), lambda: NOW_S + 2 * DAY_S)
    config = StoreConfig(finding_days=1, report_days=1)
    took: list[int] = []
    for first, count in ((0, 200), (200, 2000)):
        write_findings(writer, session, count, first)
        with instructions(writer) as done:
            writer.remove_old(config)
        took.append(sum(done))
    writer.close()
    assert took[1] < 2 * took[0]


def test_old_beats_go_when_the_tables_are_too_large(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, Found(session, "0123abcd", unlabelled_beats(range(50)))])
    retain(writer, StoreConfig(database_gigabytes=1.0))
    assert len(reader.beats(session, SampleIndex(0), SampleIndex(99))) == 50
    retain(StoreWriter(writer._engine, lambda: NOW_S + 1.0), StoreConfig(database_gigabytes=0.0))
    assert reader.beats(session, SampleIndex(0), SampleIndex(99)) == []


@pytest.mark.usefixtures("small_files")
def test_the_recorder_removes_what_is_older_than_the_days_it_was_told(
    store: Path,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder_module, "RETENTION_INTERVAL_S", 0.0)
    config = StoreConfig(commit_interval_s=0.0, index_interval_s=0.0, waveform_days=1)
    recorder = Recorder(store, config, lambda commit: None, now=lambda: NOW_S)
    recorder.start()
    recorder.record(started)
    for number, age_s in enumerate((DAY_S + 1, 0.0)):
        for each in range(5):
            recorder.record(frame(session, 5 * number + each, NOW_S - age_s))
        recorder.command(AddBed(f"Bed {number}")).result(10)
    await_steps(monkeypatch, 4)
    recorder.close()
    assert stored_sequences(reader, session) == [5, 6, 7, 8, 9]


def test_chores_of_many_steps_end_each_after_its_own(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(store, StoreConfig(), lambda commit: None, now=lambda: NOW_S)
    left = {"a": 3, "b": 5}

    def step(name: str) -> bool:
        left[name] -= 1
        return left[name] > 0

    monkeypatch.setattr(recorder, "_chores", (lambda: step("a"), lambda: step("b")))
    steps = 1
    while recorder._next_chore():
        steps += 1
    assert (steps, left) == (8, {"a": 0, "b": 0})
    recorder._writer.close()


def test_summaries_that_no_cloud_ever_took_leave_the_outbox_but_not_the_store(
    store: Path, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    day = 0.0
    writer = StoreWriter(writer_engine(store), lambda: NOW_S + day * DAY_S)
    writer.write(monitored_bed("Bed 1", started))
    writer.write([AlarmChanged(BedId(1), asystole(1.0, AlarmState.ENDED))])
    for minute in range(3):
        day = 40.0 * minute
        writer.write([MinuteSummary(session, minute, 60, 0, None, None, None, 0.0, 60.0)])
    day = 100.0
    retain(writer, StoreConfig(waveform_days=1))
    writer.close()
    outbox = OutboxReader(store)
    waiting = [json.loads(row.payload)["minute_s"] for row in outbox.pending(Lane.SUMMARY, 0, 9)]
    assert waiting == [1, 2]
    assert len(outbox.pending(Lane.ALARM, 0, 9)) == 1
    assert [summary.minute_s for summary in reader.summaries(session)] == [0, 1, 2]
    outbox.close()


def test_the_recorder_prunes_what_the_cloud_has(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "RETENTION_INTERVAL_S", 0.0)
    cloud = sqlite3.connect(store.with_name("delivered.sqlite3"))
    cloud.execute("CREATE TABLE settled (message_id PRIMARY KEY, outcome)")
    outbox = OutboxReader(store)
    config = StoreConfig(delivered=Path("delivered.sqlite3"))
    recorder = Recorder(store, config, lambda commit: None, now=lambda: NOW_S)
    recorder.start()
    recorder.command(AddBed("Bed 1")).result(10)
    recorder.record(AlarmChanged(BedId(1), asystole(1.0)))
    recorder.command(AddBed("Bed 2")).result(10)
    (row,) = outbox.pending(Lane.ALARM, 0, 9)
    cloud.execute("INSERT INTO settled VALUES (?, 'delivered')", (row.message_id,))
    cloud.commit()
    await_steps(monkeypatch, 2)  # the one that was under way, and one that has seen it
    recorder.close()
    assert outbox.pending(Lane.ALARM, 0, 9) == []
    cloud.close()
    outbox.close()
