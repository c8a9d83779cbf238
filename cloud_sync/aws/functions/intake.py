"""Each alarm and summary: checked, kept once, told to people where it calls them, acknowledged.

The order is the promise. The acknowledgement is last, so a gateway that has it knows that the
table has its alarm and, where people are called now, that SNS has taken the notice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from cloud_sync.aws.functions.account import Account, account
from cloud_sync.aws.functions.acknowledgement import acknowledge
from cloud_sync.aws.functions.ledger import Ledger
from cloud_sync.aws.functions.message import Message, MessageRefused, Redating, read_message
from cloud_sync.aws.functions.notices import alarm_notice
from cloud_sync.aws.functions.refused import set_aside

LATE_AFTER_S = 600.0  # an older alarm calls nobody to the bed; it goes into a digest
NOTICE_LEASE_MS = 30_000  # as long as this function may run: a younger one may still be at it

MISSING_FOR_S = 86_400.0  # what a correction names and is not there by then never comes

Event = Mapping[str, Any]


class NotYetHere(Exception):
    """Run again, by Lambda or for the gateway's next copy, the function finds them."""


class Intake:
    def __init__(self, parts: Account, unix_time: Callable[[], float]) -> None:
        self._parts = parts
        self._ledger = Ledger(parts.table)
        self._unix_time = unix_time

    def take(self, event: Event) -> None:
        """A rule's event: `topic`, `payload` in base64. Raises what AWS raises, to be run again."""
        try:
            message = read_message(event["topic"], event["payload"])
        except MessageRefused as refused:
            set_aside(self._parts.refused_queue, event, refused)
            return
        notified = self._correct(message) if isinstance(message, Redating) else self._keep(message)
        if message.lane == "alarm":  # a summary is delivered with its PUBACK
            told = [message.id] if notified else []
            acknowledge(self._parts.iot, message.gateway, [message.id], told)

    def _correct(self, redating: Redating) -> bool:
        """Nobody is told. What it corrects may still be under way, and is waited for, a day."""
        missing = [id_ for id_ in redating.of if not self._ledger.redate(redating, id_)]
        if missing and self._unix_time() - redating.created_s < MISSING_FOR_S:
            raise NotYetHere(f"{len(missing)} of the messages that {redating.id} corrects")
        return False

    def _keep(self, message: Message) -> bool:
        """Whether people were told of it, now or by an earlier copy."""
        now_ms = round(1000 * self._unix_time())
        owed = self._owed(message, now_ms / 1000)
        first = self._ledger.put_once(message, now_ms, owed)
        if first is None:
            return owed == "fresh" and self._tell(message)
        if first.get("watch") == "fresh" and first["since_ms"] < now_ms - NOTICE_LEASE_MS:
            return self._tell(message)  # the first copy's function stopped half-way
        return "notified_ms" in first

    def _tell(self, message: Message) -> bool:
        now_s = self._unix_time()
        notice = alarm_notice(message.gateway, message.facts, now_s)
        self._parts.alarm_topic.publish(**notice)
        self._ledger.notified(message.gateway, message.id, round(1000 * now_s))
        return True

    def _owed(self, message: Message, now_s: float) -> str | None:
        """Which notice the message calls for: "fresh", "late" or none."""
        if message.lane != "alarm" or not message.facts["notify"]:
            return None
        if now_s - message.created_s <= LATE_AFTER_S:
            return "fresh"
        return "late" if self._parts.sends_late_digest else None


def handler(event: Event, _context: object) -> None:
    Intake(account(os.environ), time.time).take(event)
