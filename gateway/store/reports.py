"""Alarms, summaries and security events as rows, each with its outbox row beside it."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Alarm,
    AlarmPriority,
    AlarmState,
    SessionId,
    device_name,
)
from gateway.store.beds import stay_of_bed
from gateway.store.entries import (
    AlarmChanged,
    MinuteSummary,
    SecurityEvent,
    StayId,
)
from gateway.store.outbox import JsonValue, Lane, outbox_hash, send_to_cloud, store_uuid
from gateway.store.schema import (
    alarms,
    beats,
    beds,
    models,
    security_events,
    sessions,
    stays,
    summaries,
)

MAX_SECURITY_EVENTS = 10_000  # whoever floods the radio must not fill the disk

STRIP_S = 10.0  # a rhythm strip: what a person wants to see of an alarm
_ONLY_TOLD = ("beats_by_class", "quality", "lead_off_s", "first_sequence", "last_sequence")

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
    connection: Connection,
    entry: AlarmChanged,
    session_row_id: int | None,
    unsynced_row_id: int | None,
    now_s: float,
) -> None:
    """Write the alarm as it now stands and tell the cloud, unless it stands so already.

    `unsynced_row_id` is the session by whose clock it is dated, while nobody has set that.
    """
    alarm = asdict(entry.alarm)
    stay_id = stay_of_bed(connection, entry.bed, entry.alarm.onset_s)
    keys = {"bed_id": entry.bed, "stay_id": stay_id, "session_id": session_row_id}
    connection.execute(_UPSERT_ALARM, {**keys, **alarm})
    bed = connection.scalar(select(beds.c.name).where(beds.c.id == entry.bed))
    alarm["alarm"] = alarm.pop("kind")  # the envelope says `kind` of the message itself
    facts = {"bed": bed, "stay_admitted_s": _admitted_s(connection, stay_id), **alarm}
    beside: dict[str, JsonValue] = {
        "alarm_id": alarm_id_of(connection, str(bed), entry.alarm.kind.value, entry.alarm.onset_s),
        "notify": _calls_a_person(entry.alarm),
        "model": _model_of(connection, session_row_id),
        "strip": _strip(connection, session_row_id, entry.alarm),
    }
    message_id = _send(connection, Lane.ALARM, "alarm", now_s, facts, entry.session, beside)
    if unsynced_row_id is not None:
        _note_unsynced(connection, entry, unsynced_row_id, message_id)


def alarm_id_of(connection: Connection, bed: str, kind: str, onset_s: float) -> str:
    """The alarm's name, the same in each of its messages."""
    return outbox_hash(f"{store_uuid(connection)} {bed} {kind} {onset_s!r}")


def report_summary(
    connection: Connection,
    entry: MinuteSummary,
    session_row_id: int,
    stay_id: StayId | None,
    unsynced: bool,
    now_s: float,
) -> None:
    """Write the minute; the cloud is told only of a patient's minute, not of an idle sensor's."""
    minute = asdict(entry)
    del minute["session"]
    told = {name: minute.pop(name) for name in _ONLY_TOLD}
    keys = {"session_id": session_row_id, "stay_id": stay_id}
    messages = []
    if stay_id is not None:
        stay = connection.execute(
            select(beds.c.name, stays.c.admitted_s)
            .join(stays, stays.c.bed_id == beds.c.id)
            .where(stays.c.id == stay_id)
        ).one()
        facts = {"bed": stay.name, "stay_admitted_s": stay.admitted_s, **minute}
        burden = 100 * entry.abnormal_beats / entry.beats if entry.beats else None
        told["abnormal_burden_percent"] = burden
        message_id = _send(connection, Lane.SUMMARY, "summary", now_s, facts, entry.session, told)
        messages.append(message_id)
    told_unsynced = json.dumps(messages) if unsynced else None
    connection.execute(_REPLACE_SUMMARY, {**keys, **minute, "told_unsynced": told_unsynced})


def note_security_event(connection: Connection, entry: SecurityEvent) -> None:
    """Write the event; the newest `MAX_SECURITY_EVENTS` are kept."""
    connection.execute(insert(security_events), asdict(entry))
    newest = connection.scalar(select(func.max(security_events.c.id))) or 0
    connection.execute(
        delete(security_events).where(security_events.c.id <= newest - MAX_SECURITY_EVENTS)
    )


def _admitted_s(connection: Connection, stay_id: StayId | None) -> float | None:
    return connection.scalar(select(stays.c.admitted_s).where(stays.c.id == stay_id))


def _send(
    connection: Connection,
    lane: Lane,
    kind: str,
    now_s: float,
    facts: dict[str, JsonValue],
    session: SessionId | None,
    beside: dict[str, JsonValue],
) -> str:
    source = {
        "device": None if session is None else device_name(session.device_id),
        "boot_id": None if session is None else session.boot_id,
        "salt": None if session is None else session.salt.hex(),
    }
    return send_to_cloud(connection, lane, kind, now_s, {**source, **facts}, beside)


def _note_unsynced(
    connection: Connection, entry: AlarmChanged, unsynced_row_id: int, message_id: str
) -> None:
    told = func.json_insert(func.coalesce(alarms.c.told_unsynced, "[]"), "$[#]", message_id)
    connection.execute(
        update(alarms)
        .where(alarms.c.bed_id == entry.bed, alarms.c.kind == entry.alarm.kind.value)
        .where(alarms.c.onset_s == entry.alarm.onset_s)
        .values(dated_by=unsynced_row_id, told_unsynced=told)
    )


def _calls_a_person(alarm: Alarm) -> bool:
    """Raised or escalated just now; what is of low priority can wait for the next look."""
    return alarm.state is AlarmState.ACTIVE and alarm.priority is not AlarmPriority.LOW


def _model_of(connection: Connection, session_row_id: int | None) -> str | None:
    """The short hash of the model that labelled the session's newest stored beat."""
    newest = (
        select(models.c.short_hash)
        .join(beats, beats.c.model_id == models.c.id)
        .where(beats.c.session_id == session_row_id)
        .order_by(beats.c.r_sample.desc())
        .limit(1)
    )
    return connection.scalar(newest)


def _strip(
    connection: Connection, session_row_id: int | None, alarm: Alarm
) -> dict[str, JsonValue] | None:
    """Which frames hold the ten seconds around the onset; they end when the alarm was raised, if
    that was sooner, for then these frames are stored."""
    if alarm.state is not AlarmState.ACTIVE or alarm.escalated_s is not None:
        return None
    session = connection.execute(select(sessions).where(sessions.c.id == session_row_id)).first()
    if session is None or session.wall_offset_s is None:
        return None
    end_s = min(alarm.raised_s, alarm.onset_s + STRIP_S / 2) - session.wall_offset_s
    frame_s = SAMPLES_PER_FRAME / session.sample_rate_hz
    if end_s < 0:
        return None
    return {
        "first_sequence": max(0, int((end_s - STRIP_S) // frame_s)),
        "last_sequence": int(end_s // frame_s),
        "sample_rate_hz": session.sample_rate_hz,
    }
