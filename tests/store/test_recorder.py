"""The writer's thread: when it commits, what it refuses, what it does when the disk fails."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from gateway.config import StoreConfig
from gateway.messages import (
    FrameSequence,
    SampleIndex,
    SessionId,
)
from gateway.store import recorder as recorder_module
from gateway.store.answers import StoredBeat
from gateway.store.database import writer_engine
from gateway.store.entries import (
    AddBed,
    AlarmChanged,
    BedCommandRefused,
    BedId,
    BedRefusal,
    Found,
    SessionStarted,
)
from gateway.store.reader import Reader
from gateway.store.recorder import Recorder
from gateway.store.transactions import Commit
from tests.store.contents import NOW_S, asystole, frame, unlabelled_beats

NEVER_S = 3600.0
SOON_S = 10.0  # for a thread to answer; no test waits so long unless it fails
ASYSTOLE = asystole(1.0)


class Ward:
    """A recorder and the commits that it reported."""

    def __init__(self, path: Path, commit_interval_s: float) -> None:
        self.commits: queue.Queue[Commit] = queue.Queue()
        config = StoreConfig(commit_interval_s=commit_interval_s, index_interval_s=0.0)
        self.recorder = Recorder(path, config, self.commits.put, now=lambda: NOW_S)

    def commit(self) -> Commit:
        return self.commits.get(timeout=SOON_S)


@contextmanager
def running(path: Path, commit_interval_s: float = NEVER_S) -> Iterator[Ward]:
    ward = Ward(path, commit_interval_s)
    ward.recorder.start()
    try:
        yield ward
    finally:
        ward.recorder.close()


def test_frames_are_committed_after_the_interval(
    store: Path, session: SessionId, started: SessionStarted
) -> None:
    with running(store, commit_interval_s=0.02) as ward:
        ward.recorder.record(started)
        ward.recorder.record(frame(session, 0))
        committed: dict[SessionId, tuple[FrameSequence, ...]] = {}
        while session not in committed:
            committed |= ward.commit().frames
    assert committed == {session: (0,)}


def test_an_alarm_commits_at_once_with_all_that_came_before(
    store: Path, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    with running(store) as ward:
        assert ward.recorder.command(AddBed("Bed 1")).result(SOON_S) is None
        assert ward.commit().frames == {}
        ward.recorder.record(started)
        ward.recorder.record(frame(session, 0))
        assert ward.commits.empty()
        ward.recorder.record(AlarmChanged(BedId(1), ASYSTOLE, session))
        assert ward.commit().frames == {session: (0,)}
        assert [stored.alarm for stored in reader.open_alarms()] == [ASYSTOLE]


def test_a_backlog_is_committed_before_the_interval(
    store: Path, session: SessionId, started: SessionStarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "FRAMES_PER_COMMIT", 3)
    with running(store) as ward:
        ward.recorder.record(started)
        for sequence in range(3):
            ward.recorder.record(frame(session, sequence))
        assert ward.commit().frames == {session: (0, 1, 2)}


def test_closing_commits_what_is_queued(
    store: Path, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    with running(store) as ward:
        ward.recorder.record(started)
        ward.recorder.record(frame(session, 0))
    assert ward.commit().frames == {session: (0,)}
    assert reader.received_ranges(session) == ((0, 0),)


def test_a_bed_command_answers_when_it_is_durable(store: Path, reader: Reader) -> None:
    with running(store) as ward:
        ward.recorder.command(AddBed("Bed 1")).result(SOON_S)
        assert [bed.name for bed in reader.beds()] == ["Bed 1"]
        refused = ward.recorder.command(AddBed("Bed 1")).exception(SOON_S)
    assert isinstance(refused, BedCommandRefused)
    assert refused.reason is BedRefusal.NAME_TAKEN


def test_a_full_queue_refuses_frames_and_nothing_else(
    store: Path,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_QUEUED_FRAMES", 2)
    (beat,) = unlabelled_beats([9])
    with running(store) as ward:
        ward.recorder.record(started)
        taken = [ward.recorder.record(frame(session, sequence)) for sequence in range(3)]
        assert taken == [True, True, False]
        assert ward.recorder.record(Found(session, "0123abcd", (beat,)))
        assert ward.recorder.health.refused_frames == 1
        ward.recorder.command(AddBed("Bed 1")).result(SOON_S)
        assert ward.recorder.record(frame(session, 2))  # there is room again
    assert reader.received_ranges(session) == ((0, 2),)
    assert reader.beats(session, SampleIndex(0), SampleIndex(99)) == [StoredBeat(beat, None)]


def test_a_recorder_that_is_not_running_takes_nothing(store: Path, started: SessionStarted) -> None:
    with running(store) as ward:
        pass
    with pytest.raises(RuntimeError, match="not running"):
        ward.recorder.record(started)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_our_own_ends_the_writer(
    store: Path, session: SessionId, started: SessionStarted
) -> None:
    with running(store) as ward:
        ward.recorder.record(frame(session, 0))  # its session was never started
        unanswered = ward.recorder.command(AddBed("Bed 1"))
        assert isinstance(unanswered.exception(SOON_S), RuntimeError)
        with pytest.raises(RuntimeError, match="not running"):
            ward.recorder.record(started)


class Disk:
    """A disk that is full until there is space: SQLite may not add a page."""

    def __init__(self) -> None:
        self.full = threading.Event()
        self.attempts: queue.Queue[None] = queue.Queue()

    def engine(self, path: Path) -> Engine:
        engine = writer_engine(path)
        event.listen(engine, "begin", self._limit)
        return engine

    def _limit(self, connection: Connection) -> None:
        pages = 1 if self.full.is_set() else 2**31 - 1
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # never below what it has
        self.attempts.put(None)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(recorder_module, "writer_engine", disk.engine)
    monkeypatch.setattr(recorder_module, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(recorder_module, "LAST_RETRY_S", 0.02)
    return disk


def fill_the_disk(ward: Ward, session: SessionId, first: int) -> Callable[[], Commit]:
    """More beats than the free pages take, and an alarm that wants all on disk now."""
    for sequence in range(first, first + 100):
        ward.recorder.record(frame(session, sequence))
    ward.recorder.record(Found(session, "0123abcd", unlabelled_beats(range(2000))))
    ward.recorder.record(AlarmChanged(BedId(1), ASYSTOLE, session))
    return ward.commit


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(
    store: Path, reader: Reader, session: SessionId, started: SessionStarted, disk: Disk
) -> None:
    with running(store) as ward:
        ward.recorder.record(started)
        ward.recorder.command(AddBed("Bed 1")).result(SOON_S)
        ward.commit()
        disk.full.set()
        commit = fill_the_disk(ward, session, 0)
        while ward.recorder.health.failing_because is None:
            disk.attempts.get(timeout=SOON_S)
        health = ward.recorder.health
        assert health.failing_because == "database or disk is full"
        assert health.queued_frames == 100
        assert ward.commits.empty()
        assert reader.received_ranges(session) == ()
        disk.full.clear()
        assert commit().frames == {session: tuple(range(100))}
        assert ward.recorder.health.failing_because is None
        assert ward.recorder.health.queued_frames == 0
    assert reader.received_ranges(session) == ((0, 99),)
    assert len(reader.open_alarms()) == 1


def test_closing_does_not_wait_for_a_full_disk(
    store: Path, reader: Reader, session: SessionId, started: SessionStarted, disk: Disk
) -> None:
    with running(store) as ward:
        ward.recorder.record(started)
        ward.recorder.command(AddBed("Bed 1")).result(SOON_S)
        disk.full.set()
        fill_the_disk(ward, session, 0)
        unanswered = ward.recorder.command(AddBed("Bed 2"))
    assert isinstance(unanswered.exception(SOON_S), RuntimeError)
    assert reader.received_ranges(session) == ()
