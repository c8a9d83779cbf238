"""The delivery of a row as a state machine, walked at random: answers, cuts, acknowledgements, a
lost link, restarts and a person's word on the quarantine, in any order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cloud_sync.awaited import RESEND_LONGEST_S
from cloud_sync.delivered import Outcome
from cloud_sync.lanes import Lane
from cloud_sync.ports import Answer, Delivered, Envelope, Refused, TryLater
from cloud_sync.uploader import MAX_IN_FLIGHT
from tests.cloud_sync.fakes import Bench, MemoryOutbox, ScriptedPublisher

ANSWERS = [
    Delivered(),
    Delivered(),
    Refused("no"),
    TryLater("offline"),
    TryLater("the connection was lost", unanswered=True),
    TryLater("nobody listens", lane_only=True),
]


class HeldPublisher(ScriptedPublisher):
    """Each publish waits for its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Envelope, asyncio.Future[Answer]]] = []

    async def publish(self, envelope: Envelope) -> Answer:
        self.published.append(envelope)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting.append((envelope, answer))
        return await answer


class Delivery(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.outbox = MemoryOutbox()
        self.now_s = 1000.0
        self.done: set[str] = set()  # delivered by all that we were told
        self.sent: list[str] = []  # by any life of the daemon, in order
        self.start()

    def start(self) -> None:
        self.publisher = HeldPublisher()
        self.bench = Bench(Path(self.folder.name), self.outbox, self.publisher, {Lane.ALARM})
        self.bench.clock.now_s = self.now_s

    def step(self) -> None:
        seen = len(self.publisher.published)
        before = set(self.done)
        self.loop.run_until_complete(self.bench.turn())
        self.now_s = self.bench.clock.now_s
        fresh = self.publisher.ids[seen:]
        assert not before & set(fresh), "sent again though it was delivered"
        self.sent += fresh

    @rule(lane=st.sampled_from([Lane.ALARM, Lane.SUMMARY]), count=st.integers(1, 30))
    def rows_come(self, lane: Lane, count: int) -> None:
        self.outbox.add(lane, count)
        self.step()

    @precondition(lambda self: self.publisher.waiting)
    @rule(which=st.integers(0, 99), answer=st.sampled_from(ANSWERS))
    def the_broker_answers(self, which: int, answer: Answer) -> None:
        envelope, waiting = self.publisher.waiting.pop(which % len(self.publisher.waiting))
        waiting.set_result(answer)
        if isinstance(answer, Delivered) and "/summary" in envelope.topic:
            self.done.add(envelope.message_id)
        self.step()

    @precondition(lambda self: self.publisher.waiting)
    @rule()
    def the_connection_ends(self) -> None:
        for _, waiting in self.publisher.waiting:
            waiting.set_result(TryLater("the connection was lost", unanswered=True))
        self.publisher.waiting.clear()
        self.step()

    @precondition(lambda self: self.publisher.published)
    @rule(which=st.integers(0, 999))
    def the_cloud_acknowledges(self, which: int) -> None:
        alarms = [e.message_id for e in self.publisher.published if "/alarm" in e.topic]
        if alarms:
            message_id = alarms[which % len(alarms)]
            waited_for = not self.bench.delivery_log.settled([message_id])
            self.bench.uploader.acknowledged([message_id])
            if waited_for and self.bench.delivery_log.settled([message_id]):
                self.done.add(message_id)
        self.step()

    @rule(seconds=st.sampled_from([1.0, 15.0, 60.0, RESEND_LONGEST_S]))
    def time_passes(self, seconds: float) -> None:
        self.bench.clock.now_s += seconds
        self.step()

    @rule()
    def the_daemon_is_killed(self) -> None:
        for _, waiting in self.publisher.waiting:
            waiting.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.start()

    @rule()
    def a_person_retries_all(self) -> None:
        other = Bench(Path(self.folder.name), self.outbox, self.publisher)
        other.delivery_log.retry(None)
        other.engine.dispose()
        self.step()

    @invariant()
    def the_window_holds(self) -> None:
        in_flight = [envelope.message_id for envelope, _ in self.publisher.waiting]
        assert len(in_flight) == len(set(in_flight)) <= MAX_IN_FLIGHT

    @invariant()
    def lanes_are_first_sent_in_order(self) -> None:
        first = list(dict.fromkeys(self.sent))
        for lane in (Lane.ALARM, Lane.SUMMARY):
            rows = [row.message_id for row in self.outbox.rows if row.lane is lane]
            of_lane = [message_id for message_id in first if message_id.startswith(lane)]
            assert of_lane == rows[: len(of_lane)]

    def teardown(self) -> None:
        """The link is well from now on: each row ends, delivered or in quarantine."""
        if not hasattr(self, "loop"):
            return
        everything = [row.message_id for row in self.outbox.rows]
        for _ in range(400):
            for envelope, waiting in self.publisher.waiting:
                waiting.set_result(Delivered())
                if "/alarm" in envelope.topic:
                    self.bench.uploader.acknowledged([envelope.message_id])
            self.publisher.waiting.clear()
            self.loop.run_until_complete(self.bench.turn())
            self.bench.clock.now_s += RESEND_LONGEST_S
            if self.bench.delivery_log.settled(everything) == set(everything):
                break
        assert self.bench.delivery_log.settled(everything) == set(everything)
        refused = {end.message_id for end in self.bench.delivery_log.refused(10_000)}
        assert not refused & self.done
        delivered = sum(self.bench.delivery_log.count(lane, Outcome.DELIVERED) for lane in Lane)
        assert delivered + len(refused) == len(everything)
        self.loop.close()
        self.folder.cleanup()


Delivery.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestDelivery = Delivery.TestCase
