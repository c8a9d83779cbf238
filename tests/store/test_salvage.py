"""A damaged database: set aside, and everything readable of it in the new one."""

from __future__ import annotations

import random
import sqlite3
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from gateway.messages import (
    SAMPLES_PER_FRAME,
    DeviceId,
    FrameSequence,
    SampleIndex,
    SessionId,
)
from gateway.radio.frame_codec import FrameFlags, FrameHeader, derive_frame_key, seal_frame
from gateway.store import database, frame_files
from gateway.store.database import OpenedStore, open_store, writer_engine
from gateway.store.entries import (
    AlarmChanged,
    BedId,
    Found,
    MinuteSummary,
    SessionStarted,
    StoredFrame,
)
from gateway.store.frame_blocks import PAGE_BYTES
from gateway.store.outbox import Lane, OutboxReader
from gateway.store.reader import Reader
from gateway.store.salvage import salvage_note
from gateway.store.transactions import StoreWriter
from tests.store.contents import NOW_S, asystole, monitored_bed, unlabelled_beats

SESSION = SessionId(DeviceId(7), 1, bytes(range(16)))
BEATS = 3000
FRAMES = 40


@cache
def sealed(sequence: int) -> bytes:
    header = FrameHeader(SESSION, FrameFlags(0), FrameSequence(sequence), 0, 250)
    steps = np.random.default_rng(sequence).integers(-400, 400, SAMPLES_PER_FRAME)
    return seal_frame(derive_frame_key(bytes(32), SESSION), header, steps.astype(np.int16))


@pytest.fixture
def filled(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bed with a patient, frames in several files, many beats, minutes and an alarm."""
    monkeypatch.setattr(frame_files, "FILE_BYTES", 4 * PAGE_BYTES)
    writer = StoreWriter(writer_engine(store), lambda: NOW_S)
    writer.write(monitored_bed("Bed 1", SessionStarted(SESSION, 250, 0, NOW_S, NOW_S)))
    for first in range(0, FRAMES, 4):
        numbers = range(first, first + 4)
        writer.write([StoredFrame(SESSION, FrameSequence(n), sealed(n), NOW_S) for n in numbers])
    writer.write([Found(SESSION, "0123abcd", unlabelled_beats(range(BEATS)))])
    writer.write([AlarmChanged(BedId(1), asystole(1.0))])
    starts = range(0, 60 * 200, 60)
    writer.write([MinuteSummary(SESSION, s, 70, 0, None, None, None, 60.0, 0.0) for s in starts])
    writer.close()
    return store


def salvage(path: Path) -> OpenedStore:
    """What a start does, and then the recorder step by step."""
    opened = open_store(path)
    assert opened.set_aside is not None
    writer = StoreWriter(writer_engine(path), lambda: NOW_S)
    assert writer.is_salvaging
    while writer.salvage():
        pass
    assert not writer.is_salvaging
    writer.close()
    assert not salvage_note(path).exists()
    return opened


def overwrite(path: Path, page: int, pages: int = 1) -> None:
    noise = random.Random(page).randbytes(pages * database.PAGE_BYTES)
    with path.open("r+b") as file:
        file.seek(page * database.PAGE_BYTES)
        file.write(noise)


def pages_of(path: Path, table: str) -> list[int]:
    """Leaf pages of a table, counted from 0."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT pageno - 1 FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)
    ).fetchall()
    connection.close()
    return [page for (page,) in rows]


def counts(path: Path) -> dict[str, int]:
    reader, outbox = Reader(path), OutboxReader(path)
    frames = reader.frames(SESSION, FrameSequence(0), FrameSequence(FRAMES))
    found = {
        "beds": len([bed for bed in reader.beds() if bed.stay is not None]),
        "alarms": len(reader.open_alarms()),
        "frames": len(frames),
        "beats": len(reader.beats(SESSION, SampleIndex(0), SampleIndex(BEATS))),
        "minutes": len(reader.summaries(SESSION)),
        "unsent alarms": len(outbox.pending(Lane.ALARM, 0, 1000)),
        "unsent minutes": len(outbox.pending(Lane.SUMMARY, 0, 1000)),
    }
    assert [frame.sealed for frame in frames] == [sealed(frame.sequence) for frame in frames]
    reader.close()
    outbox.close()
    return found


WHOLE = {
    "beds": 1,
    "alarms": 1,
    "frames": FRAMES,
    "beats": BEATS,
    "minutes": 200,
    "unsent alarms": 1,
    "unsent minutes": 200,
}


def test_overwritten_pages_of_beats_cost_their_beats_alone(filled: Path) -> None:
    assert counts(filled) == WHOLE
    for page in pages_of(filled, "beats")[10:13]:
        overwrite(filled, page)
    begun_s = time.monotonic()
    opened = salvage(filled)
    assert time.monotonic() - begun_s < 10.0
    found = counts(filled)
    assert BEATS - 500 < found.pop("beats") < BEATS
    assert found == {key: value for key, value in WHOLE.items() if key != "beats"}
    assert opened.set_aside is not None
    assert opened.set_aside.exists()


@pytest.mark.parametrize("table", ["outbox", "summaries", "frame_runs"])
def test_an_overwritten_page_of_a_table_costs_no_other(filled: Path, table: str) -> None:
    overwrite(filled, pages_of(filled, table)[0])
    salvage(filled)
    found = counts(filled)
    for key in ("beds", "alarms", "frames", "beats"):
        assert found[key] == WHOLE[key]
    assert found["minutes"] > 150
    assert found["unsent minutes"] > 150


def test_a_truncated_file_gives_what_is_left_and_all_frames(filled: Path) -> None:
    with filled.open("r+b") as file:
        file.truncate(filled.stat().st_size * 2 // 3)
    salvage(filled)
    found = counts(filled)
    assert found["frames"] == FRAMES
    assert found["beds"] == 1


def test_frames_survive_without_any_table(filled: Path) -> None:
    filled.write_bytes(b"not a database, " * 4096)
    salvage(filled)
    assert counts(filled)["frames"] == FRAMES
    reader = Reader(filled)
    (session,) = reader.sessions_of(DeviceId(7))
    assert (session.session, session.sample_rate_hz, session.finished) == (SESSION, 250, True)
    assert reader.received_ranges(SESSION) == ((0, FRAMES - 1),)
    reader.close()


def test_a_wal_of_noise_costs_what_was_only_in_it(filled: Path) -> None:
    wal = filled.with_name(filled.name + "-wal")
    wal.write_bytes(random.Random(1).randbytes(100_000))
    opened = open_store(filled)
    assert opened.set_aside is None  # SQLite knows a WAL's frames by their checksums
    assert counts(filled) == WHOLE


def test_an_interrupted_salvage_goes_on(filled: Path) -> None:
    overwrite(filled, pages_of(filled, "beats")[5])
    open_store(filled)
    writer = StoreWriter(writer_engine(filled), lambda: NOW_S)
    assert writer.salvage()
    writer.close()
    assert open_store(filled).set_aside is None
    writer = StoreWriter(writer_engine(filled), lambda: NOW_S)
    while writer.salvage():
        pass
    writer.close()
    found = counts(filled)
    assert found["beats"] > BEATS - 500
    assert found["frames"] == FRAMES


def test_frame_files_without_their_database_are_set_aside(filled: Path) -> None:
    filled.unlink()
    open_store(filled)
    (aside,) = filled.parent.glob("*.frames-*")
    assert len(list(aside.iterdir())) > 1
