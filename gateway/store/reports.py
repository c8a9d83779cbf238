"""Alarms, summaries and security events as rows, each with its outbox row beside it."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.messages import SessionId, device_name
from gateway.store.beds import stay_of_bed
from gateway.store.entries import (
    AlarmChanged,
    MinuteSummary,
    OutboxDelivered,
    SecurityEvent,
    StayId,
)
from gateway.store.outbox import JsonValue, Lane, outbox_values
from gateway.store.schema import (
    alarms,
    beds,
    installation,
    outbox,
    security_events,
    stays,
    summaries,
)

MAX_SECURITY_EVENTS = 10_000  # whoever floods the radio must not fill the disk

_INSERT_OUTBOX = upsert(outbox).on_conflict_do_nothing()
_REPLACE_SUMMARY = insert(summaries).prefix_with("OR REPLACE")
_upsert_alarm = upsert(alarms)
_UPSERT_ALARM = _upsert_alarm.on_conflict_do_update(
    index_elements=["bed_id", "kind", "onset_s"],
    set_={
        column: _upsert_alarm.excluded[column]
        for column in ("priority", "state", "ended_s", "acknowledged_s", "escalated_s")
    },
)


def report_alarm(
    connection: Connection, entry: AlarmChanged, session_row_id: int | None, now_s: float
) -> None:
    """Write the alarm as it now stands and tell the cloud, unless it stands so already."""
    alarm = asdict(entry.alarm)
    stay_id = stay_of_bed(connection, entry.bed, entry.alarm.onset_s)
    keys = {"bed_id": entry.bed, "stay_id": stay_id, "session_id": session_row_id}
    connection.execute(_UPSERT_ALARM, {**keys, **alarm})
    bed = connection.scalar(select(beds.c.name).where(beds.c.id == entry.bed))
    alarm["alarm"] = alarm.pop("kind")  # the envelope says `kind` of the message itself
    facts = {"bed": bed, "stay_admitted_s": _admitted_s(connection, stay_id), **alarm}
    _send(connection, Lane.ALARM, "alarm", now_s, facts, entry.session)


def report_summary(
    connection: Connection,
    entry: MinuteSummary,
    session_row_id: int,
    stay_id: StayId | None,
    now_s: float,
) -> None:
    """Write the minute; the cloud is told only of a patient's minute, not of an idle sensor's."""
    minute = asdict(entry)
    del minute["session"]
    keys = {"session_id": session_row_id, "stay_id": stay_id}
    connection.execute(_REPLACE_SUMMARY, {**keys, **minute})
    if stay_id is None:
        return
    stay = connection.execute(
        select(beds.c.name, stays.c.admitted_s)
        .join(stays, stays.c.bed_id == beds.c.id)
        .where(stays.c.id == stay_id)
    ).one()
    facts = {"bed": stay.name, "stay_admitted_s": stay.admitted_s, **minute}
    _send(connection, Lane.SUMMARY, "summary", now_s, facts, entry.session)


def note_security_event(connection: Connection, entry: SecurityEvent) -> None:
    """Write the event; the newest `MAX_SECURITY_EVENTS` are kept."""
    connection.execute(insert(security_events), asdict(entry))
    newest = connection.scalar(select(func.max(security_events.c.id))) or 0
    connection.execute(
        delete(security_events).where(security_events.c.id <= newest - MAX_SECURITY_EVENTS)
    )


def remove_delivered(connection: Connection, entry: OutboxDelivered) -> None:
    connection.execute(delete(outbox).where(outbox.c.message_id.in_(entry.message_ids)))


def _admitted_s(connection: Connection, stay_id: StayId | None) -> float | None:
    return connection.scalar(select(stays.c.admitted_s).where(stays.c.id == stay_id))


def _send(
    connection: Connection,
    lane: Lane,
    kind: str,
    now_s: float,
    facts: dict[str, JsonValue],
    session: SessionId | None,
) -> None:
    store_uuid = connection.scalars(select(installation.c.uuid)).one()
    source = {
        "device": None if session is None else device_name(session.device_id),
        "boot_id": None if session is None else session.boot_id,
        "salt": None if session is None else session.salt.hex(),
    }
    values = outbox_values(lane, kind, store_uuid, now_s, {**source, **facts})
    connection.execute(_INSERT_OUTBOX, values)
