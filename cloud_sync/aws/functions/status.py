"""What a gateway says of its link: from it follows when its silence becomes news."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from cloud_sync.aws.functions.account import Account, account
from cloud_sync.aws.functions.ledger import Ledger
from cloud_sync.aws.functions.message import MessageRefused, read_status
from cloud_sync.aws.functions.notices import return_notice
from cloud_sync.aws.functions.refused import set_aside

GRACE_MS = 300_000  # beyond what the gateway announced: a reconnect with its backoff

Event = Mapping[str, Any]


def take_status(event: Event, parts: Account, unix_time: Callable[[], float]) -> None:
    """Times are the cloud's own: the gateway's clock may be wrong."""
    try:
        status = read_status(event["topic"], event["payload"])
    except MessageRefused as refused:
        set_aside(parts.refused_queue, event, refused)
        return
    now_ms = round(1000 * unix_time())
    due_ms = now_ms + round(1000 * status.next_within_s) + GRACE_MS
    before = Ledger(parts.table).note_status(status, now_ms, due_ms)
    if before is not None and before["watch"] == "silent":
        parts.alarm_topic.publish(**return_notice(status.gateway, now_ms))


def handler(event: Event, _context: object) -> None:
    take_status(event, account(os.environ), time.time)
