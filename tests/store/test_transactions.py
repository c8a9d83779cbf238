"""Entries become rows: once each, in order, all of a batch or nothing."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Beat,
    BeatClass,
    BeatLabel,
    DeviceId,
    FrameFlags,
    FrameSequence,
    Gap,
    RhythmEvent,
    RhythmKind,
    SampleIndex,
    SessionId,
)
from gateway.radio.frame_codec import FrameHeader, derive_frame_key, open_frame, seal_frame
from gateway.store import known_sessions, reports
from gateway.store.answers import JournalledFrame, JournalledGap, StoredBeat, StoredCheckpoint
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import (
    AddBed,
    AlarmChanged,
    BedCommandRefused,
    BedId,
    Checkpoint,
    DeclaredGap,
    Found,
    LateStretchAnalysed,
    MinuteSummary,
    SecurityEvent,
    SessionFinished,
    SessionStarted,
    SessionTimed,
    StoredFrame,
)
from gateway.store.frame_files import frames_folder
from gateway.store.reader import Reader
from gateway.store.rows import Transaction
from gateway.store.transactions import FRAME_CONFLICT, StoreWriter
from tests.store.contents import NOW_S, frame

MODEL = "0123abcd"  # a short hash


def other_bytes(frame: StoredFrame) -> StoredFrame:
    return StoredFrame(frame.session, frame.sequence, frame.sealed[::-1], frame.received_s)


def beat(r_sample: int, label: BeatLabel | None = None) -> Beat:
    return Beat(SampleIndex(r_sample), -812.5, 640.0, True, label)


def lost_frame(sequence: int) -> Gap:
    return Gap(SampleIndex(sequence * SAMPLES_PER_FRAME), SAMPLES_PER_FRAME)


def lost_gap(session: SessionId, sequence: int) -> DeclaredGap:
    return DeclaredGap(session, lost_frame(sequence))


def test_what_was_written_is_read_again(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    labelled = beat(40, BeatLabel(BeatClass.VENTRICULAR, 0.97))
    evidence = (SampleIndex(10), SampleIndex(20))
    event = RhythmEvent(
        RhythmKind.TACHYCARDIA, SampleIndex(10), SampleIndex(30), None, 0.75, evidence
    )
    minute = MinuteSummary(session, 999_960, 71, 2, None, 70.5, 90.0, 55.0, 0.748, 31.2)
    writer.write(
        [
            started,
            frame(session, 0),
            Found(session, MODEL, (beat(20), labelled), (event,)),
            minute,
            Checkpoint(session, b"state"),
        ]
    )
    assert reader.frame(session, FrameSequence(0)) == frame(session, 0)
    assert reader.frame(session, FrameSequence(1)) is None
    stored_beats = [StoredBeat(beat(20), None), StoredBeat(labelled, MODEL)]
    assert reader.beats(session, SampleIndex(0), SampleIndex(100)) == stored_beats
    assert reader.beats(session, SampleIndex(20), SampleIndex(40)) == stored_beats[:1]
    assert reader.events(session) == [event]
    assert reader.summaries(session) == [minute]
    (stored,) = reader.open_sessions()
    assert (stored.session, stored.sample_rate_hz, stored.wall_offset_s) == (
        session,
        250,
        NOW_S,
    )


def test_the_journal_keeps_the_order_of_arrival(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    gap = lost_frame(1)
    writer.write([started, frame(session, 0), DeclaredGap(session, gap)])
    newer, late = frame(session, 2, NOW_S + 1), frame(session, 1, NOW_S + 2, late=True)
    writer.write([newer, late])
    journal = list(reader.journal_after(session, None))
    assert [entry.journal_id for entry in journal] == [1, 2, 3, 4]
    assert [e.gap if isinstance(e, JournalledGap) else e.frame for e in journal] == [
        frame(session, 0),
        gap,
        newer,
        late,
    ]


def test_a_checkpoint_stands_after_all_that_was_recorded_before_it(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, frame(session, 0), Checkpoint(session, b"old"), frame(session, 1)])
    writer.write([Checkpoint(session, b"new"), frame(session, 2)])
    checkpoint = reader.checkpoint(session)
    assert checkpoint is not None
    assert checkpoint == StoredCheckpoint(checkpoint.journal_id, b"new")
    (entry,) = reader.journal_after(session, checkpoint.journal_id)
    assert isinstance(entry, JournalledFrame)
    assert entry.frame == frame(session, 2)


def test_a_journal_longer_than_a_page_is_given_whole(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    other = SessionId(DeviceId(8), 1, session.salt)
    writer.write([started, SessionStarted(other, 250, 0, NOW_S, None)])
    for one in (session, other):
        writer.write([frame(one, sequence) for sequence in range(600)])
    sequences = [
        entry.frame.sequence
        for entry in reader.journal_after(session, None)
        if isinstance(entry, JournalledFrame)
    ]
    assert sequences == list(range(600))


def test_a_repeat_of_the_same_bytes_is_acknowledged_and_stored_once(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    first = writer.write([started, frame(session, 0), frame(session, 0)])
    second = writer.write([frame(session, 0)])
    assert first.frames == {session: (0, 0)}
    assert second.frames == {session: (0,)}
    assert len(list(reader.journal_after(session, None))) == 1


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_other_bytes_under_one_sequence_are_a_security_event(
    writer: StoreWriter,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    in_one_batch: bool,
) -> None:
    forged = other_bytes(frame(session, 0))
    if in_one_batch:
        commit = writer.write([started, frame(session, 0), forged])
        assert commit.frames == {session: (0,)}
    else:
        writer.write([started, frame(session, 0)])
        commit = writer.write([forged])
        assert commit.frames == {}
    assert commit.conflicts == (forged,)
    assert reader.frame(session, FrameSequence(0)) == frame(session, 0)
    (event,) = reader.security_events(10)
    assert (event.kind, event.device_id) == (FRAME_CONFLICT, session.device_id)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that nobody has open, to be copied."""
    path = tmp_path_factory.mktemp("store") / "empty.sqlite3"
    open_store(path)
    return path


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 12), max_size=8), max_size=6),
    st.booleans(),
)
def test_any_order_and_batching_stores_each_frame_once(
    empty_store: Path, batches: list[list[int]], reopened: bool
) -> None:
    path = empty_store.with_name("gateway.sqlite3")
    shutil.copyfile(empty_store, path)
    shutil.rmtree(frames_folder(path), ignore_errors=True)
    session = SessionId(DeviceId(7), 1, bytes(16))
    writer = StoreWriter(writer_engine(path), lambda: NOW_S)
    writer.write([SessionStarted(session, 250, 0, NOW_S, None)])
    for batch in batches:
        commit = writer.write([frame(session, sequence) for sequence in batch])
        assert commit.frames == ({session: tuple(batch)} if batch else {})
        if reopened:
            writer.close()
            writer = StoreWriter(writer_engine(path), lambda: NOW_S)
    writer.close()
    reader = Reader(path)
    arrived = list(dict.fromkeys(sequence for batch in batches for sequence in batch))
    journal = list(reader.journal_after(session, None))
    assert [entry.journal_id for entry in journal] == list(range(1, len(arrived) + 1))
    assert [e.frame.sequence for e in journal if isinstance(e, JournalledFrame)] == arrived
    ranges = reader.received_ranges(session)
    assert [s for first, last in ranges for s in range(first, last + 1)] == sorted(arrived)
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(ranges))
    reader.close()
    path.unlink()


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next transaction is rolled back at its end, as by a disk that fails."""
    finish = Transaction.finish

    def fail(transaction: Transaction) -> Mapping[int, BedCommandRefused]:
        monkeypatch.setattr(Transaction, "finish", finish)
        finish(transaction)
        raise OperationalError("COMMIT", None, OSError("disk I/O error"))

    monkeypatch.setattr(Transaction, "finish", fail)


def test_a_transaction_that_fails_leaves_the_tables_as_they_were_and_is_done_again(
    writer: StoreWriter,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer.write([started, frame(session, 0)])
    fail_once(monkeypatch)
    with pytest.raises(OperationalError):
        writer.write([frame(session, 1), lost_gap(session, 2), Checkpoint(session, b"state")])
    assert reader.received_ranges(session) == ((0, 0),)
    assert writer.take([frame(session, 1)]).frames == {session: (1,)}  # it is in its file
    assert writer.take([other_bytes(frame(session, 1))]).conflicts
    writer.index()
    assert reader.received_ranges(session) == ((0, 1),)
    assert [e.journal_id for e in reader.journal_after(session, None)] == [1, 2, 3]


def test_a_model_of_a_transaction_that_failed_is_forgotten(
    writer: StoreWriter,
    reader: Reader,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    label = BeatLabel(BeatClass.NORMAL, 0.1)
    writer.write([started])
    fail_once(monkeypatch)
    with pytest.raises(OperationalError):
        writer.write([Found(session, MODEL, (beat(20, label),))])
    writer.write([Found(session, "another", (beat(30, label),))])
    writer.write([Found(session, MODEL, (beat(40, label),))])
    stored = reader.beats(session, SampleIndex(0), SampleIndex(99))
    assert [each.model for each in stored] == [MODEL, "another", MODEL]


def test_a_replay_finds_the_same_beats_and_writes_none_twice(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, Found(session, MODEL, (beat(20), beat(50)))])
    writer.write([Found(session, MODEL, (beat(50), beat(80)))])
    stored = [stored.beat for stored in reader.beats(session, SampleIndex(0), SampleIndex(99))]
    assert stored == [beat(20), beat(50), beat(80)]


def test_an_event_that_ended_stays_ended_when_its_onset_is_replayed(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    onset = RhythmEvent(RhythmKind.ASYSTOLE, SampleIndex(100), SampleIndex(200))
    ended = RhythmEvent(RhythmKind.ASYSTOLE, SampleIndex(100), SampleIndex(200), SampleIndex(300))
    writer.write([started, Found(session, MODEL, events=(onset, ended))])
    writer.write([Found(session, MODEL, events=(onset,))])
    assert reader.events(session) == [ended]


def test_a_finished_session_keeps_its_signal_and_drops_its_checkpoint(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, frame(session, 0), Checkpoint(session, b"state")])
    writer.write([SessionFinished(session)])
    assert reader.open_sessions() == []
    assert reader.checkpoint(session) is None
    (stored,) = reader.sessions_of(session.device_id)
    assert stored.finished
    assert reader.frame(session, FrameSequence(0)) is not None


def test_a_better_clock_estimate_replaces_the_old_one(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, SessionTimed(session, 3.5, 0.5, clock_unsynced=True)])
    stored = reader.session(session)
    assert stored is not None
    assert (stored.start_s, stored.wall_error_s, stored.clock_unsynced) == (3.5, 0.5, True)
    writer.write([SessionTimed(session, NOW_S + 0.02, 0.01, clock_unsynced=False)])
    writer.write([started])  # a reconnect starts what is started already
    stored = reader.session(session)
    assert stored is not None
    assert (stored.start_s, stored.clock_unsynced) == (NOW_S + 0.02, False)
    assert stored.wall_offset_s == NOW_S  # by which its rows are dated


def test_a_filled_gap_is_analysed_once(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    gaps = [lost_frame(1), lost_frame(4)]
    writer.write([started, *(DeclaredGap(session, gap) for gap in gaps)])
    assert reader.gaps_to_fill(session) == gaps
    writer.write([LateStretchAnalysed(session, gaps[0].start)])
    assert reader.gaps_to_fill(session) == gaps[1:]


def test_entries_of_a_session_that_was_never_started_are_an_error(
    writer: StoreWriter, session: SessionId
) -> None:
    with pytest.raises(LookupError, match="has not been started"):
        writer.write([frame(session, 0)])


def test_only_so_many_sessions_are_remembered(
    writer: StoreWriter, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "MAX_KNOWN_SESSIONS", 2)
    many = [SessionId(DeviceId(number), 1, bytes(16)) for number in range(5)]
    writer.write([SessionStarted(one, 250, 0, NOW_S, None) for one in many])
    for sequence in range(3):
        writer.write([frame(one, sequence) for one in many])
    assert [reader.received_ranges(one) for one in many] == [((0, 2),)] * 5


def test_the_newest_security_events_are_kept(
    writer: StoreWriter, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_SECURITY_EVENTS", 3)
    writer.write([SecurityEvent(float(n), "forged frame", str(n)) for n in range(5)])
    assert [event.detail for event in reader.security_events(10)] == ["4", "3", "2"]


def asystole(state: AlarmState, acknowledged_s: float | None = None) -> Alarm:
    return Alarm(
        AlarmKind.ASYSTOLE,
        AlarmPriority.HIGH,
        onset_s=NOW_S + 10,
        raised_s=NOW_S + 14,
        state=state,
        acknowledged_s=acknowledged_s,
    )


def test_an_alarm_changes_in_place(writer: StoreWriter, reader: Reader) -> None:
    active = asystole(AlarmState.ACTIVE)
    acknowledged = asystole(AlarmState.ACKNOWLEDGED, NOW_S + 20)
    ended = asystole(AlarmState.ENDED, NOW_S + 20)
    writer.write([AddBed("Bed 1"), AlarmChanged(BedId(1), active)])
    assert [stored.alarm for stored in reader.open_alarms()] == [active]
    writer.write([AlarmChanged(BedId(1), acknowledged)])
    assert [stored.alarm for stored in reader.open_alarms()] == [acknowledged]
    writer.write([AlarmChanged(BedId(1), ended)])
    assert reader.open_alarms() == []
    assert [stored.alarm for stored in reader.alarm_history(10)] == [ended]


def test_the_raw_samples_are_not_in_the_file(
    writer: StoreWriter,
    reader: Reader,
    store: Path,
    session: SessionId,
    started: SessionStarted,
) -> None:
    steps = np.random.default_rng(1).integers(-400, 400, SAMPLES_PER_FRAME).astype(np.int16)
    key = derive_frame_key(bytes(32), session)
    header = FrameHeader(session, FrameFlags(0), FrameSequence(0), 0, 250)
    sealed = seal_frame(key, header, steps)
    writer.write([started, StoredFrame(session, FrameSequence(0), sealed, NOW_S)])
    stored = reader.frame(session, FrameSequence(0))
    assert stored is not None
    assert np.array_equal(open_frame(key, stored.sealed).steps, steps)
    on_disk = b"".join(part.read_bytes() for part in store.parent.rglob("*") if part.is_file())
    assert sealed[100:200] in on_disk
    raw = steps.astype("<i2").tobytes()
    assert not any(raw[at : at + 8] in on_disk for at in range(0, len(raw) - 8, 2))
