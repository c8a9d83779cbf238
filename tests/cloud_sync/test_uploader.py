from __future__ import annotations

import asyncio
import tempfile
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.delivered import Outcome
from cloud_sync.lanes import Lane
from cloud_sync.ports import Answer, Delivered, Refused, TryLater
from cloud_sync.uploader import MAX_IN_FLIGHT, MAX_UNANSWERED
from tests.cloud_sync.fakes import Bench, MemoryOutbox, ScriptedPublisher

OFFLINE = TryLater("offline")
CUT = TryLater("the connection was lost", unanswered=True)


def test_alarms_before_summaries_before_waveforms(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        rows = [outbox.add(lane, 2) for lane in (Lane.WAVEFORM, Lane.SUMMARY, Lane.ALARM)]
        await Bench(tmp_path, outbox, publisher).turn(2)
        assert publisher.ids == [row.message_id for lane in reversed(rows) for row in lane]

    asyncio.run(scenario())


def test_a_new_alarm_overtakes_a_backlog(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.WAVEFORM, 100)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn(2)
        (alarm,) = outbox.add(Lane.ALARM)
        await bench.turn()
        assert publisher.ids.index(alarm.message_id) == 1 + MAX_IN_FLIGHT

    asyncio.run(scenario())


def test_at_most_twenty_in_flight(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.SUMMARY, 100)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn()
        publisher.hold()
        await bench.turn(5)
        assert publisher.most_in_flight == MAX_IN_FLIGHT
        publisher.release()
        await bench.turn(6)
        assert len(publisher.ids) == len(set(publisher.ids)) == 100

    asyncio.run(scenario())


def test_a_refused_message_goes_aside_and_blocks_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([Refused("not authorized")])
        first, second = outbox.add(Lane.ALARM, 2)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn(3)
        assert publisher.ids == [first.message_id, second.message_id]
        assert bench.delivery_log.count("alarm", Outcome.DELIVERED) == 1
        (end,) = bench.delivery_log.refused(10)
        assert (end.message_id, end.reason) == (first.message_id, "not authorized")

    asyncio.run(scenario())


def test_what_can_not_be_an_envelope_goes_aside_unsent(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.ALARM, 1, payload='{"a":"' + "x" * 100_000 + '"}')
        outbox.add(Lane.ALARM, 1, payload="not json")
        (good,) = outbox.add(Lane.ALARM)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn(2)
        assert publisher.ids == [good.message_id]
        assert bench.delivery_log.count("alarm", Outcome.REFUSED) == 2

    asyncio.run(scenario())


def test_an_outage_is_waited_out_with_growing_pauses(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([OFFLINE, OFFLINE])
        outbox.add(Lane.ALARM)
        bench = Bench(tmp_path, outbox, publisher)
        attempts = []
        for _ in range(8):
            await bench.turn()
            attempts.append(len(publisher.ids))
            bench.clock.now_s += 5.0
        assert attempts == [1, 1, 2, 2, 2, 2, 3, 3]  # 10 s after the first, 20 s after the next
        assert bench.delivery_log.count("alarm", Outcome.DELIVERED) == 1

    asyncio.run(scenario())


def test_after_a_failure_one_message_tries_the_link(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = MemoryOutbox()
        publisher = ScriptedPublisher([Delivered(), *[CUT] * MAX_IN_FLIGHT, OFFLINE])
        outbox.add(Lane.SUMMARY, 50)
        bench = Bench(tmp_path, outbox, publisher)
        sent = []
        for _ in range(5):
            before = len(publisher.ids)
            await bench.turn()
            sent.append(len(publisher.ids) - before)
            bench.clock.now_s += 60.0
        assert sent == [1, 20, 1, 1, 20]

    asyncio.run(scenario())


def test_a_lone_message_is_tried_again_though_nothing_else_happens(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([Delivered(), OFFLINE])
        outbox.add(Lane.ALARM)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn(2)
        outbox.add(Lane.ALARM)
        await bench.turn()
        bench.clock.now_s += 10.0
        await bench.turn()
        assert bench.delivery_log.count("alarm", Outcome.DELIVERED) == 2

    asyncio.run(scenario())


def test_each_outage_begins_with_the_shortest_pause(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = MemoryOutbox()
        publisher = ScriptedPublisher([OFFLINE, Delivered(), OFFLINE])
        outbox.add(Lane.ALARM, 2)
        bench = Bench(tmp_path, outbox, publisher)
        for _ in range(3):
            await bench.turn(2)
            bench.clock.now_s += 10.0
        assert bench.delivery_log.count("alarm", Outcome.DELIVERED) == 2

    asyncio.run(scenario())


def test_what_is_in_flight_is_not_sent_again_from_a_new_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.ALARM)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn()
        publisher.hold()
        outbox.add(Lane.ALARM, 3)
        await bench.turn()
        outbox.file = 2
        await bench.turn()
        publisher.release()
        await bench.turn(2)
        assert publisher.ids == [row.message_id for row in outbox.rows]

    asyncio.run(scenario())


def test_nobody_is_blamed_for_a_connection_that_ended_on_many(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = MemoryOutbox()
        cycle = [Delivered(), *[CUT] * MAX_IN_FLIGHT]
        publisher = ScriptedPublisher(cycle * 2 * MAX_UNANSWERED)
        outbox.add(Lane.SUMMARY, 50)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.until(lambda: bench.delivery_log.count("summary", Outcome.DELIVERED) == 50)
        assert bench.delivery_log.refused(10) == []

    asyncio.run(scenario())


def test_a_message_that_ends_each_connection_goes_aside(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([CUT] * MAX_UNANSWERED)
        poison, good = outbox.add(Lane.ALARM, 2)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.until(lambda: len(publisher.ids) > MAX_UNANSWERED)
        assert publisher.ids == [poison.message_id] * MAX_UNANSWERED + [good.message_id]
        (end,) = bench.delivery_log.refused(10)
        assert end.reason == "5 connections ended on it, the last: the connection was lost"

    asyncio.run(scenario())


def test_an_offline_week_puts_nothing_aside(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([OFFLINE] * 100)
        outbox.add(Lane.ALARM, 3)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.until(lambda: len(publisher.ids) == 103)
        await bench.turn()
        assert bench.delivery_log.count("alarm", Outcome.DELIVERED) == 3
        assert bench.delivery_log.refused(10) == []

    asyncio.run(scenario())


def test_a_restart_sends_nothing_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher([Delivered(), Refused("no")])
        outbox.add(Lane.SUMMARY, 30)
        await Bench(tmp_path, outbox, publisher).turn(4)
        assert len(publisher.ids) == 30
        (new,) = outbox.add(Lane.SUMMARY)
        await Bench(tmp_path, outbox, publisher).turn(4)
        assert publisher.ids[30:] == [new.message_id]

    asyncio.run(scenario())


def test_a_restored_backup_that_counts_anew_hides_no_alarm(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.ALARM, 3)
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn(3)
        outbox.rows, outbox.file = outbox.rows[:1], 2
        again = outbox.add(Lane.ALARM)
        await bench.turn(2)
        assert publisher.ids[3:] == [again[0].message_id]

    asyncio.run(scenario())


def test_no_outbox_is_no_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.there = False
        bench = Bench(tmp_path, outbox, publisher)
        await bench.turn(2)
        outbox.there = True
        outbox.add(Lane.ALARM)
        await bench.turn()
        assert len(publisher.ids) == 1

    asyncio.run(scenario())


def test_a_quiet_outbox_is_not_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        reads = 0

        class CountingOutbox(MemoryOutbox):
            def pending(self, *question: object) -> list[object]:
                nonlocal reads
                reads += 1
                return []

        bench = Bench(tmp_path, CountingOutbox(), ScriptedPublisher())
        await bench.turn(10)
        assert reads == len(Lane)

    asyncio.run(scenario())


def test_an_orderly_stop_waits_for_the_last_acknowledgement(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher()
        outbox.add(Lane.ALARM)
        publisher.hold()
        bench = Bench(tmp_path, outbox, publisher)
        stop, turns = asyncio.Event(), []
        running = asyncio.create_task(bench.uploader.run(stop, lambda: turns.append(1)))
        while not publisher.ids:
            await asyncio.sleep(0)
        stop.set()
        for _ in range(10):  # past the last turn
            await asyncio.sleep(0)
        publisher.release()
        await running
        assert bench.delivery_log.count("alarm", Outcome.DELIVERED) == 1
        assert turns

    asyncio.run(scenario())


def test_a_programming_error_ends_the_run(tmp_path: Path) -> None:
    class Broken(ScriptedPublisher):
        async def publish(self, envelope: object) -> Answer:
            raise ZeroDivisionError

    async def scenario() -> None:
        outbox = MemoryOutbox()
        outbox.add(Lane.ALARM)
        await Bench(tmp_path, outbox, Broken()).uploader.run(asyncio.Event(), lambda: None)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(scenario())


answers = st.sampled_from([Delivered(), Refused("no"), OFFLINE, CUT])


@settings(max_examples=30, deadline=None)
@given(
    lanes=st.lists(st.sampled_from(list(Lane)), max_size=60),
    script=st.lists(answers, max_size=80),
    restart_every=st.integers(2, 20),
)
def test_whatever_the_broker_answers(
    lanes: list[Lane], script: list[Answer], restart_every: int
) -> None:
    """Each row ends once, nothing acknowledged goes out again, lanes first go out in order."""

    async def scenario(directory: Path) -> None:
        outbox, publisher = MemoryOutbox(), ScriptedPublisher(script)
        for lane in lanes:
            outbox.add(lane)
        said = dict.fromkeys((row.message_id for row in outbox.rows), 0)
        bench = Bench(directory, outbox, publisher)
        for turn in count():
            if turn % restart_every == 0:
                bench = Bench(directory, outbox, publisher)
            await bench.turn()
            bench.clock.now_s += 3600.0
            if bench.delivery_log.settled(said) == set(said):
                break
        given_out = [*script, *[Delivered()] * len(publisher.ids)]
        for message_id, answer in zip(publisher.ids, given_out, strict=False):
            said[message_id] += isinstance(answer, Delivered | Refused)
        assert set(said.values()) <= {0, 1}  # 0: went aside after too many cut connections
        first_sent = list(dict.fromkeys(publisher.ids))
        for lane in Lane:
            in_lane = [row.message_id for row in outbox.rows if row.lane == lane]
            assert [sent for sent in first_sent if sent in set(in_lane)] == in_lane

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(Path(directory)))
