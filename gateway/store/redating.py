"""Rows that were dated while nobody had set the gateway's clock, dated anew once it is known.

Such a row keeps the ids of the messages that told of it (`told_unsynced`). When its session's clock
is known, the session notes by how much its rows are wrong (`redate_s`), and `redate` moves them a
few at a time. The cloud is told by messages of the kind `redate`, which name the messages that they
correct; a row's own message is never made anew, so nothing comes twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from gateway.messages import SessionId, device_name
from gateway.store.entries import AlarmRedated, SessionTimed
from gateway.store.outbox import JsonValue, Lane, send_to_cloud
from gateway.store.reports import alarm_id_of
from gateway.store.schema import alarms, assignments, beds, sessions, stays, summaries

ROWS_PER_STEP = 32  # an alarm may have to wait for one step, and shall not for 50 ms on a Pi
REDATE = "redate"
ALARM_TIMES = ("onset_s", "raised_s", "ended_s", "acknowledged_s", "escalated_s")


@dataclass(frozen=True, slots=True)
class _Shift:
    """By how much the rows of one session are wrong."""

    session_row: int
    session: SessionId
    shift_s: float

    @property
    def whole_s(self) -> int:
        """A minute begins on a second."""
        return round(self.shift_s)


def clock_known(connection: Connection, session_row: int, timed: SessionTimed) -> None:
    """Date the session right from now on.

    Who was admitted by a clock that ran ahead was admitted when the session began at the latest.
    """
    session = sessions.c.id == session_row
    right_s = sessions.c.wall_offset_s + timed.wrong_by_s
    connection.execute(
        update(sessions).where(session).values(redate_s=timed.wrong_by_s, wall_offset_s=right_s)
    )
    begun_s = select(sessions.c.wall_offset_s).where(session).scalar_subquery()
    sensor = assignments.c.device_id == timed.session.device_id
    bed = select(assignments.c.bed_id).where(sensor, assignments.c.released_s.is_(None))
    connection.execute(
        update(stays)
        .where(stays.c.bed_id.in_(bed), stays.c.discharged_s.is_(None))
        .where(stays.c.admitted_s > begun_s)
        .values(admitted_s=begun_s)
    )
    connection.execute(
        update(assignments)
        .where(sensor, assignments.c.released_s.is_(None), assignments.c.assigned_s > begun_s)
        .values(assigned_s=begun_s)
    )


def redate_open_alarm(connection: Connection, entry: AlarmRedated, now_s: float) -> None:
    """Move an alarm that is open at once: what is told of it next goes by its new onset."""
    found = connection.execute(
        _alarms().where(
            alarms.c.bed_id == entry.bed,
            alarms.c.kind == entry.kind.value,
            alarms.c.onset_s == entry.onset_s,
        )
    ).first()
    if found is None:
        return
    session = connection.execute(select(sessions).where(sessions.c.id == found.dated_by)).first()
    shift = _Shift(found.dated_by, _session_of(session), entry.shift_s) if session else None
    _move_alarms(connection, [found], entry.shift_s, shift, now_s)


def redate(connection: Connection, now_s: float) -> bool:
    """One step; True if more may be due."""
    row = connection.execute(select(sessions).where(sessions.c.redate_s.is_not(None))).first()
    if row is None:
        return False
    shift = _Shift(row.id, _session_of(row), row.redate_s)
    if not (
        _redate_summaries(connection, shift, now_s) or _redate_alarms(connection, shift, now_s)
    ):
        done = update(sessions).where(sessions.c.id == row.id)
        connection.execute(done.values(redate_s=None))
    return True


def _redate_summaries(connection: Connection, shift: _Shift, now_s: float) -> bool:
    """From the end to which they move, so that none takes another's place."""
    minute_s = summaries.c.minute_s
    rows = connection.execute(
        select(minute_s, summaries.c.told_unsynced)
        .where(summaries.c.session_id == shift.session_row, summaries.c.told_unsynced.is_not(None))
        .order_by(minute_s.desc() if shift.whole_s > 0 else minute_s)
        .limit(ROWS_PER_STEP)
    ).all()
    if rows:
        move = (
            update(summaries)
            .where(summaries.c.session_id == shift.session_row, minute_s == bindparam("from_s"))
            .values(minute_s=bindparam("to_s"), told_unsynced=None)
        )
        moves = [{"from_s": r.minute_s, "to_s": r.minute_s + shift.whole_s} for r in rows]
        connection.execute(move, moves)
    told = {message_id: None for row in rows for message_id in json.loads(row.told_unsynced)}
    _tell(connection, Lane.SUMMARY, shift, told, now_s)
    return bool(rows)


def _redate_alarms(connection: Connection, shift: _Shift, now_s: float) -> bool:
    rows = connection.execute(
        _alarms()
        .where(alarms.c.dated_by == shift.session_row, alarms.c.told_unsynced.is_not(None))
        .order_by(alarms.c.onset_s.desc() if shift.shift_s > 0 else alarms.c.onset_s)
        .limit(ROWS_PER_STEP)
    ).all()
    _move_alarms(connection, rows, shift.shift_s, shift, now_s)
    return bool(rows)


def _alarms() -> Select[Any]:
    return select(alarms, beds.c.name.label("bed")).join(beds, beds.c.id == alarms.c.bed_id)


def _move_alarms(
    connection: Connection,
    rows: Sequence[Row[Any]],
    shift_s: float,
    shift: _Shift | None,
    now_s: float,
) -> None:
    told: dict[str, JsonValue] = {}
    for row in rows:
        moved = {
            name: row._mapping[name] + shift_s
            for name in ALARM_TIMES
            if row._mapping[name] is not None
        }
        connection.execute(
            update(alarms).where(alarms.c.id == row.id).values(**moved, told_unsynced=None)
        )
        alarm_id = alarm_id_of(connection, row.bed, row.kind, moved["onset_s"])
        told |= dict.fromkeys(json.loads(row.told_unsynced or "[]"), alarm_id)
    if shift is not None:
        _tell(connection, Lane.ALARM, shift, told, now_s)


def _tell(
    connection: Connection, lane: Lane, shift: _Shift, told: Mapping[str, JsonValue], now_s: float
) -> None:
    """`told`: the messages that are wrong, each with the name that its alarm has from now on."""
    if not told or not shift.shift_s:
        return
    facts: dict[str, JsonValue] = {
        "device": device_name(shift.session.device_id),
        "boot_id": shift.session.boot_id,
        "salt": shift.session.salt.hex(),
        "shift_s": shift.shift_s,
        "of": told,
    }
    send_to_cloud(connection, lane, REDATE, now_s, facts)


def _session_of(row: Row[Any]) -> SessionId:
    return SessionId(row.device_id, row.boot_id, row.salt)
