"""Fakes against the uploader's ports: an outbox in memory, a publisher with a script, a clock."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine

from cloud_sync.config import MqttConfig
from cloud_sync.delivered import DeliveryLog
from cloud_sync.envelope import seal_envelope
from cloud_sync.lanes import Lane
from cloud_sync.mqtt import MqttPublisher
from cloud_sync.ports import (
    Answer,
    Delivered,
    Envelope,
    Outbox,
    OutboxRow,
    OutboxVersion,
    Publisher,
)
from cloud_sync.presence import Presence, status_message, status_topic
from cloud_sync.schema import open_database
from cloud_sync.uploader import Uploader


class ManualClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class MemoryOutbox:
    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []
        self.file = 1
        self.there = True

    def add(self, lane: Lane, count: int = 1, payload: str = '{"a":1}') -> list[OutboxRow]:
        first = len(self.rows) + 1
        new = [
            OutboxRow(number, f"{lane}-{number}-{self.file}", lane, "test", 1.0, payload)
            for number in range(first, first + count)
        ]
        self.rows += new
        return new

    def version(self) -> OutboxVersion | None:
        return OutboxVersion(self.file, len(self.rows)) if self.there else None

    def pending(self, lane: Lane, after_id: int, limit: int) -> Sequence[OutboxRow]:
        return [row for row in self.rows if row.lane == lane and row.id > after_id][:limit]


class ScriptedPublisher:
    """Answers each publish from the script, in order; afterwards everything is delivered.

    While `held`, answers wait; `most_in_flight` is the most that ever waited at once.
    """

    def __init__(self, script: Sequence[Answer] = ()) -> None:
        self.script = list(script)
        self.published: list[Envelope] = []
        self.most_in_flight = 0
        self._in_flight = 0
        self._go = asyncio.Event()
        self._go.set()

    def hold(self) -> None:
        self._go.clear()

    def release(self) -> None:
        self._go.set()

    async def publish(self, envelope: Envelope) -> Answer:
        self.published.append(envelope)
        answer = self.script.pop(0) if self.script else Delivered()
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        await self._go.wait()
        self._in_flight -= 1
        return answer

    async def announce(self) -> Answer:
        return Delivered()

    @property
    def connected(self) -> bool:
        return True

    async def close(self, farewell: Presence = Presence.STOPPED) -> None:
        self.release()

    @property
    def ids(self) -> list[str]:
        return [envelope.message_id for envelope in self.published]


open_engines: list[Engine] = []  # of the test's benches; closed after it


class Bench:
    """An uploader with its parts in the test's hand; a wait is 10 s, then 20 s, 30 s …"""

    def __init__(
        self,
        directory: Path,
        outbox: Outbox,
        publisher: Publisher,
        acknowledged_lanes: Collection[Lane] = (),
    ) -> None:
        self.clock = ManualClock()
        self.lanes: Sequence[Lane] = tuple(Lane)
        self.engine = open_database(directory / "delivered.sqlite3")
        open_engines.append(self.engine)
        self.delivery_log = DeliveryLog(self.engine)
        self.uploader = Uploader(
            outbox,
            publisher,
            self.delivery_log,
            seal=sealed,
            open_lanes=lambda: self.lanes,
            acknowledged_lanes=acknowledged_lanes,
            new_backoff=_tens,
            monotonic=self.clock,
            unix_time=self.clock,
        )

    async def turn(self, turns: int = 1) -> None:
        """Send, let the publisher's tasks run as far as they can, hear. A second passes before."""
        for _ in range(turns):
            self.clock.now_s += 1.0
            self.uploader.send()
            await _settled()
            self.uploader.hear()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Turn, an hour of the bench's clock each time, until the condition holds."""
        while not condition():
            await self.turn()
            self.clock.now_s += 3600.0
            await asyncio.sleep(0.002)  # real sockets and threads need real time


def publisher_with(
    config: MqttConfig,
    tls: ssl.SSLContext | None,
    incoming: Callable[[str, bytes], None] = lambda _topic, _payload: None,
    spent: Callable[[int], None] = lambda _count: None,
) -> MqttPublisher:
    """A publisher of the gateway ward-3."""
    return MqttPublisher(
        config,
        tls,
        client_id="ward-3",
        subscriptions=("ecg/ward-3/ack", "ecg/ward-3/request"),
        status=lambda presence: Envelope(
            status_topic("ward-3"), status_message("ward-3", presence, 1000.0, 900), ""
        ),
        incoming=incoming,
        spent=spent,
    )


def sealed(row: OutboxRow) -> Envelope:
    """As the daemon does it, but that a waveform row brings its own payload."""
    if row.lane is Lane.WAVEFORM:
        return Envelope("ecg/ward-3/waveform", row.payload.encode(), row.message_id)
    return seal_envelope("ward-3", row, no_frames)


def no_frames(*_: object) -> Sequence[tuple[int, bytes]]:
    return ()


def _tens(_first_s: float, _longest_s: float) -> Iterator[float]:
    wait_s = 0.0
    while True:
        wait_s += 10.0
        yield wait_s


async def _settled() -> None:
    for _ in range(5):  # a task's start, its event, its end
        await asyncio.sleep(0)
