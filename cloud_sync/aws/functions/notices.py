"""What people are told, over SNS; the same words as the box's own call."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

MAX_SUBJECT = 100  # SNS's own limit
LISTED = 50  # alarms that a digest spells out; the rest is counted, all are in the table
LATE_S = 120.0  # a call that leaves so long after the onset says so

Notice = dict[str, Any]  # the arguments of `publish`


def alarm_notice(gateway: str, facts: Mapping[str, Any], now_s: float) -> Notice:
    """One fresh alarm."""
    late = now_s - facts["onset_s"] > LATE_S
    mark = "late: " if late else ""
    return {
        "Subject": _subject(f"{mark}{facts['alarm']}, {facts['bed']}"),
        "Message": f"{mark}{facts['alarm']} ({facts['priority']}) at {facts['bed']}, "
        f"gateway {gateway}, onset {utc(facts['onset_s'])}, alarm {facts['alarm_id']}",
        "MessageAttributes": _attributes(
            alarm_id=facts["alarm_id"],
            priority=facts["priority"],
            late="true" if late else "false",
        ),
    }


def digest_notice(gateway: str, alarms: Sequence[Mapping[str, Any]]) -> Notice:
    """One notice for alarms of one gateway that came late, each with its onset and id."""
    lines = [f"late: {len(alarms)} alarms of gateway {gateway} reached nobody in time:"]
    lines += [
        f"{utc(facts['onset_s'])} {facts['bed']}: {facts['alarm']} ({facts['priority']}), "
        f"alarm {facts['alarm_id']}"
        for facts in alarms[:LISTED]
    ]
    if len(alarms) > LISTED:
        lines.append(f"and {len(alarms) - LISTED} more, all in the table")
    return {
        "Subject": _subject(f"late: {len(alarms)} alarms of {gateway}"),
        "Message": "\n".join(lines),
        "MessageAttributes": _attributes(late="true", digest="true"),
    }


def silence_notice(gateway: str, seen_ms: int, link: str) -> Notice:
    return {
        "Subject": _subject(f"silent: gateway {gateway}"),
        "Message": f"gateway {gateway} has not reported since {utc(seen_ms / 1000)}"
        f" (its link: {link}); its beds are not watched from here",
        "MessageAttributes": _attributes(silence="true"),
    }


def return_notice(gateway: str, seen_ms: int) -> Notice:
    return {
        "Subject": _subject(f"reports again: gateway {gateway}"),
        "Message": f"gateway {gateway} reports again since {utc(seen_ms / 1000)}",
        "MessageAttributes": _attributes(silence="false"),
    }


def _attributes(**values: str) -> dict[str, dict[str, str]]:
    """What a subscription can filter by, so that a telephone gets only what is meant for it."""
    return {name: {"DataType": "String", "StringValue": text} for name, text in values.items()}


def utc(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(float(seconds), datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _subject(text: str) -> str:
    """SNS takes printable ASCII without line breaks."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return printable[:MAX_SUBJECT]
