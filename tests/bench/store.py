"""The store beside what one would write first, and how long its chores hold the writer."""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert

from gateway.config import StoreConfig
from gateway.messages import DeviceId, SessionId
from gateway.radio.frame_codec import FRAME_BYTES
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import AlarmChanged, BedId, SessionStarted, SessionTimed
from gateway.store.schema import alarms, summaries
from gateway.store.transactions import StoreWriter
from tests.bench.store_writes import FRAME_S, RATE_HZ, Bed, bytes_to_disk
from tests.store.contents import monitored_bed

MINUTES = 20  # of one bed
BATCH_S = 5.0
ROW_S = 1.0  # a program that stores as it receives
HELD_AT_MOST_MS = 50.0  # that an alarm may wait for a chore
NOW_S = 1_795_000_000.0
UNSYNCED_ROWS = 5000  # of each kind

_PLAIN = """
    CREATE TABLE frames (id INTEGER PRIMARY KEY, sensor INTEGER, sequence INTEGER, received_s REAL,
                         sealed BLOB, UNIQUE (sensor, sequence));
    CREATE TABLE beats (id INTEGER PRIMARY KEY, sensor INTEGER, r_sample INTEGER, rr_ms REAL,
                        beat_class TEXT, p_abnormal REAL);
    CREATE INDEX beats_by_time ON beats (sensor, r_sample);
"""


def measure_store() -> None:
    print(f"store, {MINUTES} minutes of one bed at {RATE_HZ} Hz, bytes given to the disk:")
    for name, write in (("this gateway, 5 s batches", _ours), ("plain rows in WAL, 1 s", _plain)):
        with tempfile.TemporaryDirectory() as folder:
            before = bytes_to_disk()
            sealed, took_ms = write(Path(folder) / "store.sqlite3")
            given = (bytes_to_disk() - before) / sealed
        print(f"            {name:<26} {given:5.1f} x the frames; {_commits(took_ms)}")
    print()
    with tempfile.TemporaryDirectory() as folder:
        step = _unsynced_store(Path(folder) / "store.sqlite3")
        cpu_s = time.process_time()
        took_ms = list(_timed(step))
        cpu_ms = 1000 * (time.process_time() - cpu_s) / len(took_ms)
    above = sum(ms > HELD_AT_MOST_MS for ms in took_ms)
    print(
        f"dating anew {len(took_ms)} steps hold the writer {statistics.median(took_ms):.1f} ms,"
        f" CPU {cpu_ms:.1f} ms; the longest {max(took_ms):.0f} ms,"
        f" {above} above {HELD_AT_MOST_MS:.0f} ms\n"
    )


def _commits(took_ms: list[float]) -> str:
    return f"{len(took_ms)} commits of {statistics.median(took_ms):.1f} ms"


def _ours(path: Path) -> tuple[int, list[float]]:
    """Bytes of the sealed frames, and how long each commit took."""
    open_store(path)
    config = StoreConfig()
    with closing(StoreWriter(writer_engine(path), time.time)) as writer:
        bed, took_ms, index_due_s = Bed(writer, 1, config), [], config.index_interval_s
        for batch in range(round(60 * MINUTES / BATCH_S)):
            now_s = BATCH_S * (batch + 1)
            entries = bed.until(now_s)
            begun_s = time.perf_counter()
            writer.take(entries)
            if now_s >= index_due_s or any(isinstance(one, AlarmChanged) for one in entries):
                writer.index()
                index_due_s = now_s + config.index_interval_s
            took_ms.append(1000 * (time.perf_counter() - begun_s))
        writer.index()
        return bed.sequence * FRAME_BYTES, took_ms


def _plain(path: Path) -> tuple[int, list[float]]:
    """Frames and beats as rows, durable as they come; no checkpoints, no outbox, no minutes."""
    took_ms, sequence = [], 0
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_PLAIN}")
        for second in range(60 * MINUTES):
            begun_s = time.perf_counter()
            store.execute("BEGIN")
            while (sequence + 1) * FRAME_S <= ROW_S * (second + 1):
                frame = (1, sequence, float(second), random.randbytes(FRAME_BYTES))
                store.execute("INSERT INTO frames VALUES (NULL, ?, ?, ?, ?)", frame)
                beat = (1, 187 * sequence, 748.0, "N", 0.03)
                store.execute("INSERT INTO beats VALUES (NULL, ?, ?, ?, ?, ?)", beat)
                sequence += 1
            store.execute("COMMIT")
            took_ms.append(1000 * (time.perf_counter() - begun_s))
    return sequence * FRAME_BYTES, took_ms


def _unsynced_store(path: Path) -> Callable[[], bool]:
    """A week and more by a clock that is found wrong."""
    engine = _filled(path)
    writer = StoreWriter(engine, lambda: NOW_S)
    session = SessionId(DeviceId(1), 1, bytes(16))
    writer.write([SessionTimed(session, 0.0, 0.0, clock_unsynced=True)])
    writer.write([SessionTimed(session, 9e5, 0.0, clock_unsynced=False, wrong_by_s=9e5)])
    return writer.redate


def _timed(step: Callable[[], bool]) -> Iterator[float]:
    more = True
    while more:
        begun_s = time.perf_counter()
        more = step()
        yield 1000 * (time.perf_counter() - begun_s)


def _filled(path: Path) -> Engine:
    open_store(path)
    engine = writer_engine(path)
    session = SessionId(DeviceId(1), 1, bytes(16))
    writer = StoreWriter(engine, lambda: 0.0)
    writer.write(monitored_bed("Bed 1", SessionStarted(session, RATE_HZ, 0, 0.0, 0.0)))
    unsynced = {"stay_id": 1, "told_unsynced": '["00112233445566778899aabbccddeeff"]'}
    minute = {"beats": 80, "abnormal_beats": 0, "usable_s": 60.0, "gap_s": 0.0}
    over = {"kind": "asystole", "priority": "high", "raised_s": 1.0, "state": "ended"}
    with engine.begin() as connection:
        _fill(connection, summaries, "minute_s", {"session_id": 1, **minute, **unsynced})
        _fill(
            connection, alarms, "onset_s", {"bed_id": BedId(1), "dated_by": 1, **over, **unsynced}
        )
    return engine


def _fill(connection: Connection, table: Table, time_s: str, row: dict[str, Any]) -> None:
    """A row of each minute."""
    rows = [{**row, time_s: 60 * minute} for minute in range(UNSYNCED_ROWS)]
    connection.execute(insert(table), rows)


if __name__ == "__main__":
    measure_store()
