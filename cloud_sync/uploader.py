"""Takes the outbox to the publisher: alarms first, nothing twice, and nothing blocks the rest.

The outbox is the only queue. A row is done with when it was delivered or set aside with its reason;
whatever else happens, its lane is read again from before that row. Delivered is what the broker has
acknowledged, and in the lanes of `acknowledged_lanes` what the cloud itself has.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from cloud_sync.awaited import AwaitedRows
from cloud_sync.backoff import FIRST_S, LONGEST_S
from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.envelope import EnvelopeRefused
from cloud_sync.lanes import Lane
from cloud_sync.pace import Pace
from cloud_sync.ports import (
    Answer,
    Delivered,
    Envelope,
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
SHORTEST_LOOK_S = 0.05  # while the pace alone holds rows back
TIDY_INTERVAL_S = 3600.0  # between two looks for delivered rows that the gateway has pruned
DRAIN_S = 3.0  # for the last acknowledgements at an orderly stop


_log = logging.getLogger(__name__)


class Uploader:
    """One outbox to one publisher.

    `seal` makes a row a message. `open_lanes` tells which lanes the link's policy lets through now,
    in their order. `new_backoff(first, longest)` gives a new sequence of waits.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        delivery_log: DeliveryLog,
        *,
        seal: Callable[[OutboxRow], Envelope],
        open_lanes: Callable[[], Sequence[Lane]],
        acknowledged_lanes: Collection[Lane],
        new_backoff: Callable[[float, float], Iterator[float]],
        monotonic: Callable[[], float],
        unix_time: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._delivery_log = delivery_log
        self._seal = seal
        self._open_lanes = open_lanes
        self._acknowledged_lanes = acknowledged_lanes
        self._new_backoff = new_backoff
        self._monotonic = monotonic
        self._unix_time = unix_time
        self._in_flight: dict[asyncio.Task[Answer], OutboxRow] = {}
        self._read_up_to = dict.fromkeys(Lane, 0)
        self._exhausted: tuple[OutboxVersion, Sequence[Lane]] | None = None
        self._file: int | None = None
        self._quarantine = delivery_log.changed_elsewhere()
        self._window = PROBE_IN_FLIGHT
        self._pace = Pace(monotonic)
        self._backoff = new_backoff(FIRST_S, LONGEST_S)
        self._not_before_s = self._tidy_at_s = monotonic()
        self._lane_not_before_s = dict.fromkeys(Lane, self._not_before_s)
        self._lane_backoff: dict[Lane, Iterator[float]] = {}
        self._awaited = AwaitedRows(new_backoff, monotonic)
        self._acknowledged_early: set[str] = set()
        self._unanswered: Counter[str] = Counter()
        self._trouble: str | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is underway or waited for."""
        return not self._in_flight and not self._awaited

    @property
    def in_trouble(self) -> str | None:
        """Why nothing can be delivered just now."""
        return self._trouble

    async def run(self, stop: asyncio.Event, each_turn: Callable[[], None]) -> None:
        """Until `stop` is set; `each_turn` is called at least every LOOK_INTERVAL_S."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                each_turn()
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
        version, lanes = self._outbox.version(), self._open_lanes()
        if version is None or self._monotonic() < self._not_before_s:
            return
        for row in self._awaited.take_due():
            self._read_again(row)
        self._notice_new_beginning(version)
        if (version, lanes) == self._exhausted:
            return
        finished = [self._send_lane(lane) for lane in lanes]  # a resting lane stops no other
        if all(finished):
            self._exhausted = version, lanes

    def acknowledged(self, message_ids: Iterable[str]) -> None:
        """The cloud's own word that its table has these."""
        in_flight = {row.message_id: row for row in self._in_flight.values()}
        ends: list[Settlement] = []
        for message_id in message_ids:
            if (row := self._awaited.acknowledged(message_id)) is not None:
                ends.append(self._settlement(row, Outcome.DELIVERED))
            elif (row := in_flight.get(message_id)) is not None:
                self._acknowledged_early.add(message_id)
                ends.append(self._settlement(row, Outcome.DELIVERED))
        self._settle(ends)

    def hear(self) -> None:
        """Act on every answer that has come."""
        alone = len(self._in_flight) == 1
        ends: list[Settlement] = []
        postponed: list[tuple[OutboxRow, TryLater]] = []
        for task in [task for task in self._in_flight if task.done()]:
            row = self._in_flight.pop(task)
            answer = self._judged(row, task.result(), alone)
            if row.message_id in self._acknowledged_early:
                self._acknowledged_early.discard(row.message_id)
                continue
            match answer:
                case TryLater() as later:
                    postponed.append((row, later))
                case Refused(reason):
                    ends.append(self._settlement(row, Outcome.REFUSED, reason))
                case Delivered() if row.lane in self._acknowledged_lanes:
                    self._recover()
                    if (given_up := self._awaited.add(row)) is not None:
                        self._read_again(given_up)
                case Delivered():
                    ends.append(self._settlement(row, Outcome.DELIVERED))
        self._settle(ends)
        self._postpone(postponed)

    def _send_lane(self, lane: Lane) -> bool:
        """Whether the lane has no more to send."""
        if self._monotonic() < self._lane_not_before_s[lane]:
            return False
        while (room := min(self._window - len(self._in_flight), self._pace.room())) > 0:
            rows = self._next_rows(lane, room if lane is not Lane.WAVEFORM else 1)
            if not rows:
                return True
            self._publish(rows)
        return False

    def _notice_new_beginning(self, version: OutboxVersion) -> None:
        """Another file, or a person's word on the quarantine: what was passed may be open again."""
        quarantine = self._delivery_log.changed_elsewhere()
        if (version.file, quarantine) != (self._file, self._quarantine):
            self._file, self._quarantine = version.file, quarantine
            self._read_up_to = dict.fromkeys(Lane, 0)
            self._exhausted = None

    def _read_again(self, row: OutboxRow) -> None:
        self._read_up_to[row.lane] = min(self._read_up_to[row.lane], row.id - 1)
        self._exhausted = None

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
        done |= {row.message_id for row in self._in_flight.values()} | self._awaited.ids
        return [row for row in rows if row.message_id not in done]

    def _publish(self, rows: Sequence[OutboxRow]) -> None:
        impossible: list[Settlement] = []
        for row in rows:
            try:
                envelope = self._seal(row)
            except EnvelopeRefused as refused:
                impossible.append(self._settlement(row, Outcome.REFUSED, str(refused)))
            else:
                self._pace.take(len(envelope.payload))
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
        for lane in {end.lane for end in ends if end.outcome is Outcome.DELIVERED}:
            self._lane_backoff.pop(Lane(lane), None)
            self._recover()

    def _recover(self) -> None:
        self._window = MAX_IN_FLIGHT
        self._backoff = self._new_backoff(FIRST_S, LONGEST_S)
        if self._trouble is not None:
            _log.info("delivering again")
            self._trouble = None

    def _postpone(self, postponed: Sequence[tuple[OutboxRow, TryLater]]) -> None:
        if not postponed:
            return
        for row, _ in postponed:
            self._read_again(row)
        reason = postponed[-1][1].reason
        if reason != self._trouble:
            _log.warning("can not deliver: %s", reason)
            self._trouble = reason
        if all(later.lane_only for _, later in postponed):
            for lane in {row.lane for row, _ in postponed}:
                self._rest(lane)
            return
        self._window = PROBE_IN_FLIGHT
        self._not_before_s = self._monotonic() + next(self._backoff)

    def _rest(self, lane: Lane) -> None:
        """Nobody listens to this lane; the others go on."""
        waits = self._lane_backoff.setdefault(lane, self._new_backoff(FIRST_S, LONGEST_S))
        self._lane_not_before_s[lane] = self._monotonic() + next(waits)

    def _forget_pruned_rows(self) -> None:
        if self._monotonic() < self._tidy_at_s or self._outbox.version() is None:
            return
        self._tidy_at_s = self._monotonic() + TIDY_INTERVAL_S
        for lane in Lane:
            for oldest in self._outbox.pending(lane, 0, 1):
                self._delivery_log.forget_below(lane, oldest.id)

    async def _wait_for_answer(self, stopping: asyncio.Task[bool]) -> None:
        waited_for: set[asyncio.Task[Any]] = {stopping, *self._in_flight}
        patience_s = LOOK_INTERVAL_S
        if self._exhausted is None and (wait_s := self._pace.wait_s()) > 0:
            patience_s = min(patience_s, max(SHORTEST_LOOK_S, wait_s))
        await asyncio.wait(waited_for, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)

    async def _drain(self) -> None:
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=DRAIN_S)
            self.hear()
