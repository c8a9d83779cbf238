"""What age and size take away, in steps short enough that the writer never holds long.

Waveforms go a file at a time, the oldest first: the file, then step by step its rows of the index,
each leaving a tombstone that shows as a gap. The record of received ranges outlives the frames, so
a replay of one that is gone is still known. Open alarms and what the cloud has not taken stay.

However large the tables are, a step finds its rows by their keys: it reads the oldest ones, or
those of so many sessions, and never a whole table.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from gateway.config import StoreConfig
from gateway.messages import AlarmState, RhythmKind
from gateway.store import frame_files
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

ROWS_PER_STEP = 64  # of all kinds together: 4 ms of CPU on a PC, and an alarm may wait 50 on a Pi
SESSIONS_PER_STEP = 256  # 2 ms of CPU on a PC; of 8 sensors that are started daily a month
ALARMS_PER_LOOK = 256  # of the oldest: those that are still open stand before the others
SECONDS_PER_DAY = 86_400
BYTES_PER_GIGABYTE = 1_000_000_000
UNSENT_SUMMARY_DAYS = 90  # of 8 beds 0.5 GB, where no cloud ever takes them; `summaries` keeps all
LEAST_FREE_BYTES = 64 * 1024 * 1024  # waveforms make room for alarms before the disk refuses both

_KINDS = ", ".join(f"'{kind.value}'" for kind in RhythmKind)
_IS_OLD: Mapping[Table, str] = {
    beats: "r_sample < (:before_s - begun_s) * sample_rate_hz",
    # All kinds are named, for the table is ordered by them before it is by time.
    events: f"kind IN ({_KINDS}) AND onset < (:before_s - begun_s) * sample_rate_hz",
    summaries: "minute_s < :before_s",
}

# CROSS: from the sessions, each of which finds its rows by the key that it begins with.
_OLD_OF_SESSIONS = """
    SELECT {keys}
    FROM (SELECT id, coalesce(wall_offset_s, first_received_s) AS begun_s, sample_rate_hz
          FROM sessions WHERE id > :passed ORDER BY id LIMIT :sessions) AS session
    CROSS JOIN {table} ON session_id = session.id
    WHERE begun_s < :before_s AND {is_old} LIMIT :most
"""


class Retention:
    """Goes through all sessions, a stretch in each step; then a file of waveforms may be due."""

    def __init__(self, files: FrameFiles) -> None:
        self._files = files
        self._passed = 0  # the row of the last session that has nothing old any more

    def step(self, connection: Connection, config: StoreConfig, now_s: float) -> bool:
        """Remove the oldest rows, ROWS_PER_STEP at most, or else a file; True: more may be due."""
        if self._is_crowded() and remove_oldest_file(self._files):
            return True
        left = ROWS_PER_STEP
        for remove in self._kinds(connection, config, now_s):
            left -= remove(connection, left)
            if left == 0:
                return True
        before_s = _before_s(now_s, config.waveform_days)
        return self._pass_on(connection) or _remove_due_file(
            connection, self._files, config, before_s
        )

    def _kinds(
        self, connection: Connection, config: StoreConfig, now_s: float
    ) -> Sequence[Callable[[Connection, int], int]]:
        """Each removes so many rows at most, and gives how many it found."""
        findings_s = _before_s(now_s, config.finding_days)
        if _is_too_large(connection, config):
            findings_s = now_s
        reports_s = _before_s(now_s, config.report_days)
        of_sessions = partial(_old_of_sessions, passed=self._passed)
        return (
            partial(_bury_removed, files=self._files),
            partial(_old_frames_of_table, before_s=_before_s(now_s, config.waveform_days)),
            partial(_old_unsent_summaries, before_s=_before_s(now_s, UNSENT_SUMMARY_DAYS)),
            partial(_old_alarms, before_s=reports_s),
            partial(of_sessions, table=beats, before_s=findings_s),
            partial(of_sessions, table=events, before_s=findings_s),
            partial(of_sessions, table=summaries, before_s=reports_s),
        )

    def _is_crowded(self) -> bool:
        folder = self._files.folder
        return folder.exists() and shutil.disk_usage(folder).free < LEAST_FREE_BYTES

    def _pass_on(self, connection: Connection) -> bool:
        """To the next stretch of sessions; False: those were the last."""
        stretch = select(sessions.c.id).where(sessions.c.id > self._passed).order_by(sessions.c.id)
        last = select(func.max(stretch.limit(SESSIONS_PER_STEP).subquery().c.id))
        self._passed = connection.scalar(last) or 0
        return self._passed > 0


def _before_s(now_s: float, days: int) -> float:
    return now_s - days * SECONDS_PER_DAY


def remove_oldest_file(files: FrameFiles) -> bool:
    """Make room where the disk is full; False: there is no file but the one being written."""
    present = files.numbers()
    if len(present) < 2:
        return False
    files.remove(present[0])
    return True


def _remove_due_file(
    connection: Connection, files: FrameFiles, config: StoreConfig, before_s: float
) -> bool:
    present = files.numbers()
    if len(present) < 2:
        return False
    # To ask a thousand files for their sizes takes 10 ms on a PC; all but the newest are full.
    too_many = (
        len(present) * frame_files.FILE_BYTES > config.waveform_gigabytes * BYTES_PER_GIGABYTE
    )
    if too_many or _newest_s(connection, files, present[1]) < before_s:
        files.set_by(present[0])
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


def _bury_removed(connection: Connection, most: int, files: FrameFiles) -> int:
    """Rows of the index whose file is gone."""
    oldest = connection.execute(
        select(frame_runs).order_by(frame_runs.c.journal_id).limit(most)
    ).all()
    missing = {number for number in {run.file for run in oldest} if not files.path(number).exists()}
    gone = [run for run in oldest if run.file in missing]
    _bury(connection, ((run.session_id, run.first_sequence, run.last_sequence) for run in gone))
    return _delete(connection, frame_runs.c.journal_id, gone)


def _old_frames_of_table(connection: Connection, most: int, before_s: float) -> int:
    """Numbers grow with time, so the oldest rows tell whether anything is old."""
    columns = (frames.c.journal_id, frames.c.session_id, frames.c.sequence, frames.c.received_s)
    oldest = connection.execute(select(*columns).order_by(frames.c.journal_id).limit(most)).all()
    old = [row for row in oldest if row.received_s < before_s]
    _bury(connection, ((row.session_id, row.sequence, row.sequence) for row in old))
    return _delete(connection, frames.c.journal_id, old)


def _bury(connection: Connection, runs: Iterable[tuple[int, int, int]]) -> None:
    """Note (session, first, last) as removed, joined to what was removed before it."""
    joined: list[list[int]] = []
    for session_id, first, last in sorted(runs):
        if joined and joined[-1][0] == session_id and joined[-1][2] == first - 1:
            joined[-1][2] = last
        else:
            joined.append([session_id, first, last])
    for session_id, first, last in joined:
        before = _tombstone_before(session_id, first)
        grown = connection.execute(
            update(removed_frames)
            .where(removed_frames.c.session_id == session_id)
            .where(removed_frames.c.first_sequence == before)
            .where(removed_frames.c.last_sequence == first - 1)
            .values(last_sequence=last)
        )
        if not grown.rowcount:
            values = {"session_id": session_id, "first_sequence": first, "last_sequence": last}
            connection.execute(insert(removed_frames), values)


def _tombstone_before(session_id: int, first: int) -> Any:
    """The begin of the last one before this sequence, found by the key."""
    begin = removed_frames.alias().c
    return (
        select(func.max(begin.first_sequence))
        .where(begin.session_id == session_id, begin.first_sequence < first)
        .scalar_subquery()
    )


def _old_unsent_summaries(connection: Connection, most: int, before_s: float) -> int:
    oldest = connection.execute(
        select(outbox.c.id, outbox.c.created_s)
        .where(outbox.c.lane == Lane.SUMMARY.value)
        .order_by(outbox.c.id)
        .limit(most)
    ).all()
    old = [row for row in oldest if row.created_s < before_s]
    return _delete(connection, outbox.c.id, old)


def _old_alarms(connection: Connection, most: int, before_s: float) -> int:
    """Ended ones: their outbox rows are their own and stay until the cloud has them."""
    columns = (alarms.c.id, alarms.c.onset_s, alarms.c.state)
    oldest = connection.execute(select(*columns).order_by(alarms.c.id).limit(ALARMS_PER_LOOK)).all()
    ended = [row for row in oldest if row.state == AlarmState.ENDED.value]
    old = [row for row in ended if row.onset_s < before_s]
    return _delete(connection, alarms.c.id, old[:most])


def _old_of_sessions(
    connection: Connection, most: int, table: Table, before_s: float, passed: int
) -> int:
    """Findings of before this time, in the next stretch of sessions behind `passed`.

    Each row is removed by itself: for a list of keys of two columns SQLite 3.40 reads the table.
    """
    keys = [key.name for key in table.primary_key]
    words = _OLD_OF_SESSIONS.format(keys=", ".join(keys), table=table.name, is_old=_IS_OLD[table])
    bounds = {"passed": passed, "sessions": SESSIONS_PER_STEP, "before_s": before_s, "most": most}
    rows = connection.execute(text(words), bounds).mappings().all()
    if rows:
        this = (key == bindparam(key.name) for key in table.primary_key)
        connection.execute(delete(table).where(*this), [dict(row) for row in rows])
    return len(rows)


def _delete(connection: Connection, number: Column[int], rows: Sequence[Any]) -> int:
    connection.execute(delete(number.table).where(number.in_([row[0] for row in rows])))
    return len(rows)


def _is_too_large(connection: Connection, config: StoreConfig) -> bool:
    """Whether the tables hold more than they may; free pages count for nothing."""
    pages, free, page_bytes = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("page_count", "freelist_count", "page_size")
    )
    return bool((pages - free) * page_bytes > config.database_gigabytes * BYTES_PER_GIGABYTE)
