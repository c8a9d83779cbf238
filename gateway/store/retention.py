"""What age takes away, in steps short enough that the writer never holds long.

The record of received ranges outlives the frames, so a replay of one that is gone is still known.
"""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, select, true

from gateway.store.outbox import Lane
from gateway.store.schema import frames, outbox

ROWS_PER_STEP = 64  # 4 ms of CPU on a PC: far below the 50 ms that an alarm may wait on a Pi
SECONDS_PER_DAY = 86_400
UNSENT_SUMMARY_DAYS = 90  # of 8 beds 0.5 GB, where no cloud ever takes them; `summaries` keeps all


def remove_old(connection: Connection, now_s: float, waveform_days: int) -> bool:
    """One step of each kind, oldest first; True if more may be due. Alarms are never removed."""
    waveforms_s = now_s - waveform_days * SECONDS_PER_DAY
    summaries_s = now_s - UNSENT_SUMMARY_DAYS * SECONDS_PER_DAY
    of_summaries = outbox.c.lane == Lane.SUMMARY.value
    more_frames = _step(connection, frames, frames.c.journal_id, frames.c.received_s, waveforms_s)
    more_summaries = _step(
        connection, outbox, outbox.c.id, outbox.c.created_s, summaries_s, of_summaries
    )
    return more_frames or more_summaries


def _step(
    connection: Connection,
    table: Table,
    number: Column[int],
    time_s: Column[float],
    before_s: float,
    only: ColumnElement[bool] | None = None,
) -> bool:
    """Numbers grow with time, so the oldest rows tell whether anything is old."""
    first = select(number, time_s).where(true() if only is None else only).order_by(number)
    rows = connection.execute(first.limit(ROWS_PER_STEP)).all()
    old = [row[0] for row in rows if row[1] < before_s]
    if old:
        connection.execute(delete(table).where(number.in_(old)))
    return len(old) == ROWS_PER_STEP
