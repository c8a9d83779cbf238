"""How long retention holds the writer: `python -m tests.bench.retention`.

A week of eight beds, in a box that has run for two years, is filled in as rows; then the hours that
are due go, and all of the outbox, which a drain has delivered, while alarms are raised. "Held" is
from a step's begin to its end on the recorder's thread, its sync of the disk included; an alarm
waits for the step that is under way and then for its own commit.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cloud_sync.schema import open_database
from gateway.config import StoreConfig
from gateway.messages import DeviceId, FrameSequence, SessionId
from gateway.radio.frame_codec import FRAME_BYTES
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import AlarmChanged, BedId, JournalId, SessionStarted
from gateway.store.frame_blocks import Filed, FiledFrame, encode_block
from gateway.store.frame_files import FILE_BYTES, FrameFiles, frames_folder
from gateway.store.recorder import Recorder
from gateway.store.transactions import Commit, StoreWriter
from tests.bench.store import HELD_AT_MOST_MS
from tests.store.contents import asystole, monitored_bed

BEDS = 8
DAYS = 7
HOURS_DUE = 2
SESSIONS_BEFORE = 2 * 365 * BEDS  # a sensor is started once a day
BEATS_A_MINUTE = 80
BLOCK_S = 5  # a commit of frames
FRAMES_IN_BLOCK = 7  # of each bed, at 250 Hz
DAY_S = 86_400
BEGUN_S = 1_795_000_000
NOW_S = BEGUN_S + (DAYS - 1) * DAY_S + HOURS_DUE * 3600.0
ALARM_EACH_S = 0.1
CONFIG = StoreConfig(
    waveform_days=DAYS - 1,
    finding_days=DAYS - 1,
    report_days=DAYS - 1,
    delivered=Path("delivered.sqlite3"),
)

# What follows `:up_to` numbers from 0 on, for each bed's session.
_EACH = """
    WITH RECURSIVE step(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM step WHERE i < :up_to - 1),
    bed(session_id, bed_id) AS (SELECT id, id - :before FROM sessions WHERE id > :before)
"""
_MINUTES = DAYS * 1440
_FILLINGS = (
    (
        _MINUTES * BEATS_A_MINUTE,
        f"""INSERT INTO beats (session_id, r_sample, amplitude_uv, rr_ms, beat_class, p_abnormal,
                stay_id) {_EACH} SELECT session_id, i * 15000 / {BEATS_A_MINUTE}, 900.0, 750.0,
                'N', 0.03, bed_id FROM bed, step""",
    ),
    (
        _MINUTES,
        f"""INSERT INTO events (session_id, kind, onset, decided, end, stay_id) {_EACH}
                SELECT session_id, iif(i % 2, 'pause', 'couplet'), i * 15000, i * 15000,
                i * 15000 + 500, bed_id FROM bed, step""",
    ),
    (
        _MINUTES,
        f"""INSERT INTO summaries (session_id, minute_s, stay_id, beats, abnormal_beats, usable_s,
                gap_s) {_EACH} SELECT session_id, {BEGUN_S} + 60 * i, bed_id, 80, 2, 60.0, 0.0
                FROM bed, step""",
    ),
    (
        _MINUTES,
        f"""INSERT INTO outbox (lane, kind, created_s, message_id, payload) {_EACH}
                SELECT 'summary', 'summary', {BEGUN_S} + 60 * i, lower(hex(randomblob(16))),
                hex(zeroblob(300)) FROM step, bed""",
    ),
    (
        DAYS * 20,
        f"""INSERT INTO alarms (bed_id, stay_id, kind, priority, onset_s, raised_s, state) {_EACH}
                SELECT bed_id, bed_id, 'asystole', 'high', {BEGUN_S} + 4320 * i,
                {BEGUN_S} + 4320 * i, 'ended' FROM step, bed""",
    ),
    (
        DAYS * DAY_S // BLOCK_S,
        f"""INSERT INTO frame_runs (journal_id, last_journal_id, session_id, first_sequence,
                last_sequence, file, "offset", received_s, stay_id) {_EACH}
                SELECT {FRAMES_IN_BLOCK} * ({BEDS} * i + bed_id - 1) + 1,
                {FRAMES_IN_BLOCK} * ({BEDS} * i + bed_id), session_id, {FRAMES_IN_BLOCK} * i,
                {FRAMES_IN_BLOCK} * i + {FRAMES_IN_BLOCK - 1}, i / :in_file,
                (i % :in_file) * :block, {BEGUN_S} + {BLOCK_S} * i, bed_id FROM step, bed""",
    ),
)


def measure_retention() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.sqlite3"
        fill_week(path)
        megabytes = path.stat().st_size / 1e6
        print(f"retention, a week of {BEDS} beds in tables of {megabytes:.0f} MB")
        recorder = _TimedRecorder(path)
        recorder.start()
        recorder.report("what is due goes")
        recorder.report("nothing is due")
        recorder.close()
    print()


def fill_week(path: Path) -> None:
    """A store whose tables, frame files and delivered rows are those of the week."""
    open_store(path)
    _begin_sessions(path)
    block_bytes = len(_block(0))
    in_file = FILE_BYTES // block_bytes
    open_database(path.with_name("delivered.sqlite3")).dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
        for up_to, filling in _FILLINGS:
            numbers = {"up_to": up_to, "before": SESSIONS_BEFORE}
            store.execute(filling, {**numbers, "in_file": in_file, "block": block_bytes})
        store.execute("ATTACH ? AS cloud", (str(path.with_name("delivered.sqlite3")),))
        store.execute(
            "INSERT INTO cloud.settled (message_id, lane, outbox_id, outcome, settled_at_s)"
            f" SELECT message_id, lane, id, 'delivered', {NOW_S} FROM outbox"
        )
        store.execute("PRAGMA journal_mode = WAL")
    _fill_frame_files(FrameFiles(frames_folder(path)), in_file)


def _begin_sessions(path: Path) -> None:
    with closing(StoreWriter(writer_engine(path), lambda: NOW_S)) as writer:
        for number in range(SESSIONS_BEFORE):
            device, begun_s = DeviceId(1 + number % BEDS), BEGUN_S - DAY_S * (1 + number // BEDS)
            session = SessionId(device, 1 + number // BEDS, bytes(16))
            writer.take([SessionStarted(session, 250, 0, begun_s, begun_s)])
        for bed in range(BEDS):
            session = SessionId(DeviceId(1 + bed), SESSIONS_BEFORE, bytes(16))
            started = SessionStarted(session, 250, 0, BEGUN_S, BEGUN_S)
            writer.write(monitored_bed(f"Bed {bed + 1}", started, BEGUN_S))


def _fill_frame_files(files: FrameFiles, in_file: int) -> None:
    """Each begins with the block that the index names; the rest is room that the disk gives."""
    files.folder.mkdir(exist_ok=True)
    blocks = DAYS * DAY_S // BLOCK_S
    for number in range(-(-blocks // in_file)):
        with files.path(number).open("wb") as file:
            file.write(_block(number * in_file))
            os.posix_fallocate(file.fileno(), 0, FILE_BYTES)


def _block(number: int) -> bytes:
    """Of all beds, as `frame_runs` names it."""
    first = FRAMES_IN_BLOCK * BEDS * number + 1
    frames: list[Filed] = []
    for place in range(FRAMES_IN_BLOCK * BEDS):
        session_row = SESSIONS_BEFORE + 1 + place // FRAMES_IN_BLOCK
        sequence = FrameSequence(FRAMES_IN_BLOCK * number + place % FRAMES_IN_BLOCK)
        received_s = BEGUN_S + BLOCK_S * float(number)
        journal_id = JournalId(first + place)
        frames.append(
            FiledFrame(journal_id, session_row, sequence, bytes(FRAME_BYTES), received_s, False)
        )
    return encode_block(frames)


class _TimedRecorder(Recorder):
    """Notes how long each step of retention holds its thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, CONFIG, self._note_committed, lambda: NOW_S)
        self._held_ms: list[float] = []
        self._cpu_ms: list[float] = []
        self._through = threading.Event()
        self._committed = threading.Event()

    def report(self, what: str) -> None:
        """All steps that are due now, and how long the alarms waited that were raised meanwhile."""
        self._held_ms, self._cpu_ms = [], []
        waited_ms = self._run_through()
        above = sum(ms > HELD_AT_MOST_MS for ms in self._held_ms)
        print(
            f"    {what}: {len(self._held_ms)} steps hold the writer"
            f" {statistics.median(self._held_ms):.1f} ms, the longest {max(self._held_ms):.0f} ms,"
            f" {above} above {HELD_AT_MOST_MS:.0f} ms;"
            f" CPU {statistics.median(self._cpu_ms):.1f} ms, {max(self._cpu_ms):.0f} ms at most;"
            f" {len(waited_ms)} alarms waited {statistics.median(waited_ms):.0f} ms,"
            f" {max(waited_ms):.0f} ms at most"
        )

    def _run_through(self) -> list[float]:
        waited_ms = []
        self._through.clear()
        with self._changed:
            self._retention_due_s = 0.0
            self._changed.notify()
        for alarm in _alarms():
            begun_s = time.perf_counter()
            self._committed.clear()
            self.record(alarm)
            assert self._committed.wait(60)
            waited_ms.append(1000 * (time.perf_counter() - begun_s))
            if self._through.wait(ALARM_EACH_S):
                break
        return waited_ms

    def _retain(self) -> None:
        begun_s, cpu_s = time.perf_counter(), time.thread_time()
        super()._retain()
        self._cpu_ms.append(1000 * (time.thread_time() - cpu_s))
        self._held_ms.append(1000 * (time.perf_counter() - begun_s))
        if self._retention_due_s > time.monotonic():
            self._through.set()

    def _note_committed(self, commit: Commit) -> None:
        self._committed.set()


def _alarms() -> Iterator[AlarmChanged]:
    onset_s = time.time()
    while True:
        onset_s += 1.0
        yield AlarmChanged(BedId(1), asystole(onset_s))


if __name__ == "__main__":
    measure_retention()
