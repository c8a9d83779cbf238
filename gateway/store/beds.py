"""Bed commands on the tables, and which stay a sensor's signal belonged to at a given time."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.messages import BedState, DeviceId, device_name
from gateway.store.entries import (
    AddBed,
    Admit,
    AssignSensor,
    BedCommand,
    BedCommandRefused,
    BedId,
    BedRefusal,
    Discharge,
    ReleaseSensor,
    Resume,
    SetLimits,
    Standby,
    StayId,
)
from gateway.store.schema import assignments, beds, sensors, stays


def apply_bed_command(connection: Connection, command: BedCommand) -> None:
    """Do the command, or raise `BedCommandRefused` before anything is written."""
    match command:
        case AddBed():
            _add(connection, command)
        case Admit():
            _admit(connection, command)
        case Discharge():
            _discharge(connection, command)
        case Standby(bed):
            _change_state(connection, bed, BedState.MONITORING, BedState.STANDBY)
        case Resume(bed):
            _change_state(connection, bed, BedState.STANDBY, BedState.MONITORING)
        case AssignSensor():
            _assign(connection, command)
        case ReleaseSensor():
            _release(connection, command)
        case SetLimits():
            _set_limits(connection, command)


def note_sensor(connection: Connection, device_id: DeviceId, seen_s: float) -> None:
    """Make the sensor known, if it is not."""
    values = {"device_id": device_id, "first_seen_s": seen_s}
    connection.execute(upsert(sensors).on_conflict_do_nothing(), values)


def stay_of_bed(connection: Connection, bed: BedId, at_s: float) -> StayId | None:
    """The stay that the bed's patient was in at that time."""
    row = connection.execute(
        select(stays.c.id)
        .where(stays.c.bed_id == bed, stays.c.admitted_s <= at_s)
        .where(stays.c.discharged_s.is_(None) | (stays.c.discharged_s > at_s))
        .order_by(stays.c.id.desc())
    ).first()
    return None if row is None else StayId(row.id)


class SensorStays:
    """Whose signal a sensor carried when: the stays of the beds it was assigned to.

    Asked for each frame and beat, so it is kept in memory until `forget`.
    """

    def __init__(self) -> None:
        self._of_sensor: dict[DeviceId, list[Row[Any]]] = {}

    def forget(self) -> None:
        """Beds have changed."""
        self._of_sensor.clear()

    def at(self, connection: Connection, device_id: DeviceId, at_s: float) -> StayId | None:
        if device_id not in self._of_sensor:
            self._of_sensor[device_id] = list(connection.execute(_stays_of_sensor(device_id)))
        for row in self._of_sensor[device_id]:
            if row.begin_s <= at_s and (row.end_s is None or at_s < row.end_s):
                return StayId(row.stay_id)
        return None


def _stays_of_sensor(device_id: DeviceId) -> Select[Any]:
    """Stay, begin and end (None: goes on) of each, newest first."""
    begin_s = func.max(assignments.c.assigned_s, stays.c.admitted_s)
    end_s = func.coalesce(
        func.min(assignments.c.released_s, stays.c.discharged_s),  # NULL where either is NULL
        assignments.c.released_s,
        stays.c.discharged_s,
    )
    return (
        select(stays.c.id.label("stay_id"), begin_s.label("begin_s"), end_s.label("end_s"))
        .join(assignments, assignments.c.bed_id == stays.c.bed_id)
        .where(assignments.c.device_id == device_id)
        .where(end_s.is_(None) | (begin_s < end_s))
        .order_by(begin_s.desc())
    )


def _bed(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(beds).where(beds.c.name == name)).first()
    if row is None:
        raise BedCommandRefused(BedRefusal.UNKNOWN_BED, name)
    return row


def _require(condition: bool, reason: BedRefusal, subject: str) -> None:
    if not condition:
        raise BedCommandRefused(reason, subject)


def _set_state(connection: Connection, bed_id: int, state: BedState) -> None:
    connection.execute(update(beds).where(beds.c.id == bed_id).values(state=state.value))


def _change_state(connection: Connection, name: str, before: BedState, after: BedState) -> None:
    bed = _bed(connection, name)
    needed = {
        BedState.MONITORING: BedRefusal.NOT_MONITORING,
        BedState.STANDBY: BedRefusal.NOT_ON_STANDBY,
    }
    _require(bed.state == before, needed[before], name)
    _set_state(connection, bed.id, after)


def _add(connection: Connection, command: AddBed) -> None:
    taken = connection.execute(select(beds.c.id).where(beds.c.name == command.name)).first()
    _require(taken is None, BedRefusal.NAME_TAKEN, command.name)
    connection.execute(insert(beds).values(name=command.name, state=BedState.VACANT.value))


def _admit(connection: Connection, command: Admit) -> None:
    bed = _bed(connection, command.bed)
    _require(bed.state == BedState.VACANT, BedRefusal.NOT_VACANT, command.bed)
    connection.execute(insert(stays).values(bed_id=bed.id, admitted_s=command.at_s))
    _set_state(connection, bed.id, BedState.MONITORING)


def _discharge(connection: Connection, command: Discharge) -> None:
    bed = _bed(connection, command.bed)
    _require(bed.state != BedState.VACANT, BedRefusal.VACANT, command.bed)
    connection.execute(
        update(stays)
        .where(stays.c.bed_id == bed.id, stays.c.discharged_s.is_(None))
        .values(discharged_s=command.at_s)
    )
    _set_state(connection, bed.id, BedState.VACANT)


def _set_limits(connection: Connection, command: SetLimits) -> None:
    bed = _bed(connection, command.bed)
    _require(bed.state != BedState.VACANT, BedRefusal.VACANT, command.bed)
    limits = None if command.limits is None else json.dumps(dict(command.limits))
    connection.execute(
        update(stays)
        .where(stays.c.bed_id == bed.id, stays.c.discharged_s.is_(None))
        .values(limits=limits)
    )


def _open_assignment(connection: Connection, bed_id: int) -> Row[Any] | None:
    return connection.execute(_open(assignments).where(assignments.c.bed_id == bed_id)).first()


def _open(table: Table) -> Select[Any]:
    return select(table).where(table.c.released_s.is_(None))


def _end_assignment(connection: Connection, device_id: DeviceId, at_s: float) -> int:
    """End the sensor's assignment; the count is 0 where it had none."""
    return connection.execute(
        update(assignments)
        .where(assignments.c.device_id == device_id, assignments.c.released_s.is_(None))
        .values(released_s=at_s)
    ).rowcount


def _assign(connection: Connection, command: AssignSensor) -> None:
    bed = _bed(connection, command.bed)
    holder = _open_assignment(connection, bed.id)
    if holder is not None and holder.device_id == command.device_id:
        return
    _require(holder is None, BedRefusal.BED_HAS_SENSOR, command.bed)
    note_sensor(connection, command.device_id, command.at_s)
    _end_assignment(connection, command.device_id, command.at_s)
    connection.execute(
        insert(assignments).values(
            device_id=command.device_id, bed_id=bed.id, assigned_s=command.at_s
        )
    )


def _release(connection: Connection, command: ReleaseSensor) -> None:
    ended = _end_assignment(connection, command.device_id, command.at_s)
    _require(ended > 0, BedRefusal.NOT_ASSIGNED, device_name(command.device_id))
