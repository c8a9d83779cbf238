"""Old waveforms go in small steps; what was received stays known."""

from __future__ import annotations

import json
import queue
import sqlite3
from pathlib import Path

import pytest

from gateway.config import StoreConfig
from gateway.messages import (
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    FrameSequence,
    SessionId,
)
from gateway.store import recorder as recorder_module
from gateway.store import retention
from gateway.store.answers import JournalledFrame
from gateway.store.database import writer_engine
from gateway.store.entries import (
    AddBed,
    Admit,
    AlarmChanged,
    AssignSensor,
    BedId,
    MinuteSummary,
    SessionStarted,
    StoredFrame,
)
from gateway.store.outbox import Lane, OutboxReader
from gateway.store.reader import Reader
from gateway.store.recorder import Recorder
from gateway.store.transactions import StoreWriter

NOW_S = 1_000_000.0
DAY_S = 86_400.0


def frame(session: SessionId, sequence: int, age_s: float = 0.0) -> StoredFrame:
    sealed = sequence.to_bytes(434, "big")
    return StoredFrame(session, FrameSequence(sequence), sealed, NOW_S - age_s)


def old_frames(session: SessionId, count: int) -> list[StoredFrame]:
    """From sequence 0 on, a second older than a day."""
    return [frame(session, sequence, DAY_S + 1) for sequence in range(count)]


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


def test_old_frames_go_in_steps_and_their_ranges_stay(
    writer: StoreWriter,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 4)
    kept = [frame(session, sequence, DAY_S - 1) for sequence in range(6, 10)]
    writer.write([started, *old_frames(session, 6), *kept])
    assert writer.remove_old(StoreConfig(waveform_days=1))
    assert stored_sequences(reader, session) == [4, 5, 6, 7, 8, 9]
    assert not writer.remove_old(StoreConfig(waveform_days=1))
    assert stored_sequences(reader, session) == [6, 7, 8, 9]
    assert reader.received_ranges(session) == ((0, 9),)


def test_a_replay_of_a_frame_that_is_gone_is_not_stored_again(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, *old_frames(session, 1), frame(session, 1)])
    writer.remove_old(StoreConfig(waveform_days=1))
    commit = writer.write([frame(session, 0)])
    assert commit.frames == {session: (0,)}  # the sensor may forget it
    assert stored_sequences(reader, session) == [1]


def test_journal_numbers_go_on_after_frames_are_gone(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, *old_frames(session, 1), frame(session, 1)])
    writer.remove_old(StoreConfig(waveform_days=1))
    writer.write([frame(session, 2)])
    assert [entry.journal_id for entry in reader.journal_after(session, None)] == [2, 3]


def test_the_recorder_removes_what_is_older_than_the_days_it_was_told(
    store: Path,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder_module, "RETENTION_INTERVAL_S", 0.0)
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 3)
    config = StoreConfig(commit_interval_s=0.0, waveform_days=1)
    recorder = Recorder(store, config, lambda commit: None, now=lambda: NOW_S)
    recorder.start()
    recorder.record(started)
    for each in (*old_frames(session, 7), *(frame(session, n) for n in range(7, 10))):
        recorder.record(each)
    recorder.command(AddBed("Bed 1")).result(10)
    await_steps(monkeypatch, 4)
    recorder.close()
    assert stored_sequences(reader, session) == [7, 8, 9]


def test_summaries_that_no_cloud_ever_took_leave_the_outbox_but_not_the_store(
    store: Path, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    day = 0.0
    writer = StoreWriter(writer_engine(store), lambda: NOW_S + day * DAY_S)
    writer.write([AddBed("Bed 1"), Admit("Bed 1", 0.0)])
    writer.write([AssignSensor(session.device_id, "Bed 1", 0.0), started])
    alarm = Alarm(AlarmKind.ASYSTOLE, AlarmPriority.HIGH, 1.0, 5.0, AlarmState.ENDED)
    writer.write([AlarmChanged(BedId(1), alarm)])
    for minute in range(3):
        day = 40.0 * minute
        writer.write([MinuteSummary(session, minute, 60, 0, None, None, None, 0.0, 60.0)])
    day = 100.0
    writer.remove_old(StoreConfig(waveform_days=1))
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
    alarm = Alarm(AlarmKind.ASYSTOLE, AlarmPriority.HIGH, 1.0, 5.0, AlarmState.ACTIVE)
    recorder.record(AlarmChanged(BedId(1), alarm))
    recorder.command(AddBed("Bed 2")).result(10)
    (row,) = outbox.pending(Lane.ALARM, 0, 9)
    cloud.execute("INSERT INTO settled VALUES (?, 'delivered')", (row.message_id,))
    cloud.commit()
    await_steps(monkeypatch, 2)  # the one that was under way, and one that has seen it
    recorder.close()
    assert outbox.pending(Lane.ALARM, 0, 9) == []
    cloud.close()
    outbox.close()
