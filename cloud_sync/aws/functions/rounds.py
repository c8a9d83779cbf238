"""Every five minutes: gateways that are silent, and alarms whose notice is still owed."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from cloud_sync.aws.functions.account import Account, account
from cloud_sync.aws.functions.acknowledgement import acknowledge
from cloud_sync.aws.functions.ledger import Item, Ledger, facts_of
from cloud_sync.aws.functions.notices import digest_notice, silence_notice

MAX_ROWS = 1000  # of each kind in one round; the next takes the rest
FRESH_OVERDUE_MS = 180_000  # by then the alarm's own function has failed three times


class Rounds:
    def __init__(self, parts: Account, unix_time: Callable[[], float]) -> None:
        self._parts = parts
        self._ledger = Ledger(parts.table)
        self._unix_time = unix_time

    def go(self) -> None:
        now_ms = round(1000 * self._unix_time())
        self._tell_of_silence(now_ms)
        self._tell_what_is_owed(now_ms)

    def _tell_of_silence(self, now_ms: int) -> None:
        """First told, then noted: a notice twice is better than none."""
        for row in list(self._ledger.watched("gateway", now_ms, MAX_ROWS)):
            notice = silence_notice(row["gateway"], row["seen_ms"], row["link_reason"])
            self._parts.alarm_topic.publish(**notice)
            self._ledger.note_silence(row["gateway"], row["since_ms"])

    def _tell_what_is_owed(self, now_ms: int) -> None:
        """One digest for each gateway; nothing is owed after it."""
        owed = [
            *self._ledger.watched("late", now_ms, MAX_ROWS),
            *self._ledger.watched("fresh", now_ms - FRESH_OVERDUE_MS, MAX_ROWS),
        ]
        by_gateway: dict[str, list[Item]] = defaultdict(list)
        for item in owed:
            by_gateway[item["gateway"]].append(item)
        for gateway, items in by_gateway.items():
            alarms = sorted(map(facts_of, items), key=lambda facts: facts["onset_s"])
            self._parts.alarm_topic.publish(**digest_notice(gateway, alarms))
            ids = [item["id"] for item in items]
            for message_id in ids:
                self._ledger.notified(gateway, message_id, now_ms)
            acknowledge(self._parts.iot, gateway, ids, ids)


def handler(_event: Mapping[str, Any], _context: object) -> None:
    Rounds(account(os.environ), time.time).go()
