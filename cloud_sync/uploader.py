"""Takes the outbox to the publisher: alarms first, nothing twice, and nothing blocks the rest.

The outbox is the only queue. A row is done with when the broker has acknowledged it or it was set
aside with its reason; whatever else happens, its lane is read again from before that row.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.envelope import EnvelopeRefused, seal_envelope
from cloud_sync.ports import (
    Answer,
    Delivered,
    Lane,
    Outbox,
    OutboxRow,
    OutboxVersion,
    Publisher,
    Refused,
    TryLater,
)

MAX_IN_FLIGHT = 20  # unacknowledged messages: mosquitto's own default, a fifth of AWS IoT Core's
PROBE_IN_FLIGHT = 1  # after a failure one message tries the link, so that a poison one shows
MAX_UNANSWERED = 5  # times that a connection may end on one message that was alone in flight
LONGEST_STRIDE = 200  # rows read at once while passing settled ones, at most 20 MB
LOOK_INTERVAL_S = 1.0  # how late a new alarm may be noticed; a look is one read of shared memory
TIDY_INTERVAL_S = 3600.0  # between two looks for delivered rows that the gateway has pruned
DRAIN_S = 3.0  # for the last acknowledgements at an orderly stop

_log = logging.getLogger(__name__)


class Uploader:
    """One outbox to one publisher. `new_backoff` gives each outage its own sequence of waits."""

    def __init__(
        self,
        gateway_id: str,
        outbox: Outbox,
        publisher: Publisher,
        delivery_log: DeliveryLog,
        *,
        new_backoff: Callable[[], Iterator[float]],
        monotonic: Callable[[], float],
        unix_time: Callable[[], float],
    ) -> None:
        self._gateway_id = gateway_id
        self._outbox = outbox
        self._publisher = publisher
        self._delivery_log = delivery_log
        self._new_backoff = new_backoff
        self._monotonic = monotonic
        self._unix_time = unix_time
        self._in_flight: dict[asyncio.Task[Answer], OutboxRow] = {}
        self._read_up_to = dict.fromkeys(Lane, 0)
        self._exhausted: OutboxVersion | None = None
        self._file: int | None = None
        self._window = PROBE_IN_FLIGHT
        self._backoff = new_backoff()
        self._not_before_s = self._tidy_at_s = monotonic()
        self._unanswered: Counter[str] = Counter()
        self._trouble: str | None = None

    async def run(self, stop: asyncio.Event, alive: Callable[[], None]) -> None:
        """Until `stop` is set; `alive` is called at least every LOOK_INTERVAL_S."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                alive()
                self._forget_pruned_rows()
                self.send()
                await self._wait_for_answer(stopping)
                self.hear()
            await self._drain()
        finally:
            for task in (stopping, *self._in_flight):
                task.cancel()

    def send(self) -> None:
        """Start to publish as many rows as may be in flight, unless an outage says to wait."""
        version = self._outbox.version()
        if version is None or version == self._exhausted:
            return
        if self._monotonic() < self._not_before_s:
            return
        if version.file != self._file:
            self._file = version.file
            self._read_up_to = dict.fromkeys(Lane, 0)
        for lane in Lane:
            while (room := self._window - len(self._in_flight)) > 0:
                rows = self._next_rows(lane, room)
                if not rows:
                    break
                self._publish(rows)
        if len(self._in_flight) < self._window:
            self._exhausted = version

    def hear(self) -> None:
        """Act on every answer that has come."""
        alone = len(self._in_flight) == 1
        ends: list[Settlement] = []
        postponed: list[tuple[OutboxRow, TryLater]] = []
        for task in [task for task in self._in_flight if task.done()]:
            row = self._in_flight.pop(task)
            match self._judged(row, task.result(), alone):
                case TryLater() as later:
                    postponed.append((row, later))
                case Refused(reason):
                    ends.append(self._settlement(row, Outcome.REFUSED, reason))
                case Delivered():
                    ends.append(self._settlement(row, Outcome.DELIVERED))
        self._settle(ends)
        self._postpone(postponed)

    def _judged(self, row: OutboxRow, answer: Answer, alone: bool) -> Answer:
        """The answer, or a refusal of a message that ends each connection it is sent on.

        MQTT 3.1.1 has no other word for a message that a broker will not have.
        """
        if not isinstance(answer, TryLater):
            del self._unanswered[row.message_id]
            return answer
        if answer.unanswered and alone:
            self._unanswered[row.message_id] += 1
        if self._unanswered[row.message_id] < MAX_UNANSWERED:
            return answer
        del self._unanswered[row.message_id]
        return Refused(f"{MAX_UNANSWERED} connections ended on it, the last: {answer.reason}")

    def _next_rows(self, lane: Lane, room: int) -> list[OutboxRow]:
        """The lane's next open rows, at most `room`; settled ones are passed in growing strides."""
        stride = room
        while rows := self._outbox.pending(lane, self._read_up_to[lane], stride):
            fresh = self._unsettled(rows)[:room]
            self._read_up_to[lane] = (fresh if len(fresh) == room else rows)[-1].id
            if fresh:
                return fresh
            stride = min(2 * stride, LONGEST_STRIDE)
        return []

    def _unsettled(self, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        done = self._delivery_log.settled(row.message_id for row in rows)
        done |= {row.message_id for row in self._in_flight.values()}
        return [row for row in rows if row.message_id not in done]

    def _publish(self, rows: Sequence[OutboxRow]) -> None:
        impossible: list[Settlement] = []
        for row in rows:
            try:
                envelope = seal_envelope(self._gateway_id, row)
            except EnvelopeRefused as refused:
                impossible.append(self._settlement(row, Outcome.REFUSED, str(refused)))
            else:
                task = asyncio.create_task(self._publisher.publish(envelope))
                self._in_flight[task] = row
        self._settle(impossible)

    def _settlement(
        self, row: OutboxRow, outcome: Outcome, reason: str | None = None
    ) -> Settlement:
        now = self._unix_time()
        return Settlement(row.message_id, row.lane, row.id, outcome, now, reason)

    def _settle(self, ends: Sequence[Settlement]) -> None:
        if not ends:
            return
        self._delivery_log.settle(ends)
        for end in ends:
            if end.outcome is Outcome.REFUSED:
                _log.warning("set aside lane=%s id=%s: %s", end.lane, end.message_id, end.reason)
        if any(end.outcome is Outcome.DELIVERED for end in ends):
            self._recover()

    def _recover(self) -> None:
        self._window = MAX_IN_FLIGHT
        self._backoff = self._new_backoff()
        if self._trouble is not None:
            _log.info("delivering again")
            self._trouble = None

    def _postpone(self, postponed: Sequence[tuple[OutboxRow, TryLater]]) -> None:
        if not postponed:
            return
        for row, _ in postponed:
            self._read_up_to[row.lane] = min(self._read_up_to[row.lane], row.id - 1)
        self._exhausted = None
        self._window = PROBE_IN_FLIGHT
        self._not_before_s = self._monotonic() + next(self._backoff)
        reason = postponed[-1][1].reason
        if reason != self._trouble:
            _log.warning("can not deliver: %s", reason)
            self._trouble = reason

    def _forget_pruned_rows(self) -> None:
        if self._monotonic() < self._tidy_at_s or self._outbox.version() is None:
            return
        self._tidy_at_s = self._monotonic() + TIDY_INTERVAL_S
        for lane in Lane:
            for oldest in self._outbox.pending(lane, 0, 1):
                self._delivery_log.forget_below(lane, oldest.id)

    async def _wait_for_answer(self, stopping: asyncio.Task[bool]) -> None:
        waited_for: set[asyncio.Task[Any]] = {stopping, *self._in_flight}
        await asyncio.wait(waited_for, timeout=LOOK_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)

    async def _drain(self) -> None:
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=DRAIN_S)
            self.hear()
