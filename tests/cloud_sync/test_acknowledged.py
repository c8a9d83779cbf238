"""Alarms on AWS: delivered is what the cloud itself has acknowledged."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cloud_sync.delivered import Outcome
from cloud_sync.lanes import Lane
from cloud_sync.ports import Delivered, Refused, TryLater
from tests.cloud_sync.fakes import Bench, MemoryOutbox, ScriptedPublisher


class AwsBench(Bench):
    def __init__(self, directory: Path, outbox: MemoryOutbox, publisher: ScriptedPublisher) -> None:
        super().__init__(directory, outbox, publisher, {Lane.ALARM})

    @property
    def delivered(self) -> int:
        return self.delivery_log.count("alarm", Outcome.DELIVERED)


def test_a_puback_is_no_delivery_of_an_alarm(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        (alarm,) = outbox.add(Lane.ALARM)
        outbox.add(Lane.SUMMARY)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn(3)
        assert bench.delivered == 0
        assert bench.delivery_log.count("summary", Outcome.DELIVERED) == 1
        assert not bench.uploader.idle
        bench.uploader.acknowledged([alarm.message_id])
        assert bench.delivered == 1
        assert bench.uploader.idle

    asyncio.run(scenario())


def test_what_is_not_acknowledged_goes_again_under_the_same_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        first, second = outbox.add(Lane.ALARM, 2)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn(3)
        bench.uploader.acknowledged([first.message_id])
        await bench.turn(60)  # a second each; the waits are 10 s, 20 s, 30 s
        repeats = publisher.ids[2:]
        assert set(repeats) == {second.message_id}
        assert 2 <= len(repeats) <= 4
        bench.uploader.acknowledged([second.message_id])
        sent = len(publisher.ids)
        await bench.turn(60)
        assert len(publisher.ids) == sent

    asyncio.run(scenario())


def test_an_acknowledgement_may_overtake_the_puback(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([Refused("no"), Delivered()])
        first, second = outbox.add(Lane.ALARM, 2)
        bench = AwsBench(tmp_path, outbox, publisher)
        publisher.hold()
        for row in (first, second):
            await bench.turn()
            bench.uploader.acknowledged([row.message_id])
            publisher.release()
            await bench.turn()
            publisher.hold()
        assert bench.delivered == 2
        assert bench.delivery_log.refused(10) == []
        assert bench.uploader.idle

    asyncio.run(scenario())


def test_an_acknowledgement_of_something_else_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.ALARM)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn(2)
        bench.uploader.acknowledged(["another's", ""])
        assert bench.delivered == 0

    asyncio.run(scenario())


def test_a_restart_sends_again_what_was_not_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        rows = outbox.add(Lane.ALARM, 3)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn(3)
        bench.uploader.acknowledged([rows[1].message_id])
        await AwsBench(tmp_path, outbox, publisher).turn(3)
        assert publisher.ids[3:] == [rows[0].message_id, rows[2].message_id]

    asyncio.run(scenario())


def test_a_cloud_that_never_acknowledges_holds_nothing_else_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.ALARM, 50)
        outbox.add(Lane.SUMMARY, 100)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn(30)
        assert bench.delivery_log.count("summary", Outcome.DELIVERED) == 100

    asyncio.run(scenario())


def test_a_lane_that_nobody_listens_to_rests_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = MemoryOutbox()
        unheard = TryLater("no matching subscribers", lane_only=True)
        publisher = ScriptedPublisher([unheard])
        outbox.add(Lane.SUMMARY)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn()
        (alarm,) = outbox.add(Lane.ALARM)
        await bench.turn()
        assert publisher.ids[1] == alarm.message_id
        await bench.turn(12)
        assert bench.delivery_log.count("summary", Outcome.DELIVERED) == 1

    asyncio.run(scenario())


def test_a_closed_link_lets_alarms_through_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.SUMMARY)
        (alarm,) = outbox.add(Lane.ALARM)
        bench = AwsBench(tmp_path, outbox, publisher)
        bench.lanes = (Lane.ALARM,)
        await bench.turn(3)
        assert publisher.ids == [alarm.message_id]
        bench.lanes = tuple(Lane)
        await bench.turn(2)
        assert bench.delivery_log.count("summary", Outcome.DELIVERED) == 1

    asyncio.run(scenario())


def test_a_word_on_the_quarantine_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([Refused("too large")])
        (row,) = outbox.add(Lane.SUMMARY)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn(2)
        other = Bench(tmp_path, outbox, publisher)  # stands for `ecg-cloud-sync quarantine`
        assert other.delivery_log.retry([row.message_id]) == 1
        await bench.turn(2)
        assert publisher.ids == [row.message_id] * 2
        assert bench.delivery_log.count("summary", Outcome.DELIVERED) == 1

    asyncio.run(scenario())


def test_what_was_dropped_is_never_sent_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([Refused("too large")])
        outbox.add(Lane.SUMMARY)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn(2)
        assert bench.delivery_log.drop(None) == 1
        await AwsBench(tmp_path, outbox, publisher).turn(2)
        assert len(publisher.ids) == 1
        assert bench.delivery_log.refused(9) == []

    asyncio.run(scenario())


def test_at_most_eighty_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.SUMMARY, 500)
        bench = AwsBench(tmp_path, outbox, publisher)
        await bench.turn()
        bench.clock.now_s += 1.0
        before, begun_s = len(publisher.ids), bench.clock.now_s
        while bench.clock.now_s < begun_s + 2.0:
            bench.uploader.send()
            for _ in range(5):
                await asyncio.sleep(0)
            bench.uploader.hear()
            bench.clock.now_s += 0.01
        assert 2 * 80 - 20 <= len(publisher.ids) - before <= 2 * 80 + 20

    asyncio.run(scenario())
