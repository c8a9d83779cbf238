"""A fresh alarm that the cloud does not answer for calls a person; an old one is in a digest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from cloud_sync.alarm_road import AlarmRoad, NotifiedBy
from cloud_sync.alarm_watch import AlarmWatch
from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.lanes import Lane
from cloud_sync.notice import Notice
from cloud_sync.ports import Delivered, OutboxRow, TryLater
from cloud_sync.schema import alarm_road, open_database
from tests.cloud_sync.fakes import ManualClock, MemoryOutbox

OFFLINE = TryLater("offline")


class ScriptedNotifier:
    def __init__(self, script: Sequence[Delivered | TryLater] = ()) -> None:
        self.script = list(script)
        self.notices: list[Notice] = []

    async def notify(self, notice: Notice) -> Delivered | TryLater:
        self.notices.append(notice)
        return self.script.pop(0) if self.script else Delivered()


class WatchBench:
    def __init__(self, engine: Engine, script: Sequence[Delivered | TryLater] = ()) -> None:
        self.engine = engine
        self.clock = ManualClock()
        self.outbox = MemoryOutbox()
        self.notifier = ScriptedNotifier(script)
        self.road = AlarmRoad(engine)
        self.watch = self.new_watch()

    def new_watch(self) -> AlarmWatch:
        return AlarmWatch(
            "ward-3",
            self.outbox,
            self.road,
            self.notifier,
            new_backoff=lambda: iter([5.0] * 1000),
            monotonic=self.clock,
            unix_time=self.clock,
        )

    def alarm(self, age_s: float = 0.0, notify: bool = True) -> OutboxRow:
        created_s = self.clock.now_s - age_s
        words = {
            "alarm_id": f"alarm-{len(self.outbox.rows)}",
            "bed": "Bed 3",
            "alarm": "asystole",
            "priority": "high",
            "onset_s": created_s - 5.0,
            "notify": notify,
        }
        (row,) = self.outbox.add(Lane.ALARM, 1, json.dumps(words))
        self.outbox.rows[-1] = replace(row, created_s=created_s)
        return self.outbox.rows[-1]

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.watch.look()
            for _ in range(5):
                await asyncio.sleep(0)
            self.clock.now_s += 1.0

    def delivered(self, row: OutboxRow) -> None:
        end = Settlement(row.message_id, Lane.ALARM, row.id, Outcome.DELIVERED, self.clock.now_s)
        DeliveryLog(self.engine).settle([end])
        self.watch.acknowledged([row.message_id])

    def notified_by(self) -> list[str | None]:
        with self.engine.connect() as connection:
            rows = select(alarm_road.c.notified_by).order_by(alarm_road.c.created_s)
            return list(connection.execute(rows).scalars())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., WatchBench]]:
    engine = open_database(tmp_path / "delivered.sqlite3")
    yield lambda script=(): WatchBench(engine, script)
    engine.dispose()


def test_an_alarm_without_an_acknowledgement_calls_after_fifteen_seconds(
    bench: Callable[..., WatchBench],
) -> None:
    async def scenario() -> None:
        one = bench()
        one.alarm()
        await one.run(15)
        assert one.notifier.notices == []
        await one.run(2)
        (notice,) = one.notifier.notices
        assert "alarm alarm-0" in notice.text
        assert "onset 1970-01-01 00:16:35 UTC" in notice.text
        assert notice.attributes["late"] == "false"
        await one.run(30)
        assert len(one.notifier.notices) == 1
        assert one.notified_by() == ["sns"]

    asyncio.run(scenario())


def test_an_acknowledged_alarm_is_the_clouds(bench: Callable[..., WatchBench]) -> None:
    async def scenario() -> None:
        one = bench()
        row = one.alarm()
        await one.run(5)
        one.delivered(row)
        await one.run(900)
        assert one.notifier.notices == []

    asyncio.run(scenario())


def test_only_what_calls_a_person_does(bench: Callable[..., WatchBench]) -> None:
    async def scenario() -> None:
        one = bench()
        one.alarm(notify=False)
        await one.run(900)
        assert one.notifier.notices == []

    asyncio.run(scenario())


def test_old_alarms_stand_in_one_digest(bench: Callable[..., WatchBench]) -> None:
    async def scenario() -> None:
        one = bench()
        for age_s in range(700, 700 + 50 * 3600, 3600):
            one.alarm(age_s)
        await one.run(30)
        (digest,) = one.notifier.notices
        assert digest.subject == "late: 50 alarms of ward-3"
        assert "alarm alarm-49" in digest.text  # the oldest is named first
        assert "and 40 more" in digest.text
        assert one.notified_by() == ["digest"] * 50
        await one.run(1500)
        assert len(one.notifier.notices) == 1

    asyncio.run(scenario())


def test_what_came_into_the_cloud_too_late_stands_in_the_digest_too(
    bench: Callable[..., WatchBench],
) -> None:
    async def scenario() -> None:
        one = bench([OFFLINE] * 10)
        row = one.alarm(700)
        await one.run(2)
        one.delivered(row)
        await one.run(100)
        assert one.notified_by() == ["digest"]

    asyncio.run(scenario())


def test_a_notice_that_fails_is_tried_until_it_is_old_and_then_digested(
    bench: Callable[..., WatchBench],
) -> None:
    async def scenario() -> None:
        one = bench([OFFLINE] * 200)
        one.alarm()
        await one.run(590)
        assert all("late: 1 alarms" not in notice.subject for notice in one.notifier.notices)
        assert one.notifier.notices[-1].attributes["late"] == "true"
        await one.run(700)
        assert one.notifier.notices[-1].subject == "late: 1 alarms of ward-3"
        assert one.notified_by() == ["digest"]

    asyncio.run(scenario())


def test_a_restart_neither_forgets_nor_repeats(bench: Callable[..., WatchBench]) -> None:
    async def scenario() -> None:
        one = bench()
        one.alarm()
        await one.run(10)
        one.watch = one.new_watch()
        await one.run(17)
        assert len(one.notifier.notices) == 1
        one.watch = one.new_watch()
        await one.run(30)
        assert len(one.notifier.notices) == 1

    asyncio.run(scenario())


def test_the_clouds_own_call_counts(bench: Callable[..., WatchBench]) -> None:
    async def scenario() -> None:
        one = bench()
        row = one.alarm()
        await one.run(2)
        one.road.notified([row.message_id], NotifiedBy.CLOUD, one.clock.now_s)
        one.delivered(row)
        await one.run(700)
        assert one.notified_by() == ["cloud"]
        assert one.notifier.notices == []

    asyncio.run(scenario())


def test_a_row_that_names_no_alarm_is_left_alone(bench: Callable[..., WatchBench]) -> None:
    async def scenario() -> None:
        one = bench()
        for payload in ("", "[]", '{"alarm_id": "a"}', "[" * 50_000):
            one.outbox.add(Lane.ALARM, 1, payload)
        await one.run(30)
        assert one.notified_by() == []

    asyncio.run(scenario())


def test_an_alarm_whose_time_was_wrong_is_found_under_its_new_onset(
    bench: Callable[..., WatchBench],
) -> None:
    one = bench()
    row = one.alarm()
    words = {"of": {row.message_id: "alarm-new"}, "shift_s": 1000.0}
    one.outbox.add(Lane.ALARM, 1, json.dumps(words))
    one.outbox.rows[-1] = replace(one.outbox.rows[-1], kind="redate")
    asyncio.run(one.run(1))
    one.watch = one.new_watch()  # a restart reads the lane again, and moves nothing twice
    asyncio.run(one.run(1))
    with one.engine.connect() as connection:
        onsets = list(connection.execute(select(alarm_road.c.onset_s)).scalars())
    assert onsets == [json.loads(row.payload)["onset_s"] + 1000.0]
