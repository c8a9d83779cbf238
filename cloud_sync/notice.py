"""The words of a notice: what a person's telephone shows. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LATE_S = (
    120.0  # a call that leaves so long after the onset says so; a burden takes a minute to find
)
MAX_NAMED = 10  # alarms that a digest names; the table has them all
MAX_SUBJECT = 100  # SNS's own


@dataclass(frozen=True, slots=True)
class AlarmWords:
    """What a notice needs to know of an alarm."""

    message_id: str
    alarm_id: str
    bed: str
    alarm: str
    priority: str
    onset_s: float  # Unix time
    created_s: float


@dataclass(frozen=True, slots=True)
class Notice:
    subject: str
    text: str
    attributes: Mapping[str, str]  # what a subscription's filter may ask for


def alarm_notice(gateway_id: str, alarm: AlarmWords, now_s: float) -> Notice:
    late = now_s - alarm.onset_s > LATE_S
    mark = "late: " if late else ""
    subject = f"{mark}{alarm.alarm}, {alarm.bed}"
    text = (
        f"{mark}{alarm.alarm} ({alarm.priority}) at {alarm.bed}, gateway {gateway_id}, "
        f"onset {_utc(alarm.onset_s)}, alarm {alarm.alarm_id}"
    )
    attributes = {
        "alarm_id": alarm.alarm_id,
        "priority": alarm.priority,
        "late": "true" if late else "false",
    }
    return Notice(_ascii(subject), text, attributes)


def digest_notice(gateway_id: str, alarms: Sequence[AlarmWords]) -> Notice:
    """One notice for alarms that are too old to call for each."""
    onsets = [alarm.onset_s for alarm in alarms]
    lines = [
        f"late: {len(alarms)} alarms of gateway {gateway_id} reached nobody in time, "
        f"onset {_utc(min(onsets))} to {_utc(max(onsets))}:",
        *(
            f"{_utc(alarm.onset_s)} {alarm.bed}: {alarm.alarm} ({alarm.priority}), "
            f"alarm {alarm.alarm_id}"
            for alarm in alarms[:MAX_NAMED]
        ),
    ]
    if len(alarms) > MAX_NAMED:
        lines.append(f"and {len(alarms) - MAX_NAMED} more")
    subject = f"late: {len(alarms)} alarms of {gateway_id}"
    return Notice(_ascii(subject), "\n".join(lines), {"late": "true", "digest": "true"})


def _utc(unix_s: float) -> str:
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _ascii(subject: str) -> str:
    """SNS takes a subject of printable ASCII, at most 100 characters."""
    plain = subject.encode("ascii", "replace").decode()
    return "".join(c if c.isprintable() else "?" for c in plain)[:MAX_SUBJECT]
