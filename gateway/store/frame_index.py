"""Where each stored frame is: rows of the index, resolved to frames from the files.

A block that is damaged or was removed meanwhile gives no frames; its samples are a gap to whoever
asks. Frames of before there were files lie in the table `frames` and are found there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from gateway.messages import FrameSequence
from gateway.store.entries import JournalId
from gateway.store.frame_blocks import MAX_ENTRIES, BlockDamaged, Filed, FiledFrame
from gateway.store.frame_files import FrameFiles, Place
from gateway.store.schema import frame_runs, frames


def last_place(connection: Connection) -> Place | None:
    """The newest block that the index knows."""
    newest = select(frame_runs.c.file, frame_runs.c.offset).order_by(frame_runs.c.journal_id.desc())
    row = connection.execute(newest.limit(1)).first()
    return None if row is None else Place(row.file, row.offset)


def newest_number(connection: Connection) -> int:
    """The highest journal number of an indexed frame, 0 without one."""
    newest = connection.scalar(select(func.max(frame_runs.c.journal_id))) or 0
    last = select(func.max(frame_runs.c.last_journal_id))
    return connection.scalar(last.where(frame_runs.c.journal_id > newest - MAX_ENTRIES)) or 0


def frames_between(
    connection: Connection, files: FrameFiles, session_row: int, first: int, last: int
) -> list[FiledFrame]:
    """The session's stored frames of these sequences, both included, in order of sequence."""
    of_table = select(frames).where(
        frames.c.session_id == session_row, frames.c.sequence.between(first, last)
    )
    runs = select(frame_runs).where(
        frame_runs.c.session_id == session_row,
        frame_runs.c.first_sequence <= last,
        frame_runs.c.last_sequence >= first,
    )
    found = [frame_of_table(row) for row in connection.execute(of_table)]
    for frame in frames_of_runs(files, connection.execute(runs).all()):
        if first <= frame.sequence <= last:
            found.append(frame)
    return sorted(found, key=lambda frame: frame.sequence)


def frames_of_runs(files: FrameFiles, runs: Iterable[Row[Any]]) -> Iterator[FiledFrame]:
    """The frames of these rows of the index, in order of arrival within each row."""
    place: Place | None = None
    entries: list[Filed] = []
    for run in runs:
        if place != Place(run.file, run.offset):
            place = Place(run.file, run.offset)
            entries = _entries_at(files, place)
        for entry in entries:
            if isinstance(entry, FiledFrame) and _belongs(entry, run):
                yield entry


def runs_after(session_row: int, after: JournalId, limit: int) -> Select[Any]:
    """`+ 0` keeps SQLite off the session's index, which would sort the whole session first.

    A run may lie across the number; it begins in the same block.
    """
    return (
        select(frame_runs)
        .where(frame_runs.c.session_id + 0 == session_row)
        .where(frame_runs.c.journal_id > after - MAX_ENTRIES)
        .where(frame_runs.c.last_journal_id > after)
        .order_by(frame_runs.c.journal_id)
        .limit(limit)
    )


def frame_of_table(row: Row[Any]) -> FiledFrame:
    return FiledFrame(
        JournalId(row.journal_id),
        row.session_id,
        FrameSequence(row.sequence),
        row.sealed,
        row.received_s,
        bool(row.late),
    )


def _entries_at(files: FrameFiles, place: Place) -> list[Filed]:
    try:
        return files.read(place)
    except (BlockDamaged, FileNotFoundError):
        return []


def _belongs(frame: FiledFrame, run: Row[Any]) -> bool:
    numbered = run.journal_id <= frame.journal_id <= run.last_journal_id
    return bool(numbered and frame.session_row == run.session_id)
