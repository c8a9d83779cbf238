"""Old waveforms go in small steps; what was received stays known."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from gateway.config import StoreConfig
from gateway.messages import FrameSequence, SessionId
from gateway.store import recorder as recorder_module
from gateway.store import retention
from gateway.store.entries import AddBed, SessionStarted, StoredFrame
from gateway.store.reader import JournalledFrame, Reader
from gateway.store.recorder import Recorder
from gateway.store.transactions import StoreWriter


def frame(session: SessionId, sequence: int) -> StoredFrame:
    """One a second; its bytes tell it apart."""
    sealed = sequence.to_bytes(434, "big")
    return StoredFrame(session, FrameSequence(sequence), sealed, float(sequence))


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
    monkeypatch.setattr(retention, "FRAMES_PER_STEP", 4)
    writer.write([started, *(frame(session, sequence) for sequence in range(10))])
    assert writer.remove_old_frames(before_s=6.0)
    assert stored_sequences(reader, session) == [4, 5, 6, 7, 8, 9]
    assert not writer.remove_old_frames(before_s=6.0)
    assert stored_sequences(reader, session) == [6, 7, 8, 9]
    assert reader.received_ranges(session) == ((0, 9),)


def test_a_replay_of_a_frame_that_is_gone_is_not_stored_again(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, frame(session, 0), frame(session, 1)])
    writer.remove_old_frames(before_s=1.0)
    commit = writer.write([frame(session, 0)])
    assert commit.frames == {session: (0,)}  # the sensor may forget it
    assert stored_sequences(reader, session) == [1]


def test_journal_numbers_go_on_after_frames_are_gone(
    writer: StoreWriter, reader: Reader, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, frame(session, 0), frame(session, 1)])
    writer.remove_old_frames(before_s=1.0)
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
    monkeypatch.setattr(retention, "FRAMES_PER_STEP", 3)
    steps: queue.Queue[None] = queue.Queue()
    remove = StoreWriter.remove_old_frames

    def counted(self: StoreWriter, before_s: float) -> bool:
        more = remove(self, before_s)
        steps.put(None)
        return more

    monkeypatch.setattr(StoreWriter, "remove_old_frames", counted)
    config = StoreConfig(commit_interval_s=0.0, waveform_days=1)
    recorder = Recorder(store, config, lambda commit: None, now=lambda: 86_400.0 + 7)
    recorder.start()
    recorder.record(started)
    for sequence in range(10):
        recorder.record(frame(session, sequence))
    recorder.command(AddBed("Bed 1")).result(10)
    while not steps.empty():
        steps.get()
    for _ in range(4):
        steps.get(timeout=10)
    recorder.close()
    assert stored_sequences(reader, session) == [7, 8, 9]
