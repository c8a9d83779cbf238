"""What age and size take away, in steps short enough that the writer never holds long.

Waveforms go a file at a time, the oldest first: the file, then step by step its rows of the index,
each leaving a tombstone that shows as a gap. The record of received ranges outlives the frames, so
a replay of one that is gone is still known. Open alarms and what the cloud has not taken stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from gateway.config import StoreConfig
from gateway.messages import AlarmState
from gateway.store.frame_files import FrameFiles
from gateway.store.outbox import Lane
from gateway.store.schema import (
    alarms,
    beats,
    events,
    frame_runs,
    frames,
    outbox,
    removed_frames,
    sessions,
    summaries,
)

ROWS_PER_STEP = 64  # 4 ms of CPU on a PC: far below the 50 ms that an alarm may wait on a Pi
SECONDS_PER_DAY = 86_400
BYTES_PER_GIGABYTE = 1_000_000_000
UNSENT_SUMMARY_DAYS = 90  # of 8 beds 0.5 GB, where no cloud ever takes them; `summaries` keeps all
LEAST_FREE_BYTES = 64 * 1024 * 1024  # waveforms make room for alarms before the disk refuses both


def remove_old(
    connection: Connection, files: FrameFiles, config: StoreConfig, now_s: float
) -> bool:
    """One step of each kind, oldest first; True if more may be due."""

    def before_s(days: int) -> float:
        return now_s - days * SECONDS_PER_DAY

    findings_s = now_s if _is_too_large(connection, config) else before_s(config.finding_days)
    steps = (
        _bury_removed(connection, files),
        _old_frames_of_table(connection, before_s(config.waveform_days)),
        _old_unsent_summaries(connection, before_s(UNSENT_SUMMARY_DAYS)),
        _old_rows(connection, beats, beats.c.r_sample, findings_s),
        _old_rows(connection, events, events.c.onset, findings_s),
        _old_summaries(connection, before_s(config.report_days)),
        _old_alarms(connection, before_s(config.report_days)),
        _remove_due_file(connection, files, config, before_s(config.waveform_days)),
    )
    return any(steps)


def remove_oldest_file(files: FrameFiles) -> bool:
    """Make room where the disk is full; False: there is no file but the one being written."""
    present = files.files()
    if len(present) < 2:
        return False
    files.remove(present[0].number)
    return True


def _remove_due_file(
    connection: Connection, files: FrameFiles, config: StoreConfig, before_s: float
) -> bool:
    present = files.files()
    if len(present) < 2:
        return False
    too_many = sum(each.bytes_on_disk for each in present) > (
        config.waveform_gigabytes * BYTES_PER_GIGABYTE
    )
    crowded = shutil.disk_usage(files.folder).free < LEAST_FREE_BYTES
    if crowded:
        return remove_oldest_file(files)
    if too_many or _newest_s(connection, files, present[1].number) < before_s:
        files.set_by(present[0].number)
        return True
    return False


def _newest_s(connection: Connection, files: FrameFiles, next_file: int) -> float:
    """When the last frame before this file came; for ever ago, if the index knows none."""
    first_block = next(files.blocks(next_file), None)
    if first_block is None:
        return float("inf")
    newest = (
        select(frame_runs.c.received_s)
        .where(frame_runs.c.journal_id < first_block[1][0].journal_id)
        .order_by(frame_runs.c.journal_id.desc())
    )
    found = connection.scalar(newest.limit(1))
    return float("-inf") if found is None else found


def _bury_removed(connection: Connection, files: FrameFiles) -> bool:
    """Rows of the index whose file is gone."""
    oldest = connection.execute(
        select(frame_runs).order_by(frame_runs.c.journal_id).limit(ROWS_PER_STEP)
    ).all()
    gone = [run for run in oldest if not files.path(run.file).exists()]
    _bury(connection, ((run.session_id, run.first_sequence, run.last_sequence) for run in gone))
    _delete(connection, frame_runs.c.journal_id, gone)
    return len(gone) == ROWS_PER_STEP


def _old_frames_of_table(connection: Connection, before_s: float) -> bool:
    """Numbers grow with time, so the oldest rows tell whether anything is old."""
    columns = (frames.c.journal_id, frames.c.session_id, frames.c.sequence, frames.c.received_s)
    oldest = connection.execute(
        select(*columns).order_by(frames.c.journal_id).limit(ROWS_PER_STEP)
    ).all()
    old = [row for row in oldest if row.received_s < before_s]
    _bury(connection, ((row.session_id, row.sequence, row.sequence) for row in old))
    _delete(connection, frames.c.journal_id, old)
    return len(old) == ROWS_PER_STEP


def _bury(connection: Connection, runs: Iterable[tuple[int, int, int]]) -> None:
    """Note (session, first, last) as removed, joined to what was removed before it."""
    joined: list[list[int]] = []
    for session_id, first, last in sorted(runs):
        if joined and joined[-1][0] == session_id and joined[-1][2] == first - 1:
            joined[-1][2] = last
        else:
            joined.append([session_id, first, last])
    for session_id, first, last in joined:
        grown = connection.execute(
            update(removed_frames)
            .where(removed_frames.c.session_id == session_id)
            .where(removed_frames.c.last_sequence == first - 1)
            .values(last_sequence=last)
        )
        if not grown.rowcount:
            values = {"session_id": session_id, "first_sequence": first, "last_sequence": last}
            connection.execute(insert(removed_frames), values)


def _old_unsent_summaries(connection: Connection, before_s: float) -> bool:
    oldest = connection.execute(
        select(outbox.c.id, outbox.c.created_s)
        .where(outbox.c.lane == Lane.SUMMARY.value)
        .order_by(outbox.c.id)
        .limit(ROWS_PER_STEP)
    ).all()
    old = [row for row in oldest if row.created_s < before_s]
    _delete(connection, outbox.c.id, old)
    return len(old) == ROWS_PER_STEP


def _old_rows(connection: Connection, table: Table, sample: Column[int], before_s: float) -> bool:
    """Findings of before this time, by the sample axis of their session."""
    begun_s = func.coalesce(sessions.c.wall_offset_s, sessions.c.first_received_s)
    keys = tuple(table.primary_key)
    old = (
        select(*keys)
        .join_from(sessions, table, table.c.session_id == sessions.c.id)
        .where(begun_s < before_s, sample < (before_s - begun_s) * sessions.c.sample_rate_hz)
    )
    return _step(connection, table, keys, old)


def _old_summaries(connection: Connection, before_s: float) -> bool:
    keys = tuple(summaries.primary_key)
    old = (
        select(*keys)
        .join_from(sessions, summaries, summaries.c.session_id == sessions.c.id)
        .where(sessions.c.first_received_s < before_s, summaries.c.minute_s < before_s)
    )
    return _step(connection, summaries, keys, old)


def _old_alarms(connection: Connection, before_s: float) -> bool:
    """Ended ones: their outbox rows are their own and stay until the cloud has them."""
    columns = (alarms.c.id, alarms.c.onset_s, alarms.c.state)
    oldest = connection.execute(select(*columns).order_by(alarms.c.id).limit(ROWS_PER_STEP)).all()
    ended = [row for row in oldest if row.state == AlarmState.ENDED.value]
    old = [row for row in ended if row.onset_s < before_s]
    _delete(connection, alarms.c.id, old)
    return len(old) == ROWS_PER_STEP


def _step(
    connection: Connection, table: Table, keys: tuple[ColumnElement[Any], ...], old: Any
) -> bool:
    rows = connection.execute(old.limit(ROWS_PER_STEP)).all()
    if rows:
        connection.execute(delete(table).where(tuple_(*keys).in_([tuple(row) for row in rows])))
    return len(rows) == ROWS_PER_STEP


def _delete(connection: Connection, number: Column[int], rows: Iterable[Sequence[Any]]) -> None:
    connection.execute(delete(number.table).where(number.in_([row[0] for row in rows])))


def _is_too_large(connection: Connection, config: StoreConfig) -> bool:
    """Whether the tables hold more than they may; free pages count for nothing."""
    pages, free, page_bytes = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("page_count", "freelist_count", "page_size")
    )
    return bool((pages - free) * page_bytes > config.database_gigabytes * BYTES_PER_GIGABYTE)
