"""What a damaged database still says goes into the new one, what is vital before the daemon runs.

Beds, sessions, alarms and what the cloud has not taken come first, within `VITAL_BUDGET_S`; long
tables follow step by step while the gateway monitors. Where a page is damaged, the rows behind it
are looked for by their keys. A note beside the database names the damaged file until all is done,
so that a restart goes on. The damaged file itself is never changed and never deleted.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Integer, Table

from gateway.radio.frame_codec import FrameRefused, read_header
from gateway.store.files import connect_read_only, sync_folder
from gateway.store.frame_blocks import FiledFrame
from gateway.store.frame_files import FrameFiles, frames_folder
from gateway.store.schema import (
    alarms,
    assignments,
    beats,
    beds,
    checkpoints,
    events,
    frames,
    gaps,
    installation,
    models,
    outbox,
    received_ranges,
    removed_frames,
    security_events,
    sensors,
    sessions,
    stays,
    summaries,
)

VITAL_BUDGET_S = 4.0  # with the check and the migration: monitoring starts within 10 s
PAGE_ROWS = 256
LONGEST_LEAP = 2**40  # beyond any key
_VITAL = (
    installation,
    beds,
    stays,
    sensors,
    assignments,
    sessions,
    alarms,
    outbox,
    models,
    received_ranges,
    checkpoints,
    security_events,
)
_LONG = (removed_frames, gaps, summaries, events, beats, frames)

Row = tuple[object, ...]


def salvage_note(database: Path) -> Path:
    return database.with_name(f"{database.stem}.salvage")


def begin_salvage(database: Path, damaged: Path) -> None:
    """Note, durably, that there is something to be salvaged."""
    note = salvage_note(database)
    note.write_text(damaged.name)
    with note.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(note.parent)


class Salvage:
    """One pass over a damaged database; done twice it changes nothing more."""

    def __init__(self, database: Path) -> None:
        """`database` is the new one, with its schema made."""
        self._note = salvage_note(database)
        damaged = database.with_name(self._note.read_text())
        self._source = connect_read_only(damaged)
        self._source.execute("PRAGMA writable_schema = ON")  # opens a file that was cut short, too
        self._target = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._target.execute("PRAGMA synchronous = NORMAL")  # a power cut begins it anew
        self._files = FrameFiles(frames_folder(database))
        self._steps = (step for table in _LONG for step in self._copy(table))

    def copy_vital(self) -> None:
        """As far as the time allows."""
        deadline_s = time.monotonic() + VITAL_BUDGET_S
        for table in _VITAL:
            for _ in self._copy(table):
                if time.monotonic() > deadline_s:
                    return
        self._find_sessions(deadline_s)

    def step(self) -> bool:
        """Copy a page of a long table; False when none is left."""
        return next(self._steps, None) is not None

    def finish(self) -> None:
        self.close()
        self._note.unlink()

    def close(self) -> None:
        self._source.close()
        self._target.close()

    def _copy(self, table: Table) -> Iterator[int]:
        """Gives the number of rows of each page; a row that breaks a rule of the schema is lost."""
        columns = [column.name for column in table.columns]
        known = {row[1] for row in self._about(table)}
        names = [name for name in columns if name in known]
        if not known:
            return
        marks = ", ".join("?" * len(names))
        conflict = "REPLACE" if table is installation else "IGNORE"
        order = ", ".join(_quoted(names))
        words = f"INSERT OR {conflict} INTO {table.name} ({order}) VALUES ({marks})"
        for session_row in self._parts_of(table):
            for page in _readable_pages(self._source, table, names, session_row):
                self._insert(words, page)
                yield len(page)

    def _parts_of(self, table: Table) -> Sequence[int | None]:
        """The sessions, where the table is ordered by them; else the table is one part."""
        keys = list(table.primary_key)
        if len(keys) == 1:
            return (None,)
        return [row for (row,) in self._target.execute("SELECT id FROM sessions ORDER BY id")]

    def _about(self, table: Table) -> list[Row]:
        try:
            return self._source.execute(f"PRAGMA table_info({table.name})").fetchall()
        except sqlite3.DatabaseError:
            return []

    def _insert(self, words: str, rows: Sequence[Row]) -> None:
        self._target.execute("BEGIN IMMEDIATE")
        for row in rows:
            try:
                self._target.execute(words, row)
            except sqlite3.IntegrityError:  # a value of another type, or a name that is missing
                continue
        self._target.execute("COMMIT")

    def _find_sessions(self, deadline_s: float) -> None:
        """Sessions that only the frame files still know, newest first."""
        for number in reversed(self._files.numbers()):
            if time.monotonic() > deadline_s:
                return
            for _, entries, _ in self._files.blocks(number):
                for entry in entries:
                    if isinstance(entry, FiledFrame):
                        self._note_session(entry)
                break

    def _note_session(self, frame: FiledFrame) -> None:
        try:
            header = read_header(frame.sealed)
        except FrameRefused:
            return
        session, seen_s = header.session, frame.received_s
        self._target.execute(
            "INSERT OR IGNORE INTO sensors (device_id, first_seen_s) VALUES (?, ?)",
            (session.device_id, seen_s),
        )
        self._target.execute(
            "INSERT OR IGNORE INTO sessions (id, device_id, boot_id, salt, sample_rate_hz,"
            " key_generation, first_received_s, finished) VALUES (?, ?, ?, ?, ?, 0, ?, 1)",
            (
                frame.session_row,
                session.device_id,
                session.boot_id,
                session.salt,
                header.sample_rate_hz,
                seen_s,
            ),
        )


def _readable_pages(
    source: sqlite3.Connection, table: Table, names: Sequence[str], session_row: int | None
) -> Iterator[list[Row]]:
    """All rows that can be read, by key. Where one can't, the next that can is looked for."""
    keys = [key for key in table.primary_key if session_row is None or key.name != "session_id"]
    order, marks = ", ".join(_quoted([key.name for key in keys])), ", ".join("?" * len(keys))
    only = "" if session_row is None else f"session_id = {session_row} AND "
    words = (
        f"SELECT {', '.join(_quoted(names))} FROM {table.name}"
        f" WHERE {only}({order}) > ({marks}) ORDER BY {order} LIMIT ?"
    )

    def page(after: Sequence[object], limit: int) -> list[Row] | None:
        try:
            return source.execute(words, (*after, limit)).fetchall()
        except sqlite3.DatabaseError:
            return None

    def can_read(head: list[Any], key: int) -> bool:
        return page([*head, key], 1) is not None

    after: list[Any] = [-1 if isinstance(key.type, Integer) else "" for key in keys]
    places = [names.index(key.name) for key in keys]
    while True:
        rows = page(after, PAGE_ROWS) or page(after, 1)
        if rows is None:
            last = _next_readable(after[-1], partial(can_read, after[:-1]))
            if last is None:
                return
            after = [*after[:-1], last]
        elif not rows:
            return
        else:
            yield rows
            after = [rows[-1][place] for place in places]


def _next_readable(unreadable: Any, is_readable: Callable[[int], bool]) -> int | None:
    """The lowest key behind this one from which rows can be read; None: it is not a number, or none
    can. Found by leaps that double, then by halving the last one."""
    if not isinstance(unreadable, int):
        return None
    leap = 1
    while not is_readable(unreadable + leap):
        leap *= 2
        if leap > LONGEST_LEAP:
            return None
    low, high = unreadable + leap // 2, unreadable + leap
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_readable(middle) else (middle, high)
    return high


def _quoted(names: Sequence[str]) -> list[str]:
    return [f'"{name}"' for name in names]
