"""Sees that a fresh alarm calls a person also where the cloud does not answer for it.

It reads the alarm lane by itself, so that it knows of alarms which the link can't carry. Without a
notifier it only notes how far each alarm has come.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from cloud_sync.alarm_road import FRESH_S, KEPT_S, AlarmRoad, NotifiedBy
from cloud_sync.lanes import Lane
from cloud_sync.notice import AlarmWords, Notice, alarm_notice, digest_notice
from cloud_sync.ports import Delivered, Outbox, OutboxRow, OutboxVersion, TryLater

ACKNOWLEDGED_WITHIN_S = 15.0  # then a fresh alarm goes to SNS directly
DIGEST_INTERVAL_S = 600.0  # at most one digest in this time
TIDY_INTERVAL_S = 3600.0
PAGE_ROWS = 200
REDATE = "redate"  # the kind of row that corrects the times of others (docs/cloud.md)

_log = logging.getLogger(__name__)


class Notifier(Protocol):
    """Calls a person."""

    async def notify(self, notice: Notice) -> Delivered | TryLater: ...


class AlarmWatch:
    """`look` once a second or oftener; what it starts goes on in a task of its own."""

    def __init__(
        self,
        gateway_id: str,
        outbox: Outbox,
        road: AlarmRoad,
        notifier: Notifier | None,
        *,
        new_backoff: Callable[[], Iterator[float]],
        monotonic: Callable[[], float],
        unix_time: Callable[[], float],
    ) -> None:
        self._gateway_id = gateway_id
        self._outbox = outbox
        self._road = road
        self._notifier = notifier
        self._new_backoff = new_backoff
        self._backoff = new_backoff()
        self._monotonic = monotonic
        self._unix_time = unix_time
        self._seen: OutboxVersion | None = None
        self._read_up_to = 0
        begun_s = monotonic()
        self._waiting = {alarm.message_id: (alarm, begun_s) for alarm in road.to_call(unix_time())}
        self._digest_at_s = self._not_before_s = self._tidy_at_s = begun_s
        self._call: asyncio.Task[None] | None = None
        self._trouble: str | None = None

    def look(self) -> None:
        """Note new alarms; call for one that has waited long enough, or send the digest."""
        self._note_new()
        self._tidy()
        if self._notifier is None:
            return
        if self._call is not None:
            if not self._call.done():
                return
            self._call.result()  # a fault of our own ends the process
            self._call = None
        if self._monotonic() >= self._not_before_s:
            self._call = self._next_call(self._notifier)

    def acknowledged(self, message_ids: Iterable[str]) -> None:
        """These are in the cloud's table."""
        for message_id in message_ids:
            self._waiting.pop(message_id, None)

    def cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    def _note_new(self) -> None:
        version = self._outbox.version()
        if version is None or version == self._seen:
            return
        if self._seen is None or version.file != self._seen.file:
            self._read_up_to = 0
        while rows := self._outbox.pending(Lane.ALARM, self._read_up_to, PAGE_ROWS):
            self._read_up_to = rows[-1].id
            self._note(rows)
        self._seen = version

    def _note(self, rows: Iterable[OutboxRow]) -> None:
        rows = list(rows)
        oldest_s = self._unix_time() - KEPT_S
        alarms = [
            words
            for row in rows
            if row.created_s >= oldest_s and (words := _words_of(row)) is not None
        ]
        self._road.note(alarms)
        for row in rows:
            if row.kind == REDATE:
                self._road.redate(row.message_id, *_redating_of(row))
        for alarm in self._road.to_call(self._unix_time()):
            self._waiting.setdefault(alarm.message_id, (alarm, self._monotonic()))

    def _next_call(self, notifier: Notifier) -> asyncio.Task[None] | None:
        now_s, now_mono_s = self._unix_time(), self._monotonic()
        for message_id, (alarm, seen_s) in list(self._waiting.items()):
            if alarm.created_s <= now_s - FRESH_S:
                del self._waiting[message_id]  # the digest's
            elif now_mono_s - seen_s >= ACKNOWLEDGED_WITHIN_S:
                notice = alarm_notice(self._gateway_id, alarm, now_s)
                return asyncio.create_task(self._notify(notifier, notice, [alarm], NotifiedBy.SNS))
        if now_mono_s >= self._digest_at_s:
            self._digest_at_s = now_mono_s + DIGEST_INTERVAL_S
            if missed := self._road.to_digest(now_s):
                notice = digest_notice(self._gateway_id, missed)
                return asyncio.create_task(
                    self._notify(notifier, notice, missed, NotifiedBy.DIGEST)
                )
        return None

    async def _notify(
        self, notifier: Notifier, notice: Notice, alarms: list[AlarmWords], by: NotifiedBy
    ) -> None:
        answer = await notifier.notify(notice)
        if isinstance(answer, TryLater):
            self._not_before_s = self._monotonic() + next(self._backoff)
            if by is NotifiedBy.DIGEST:
                self._digest_at_s = self._not_before_s
            if answer.reason != self._trouble:
                _log.warning("can not notify: %s", answer.reason)
                self._trouble = answer.reason
            return
        self._backoff, self._trouble = self._new_backoff(), None
        message_ids = [alarm.message_id for alarm in alarms]
        self._road.notified(message_ids, by, self._unix_time())
        self.acknowledged(message_ids)
        _log.info("notified by=%s alarms=%d", by, len(alarms))

    def _tidy(self) -> None:
        if self._monotonic() >= self._tidy_at_s:
            self._tidy_at_s = self._monotonic() + TIDY_INTERVAL_S
            self._road.forget_old(self._unix_time())


def _redating_of(row: OutboxRow) -> tuple[list[str], float]:
    """The messages whose times are wrong, and by how much; none where the row does not say it."""
    try:
        payload = json.loads(row.payload)
        return list(payload["of"]), float(payload["shift_s"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return [], 0.0


def _words_of(row: OutboxRow) -> tuple[AlarmWords, bool] | None:
    """The alarm's words and whether it calls a person; None where the row does not say them."""
    try:
        payload = json.loads(row.payload)
        words = AlarmWords(
            row.message_id,
            str(payload["alarm_id"]),
            str(payload["bed"]),
            str(payload["alarm"]),
            str(payload["priority"]),
            float(payload["onset_s"]),
            row.created_s,
        )
        return words, bool(payload["notify"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # made before alarms had a name, or broken: the uploader judges it
