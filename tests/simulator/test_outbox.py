"""What a sensor holds: nothing is forgotten unacknowledged, nothing lost stays lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.messages import DeviceId, SessionId
from gateway.simulator.outbox import (
    BACKLOG_BURST_FRAMES,
    LEAST_HELD_FRAMES,
    WINDOW_FRAMES,
    Outbox,
)

SESSION = SessionId(DeviceId(1), 1, bytes(16))
LATER = SessionId(DeviceId(1), 1, bytes([1]) * 16)
PERIOD_S = 0.5


def name(session: SessionId, sequence: int) -> bytes:
    return session.salt[:1] + sequence.to_bytes(4, "big")


def filled(frames: int, live: bool = False, session: SessionId = SESSION) -> Outbox:
    outbox = Outbox(LEAST_HELD_FRAMES)
    for sequence in range(frames):
        outbox.add(session, sequence, name(session, sequence), live)
    return outbox


def sequences(sent: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(frame[1:], "big") for frame in sent]


def test_live_goes_first_and_the_backlog_follows_oldest_first() -> None:
    outbox = filled(20)
    outbox.add(SESSION, 20, name(SESSION, 20), live=True)
    outbox.add(SESSION, 21, name(SESSION, 21), live=True)
    assert sequences(outbox.take(100.0, PERIOD_S)) == [20, 21, *range(int(BACKLOG_BURST_FRAMES))]


def test_the_backlog_goes_at_four_times_real_time() -> None:
    outbox = filled(150)
    outbox.take(100.0, PERIOD_S)  # the burst
    sent = [len(outbox.take(100.0 + tick * PERIOD_S / 2, PERIOD_S)) for tick in range(1, 41)]
    assert sent == [2] * 40


def test_the_backlog_of_an_older_session_goes_before_a_newer_ones() -> None:
    outbox = filled(2)
    outbox.add(LATER, 0, name(LATER, 0), live=False)
    assert outbox.take(100.0, PERIOD_S) == [name(SESSION, 0), name(SESSION, 1), name(LATER, 0)]


def test_a_frame_that_a_later_acknowledgement_passes_over_is_sent_again() -> None:
    outbox = filled(5, live=True)
    outbox.take(100.0, PERIOD_S)
    outbox.acknowledge(SESSION, 2, [(3, 4)], 100.1)
    assert outbox.acknowledged == 4
    assert sequences(outbox.take(100.2, PERIOD_S)) == [2]
    assert outbox.resent == 1


def test_a_frame_that_was_sent_after_the_acknowledged_one_is_still_under_way() -> None:
    outbox = filled(5, live=True)
    outbox.take(100.0, PERIOD_S)
    outbox.acknowledge(SESSION, 3, [], 100.1)
    assert outbox.take(100.2, PERIOD_S) == []


@pytest.mark.parametrize("patience_s", [5.0, 15.0])
def test_all_is_sent_again_when_no_acknowledgement_comes(patience_s: float) -> None:
    outbox = Outbox(LEAST_HELD_FRAMES)
    outbox.resend_after_s = patience_s
    outbox.add(SESSION, 0, name(SESSION, 0), live=True)
    assert len(outbox.take(100.0, PERIOD_S)) == 1
    assert outbox.take(100.0 + patience_s - 0.01, PERIOD_S) == []
    assert sequences(outbox.take(100.0 + patience_s, PERIOD_S)) == [0]


def test_an_acknowledgement_of_something_new_renews_the_patience() -> None:
    outbox = filled(2, live=True)
    outbox.take(100.0, PERIOD_S)
    outbox.acknowledge(SESSION, 1, [], 104.0)
    outbox.acknowledge(SESSION, 1, [], 108.0)
    assert outbox.take(108.9, PERIOD_S) == []
    assert sequences(outbox.take(109.0, PERIOD_S)) == [1]


def test_another_sessions_acknowledgement_does_not_hide_a_lost_last_frame() -> None:
    outbox = filled(1, live=True)
    outbox.add(LATER, 0, name(LATER, 0), live=True)
    outbox.take(100.0, PERIOD_S)
    outbox.acknowledge(LATER, 1, [], 104.0)
    assert outbox.take(105.0, PERIOD_S) == [name(SESSION, 0)]


def test_a_lost_link_makes_a_backlog_of_what_was_under_way() -> None:
    outbox = filled(3, live=True)
    outbox.take(100.0, PERIOD_S)
    outbox.link_lost()
    assert sequences(outbox.take(101.0, PERIOD_S)) == [0, 1, 2]


def test_at_most_a_window_is_under_way() -> None:
    outbox = Outbox(10 * WINDOW_FRAMES)
    for sequence in range(WINDOW_FRAMES + 1):
        outbox.add(SESSION, sequence, name(SESSION, sequence), live=True)
    assert len(outbox.take(100.0, PERIOD_S)) == WINDOW_FRAMES
    assert outbox.take(100.1, PERIOD_S) == []
    outbox.acknowledge(SESSION, 1, [], 100.2)
    assert sequences(outbox.take(100.3, PERIOD_S)) == [WINDOW_FRAMES]


def test_a_full_ring_gives_up_the_oldest_and_counts_it() -> None:
    outbox = filled(LEAST_HELD_FRAMES + 2)
    assert outbox.held == LEAST_HELD_FRAMES
    assert outbox.overwritten == 2
    assert outbox.oldest(SESSION) == 2


def test_a_sensor_holds_a_minute_at_least() -> None:
    with pytest.raises(ValueError, match="161"):
        Outbox(LEAST_HELD_FRAMES - 1)


class SensorAndGateway(RuleBasedStateMachine):
    """A radio that loses what it likes; what is held and what has arrived are together all."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(10_000)
        self.made = 0
        self.arrived: set[int] = set()
        self.acknowledged: set[int] = set()
        self.now_s = 100.0

    @rule(live=st.booleans())
    def make(self, live: bool) -> None:
        self.outbox.add(SESSION, self.made, name(SESSION, self.made), live)
        self.made += 1

    @rule(elapsed_s=st.floats(0, 8), lost=st.sets(st.integers(0, 8)))
    def send(self, elapsed_s: float, lost: set[int]) -> None:
        self.now_s += elapsed_s
        for place, sequence in enumerate(sequences(self.outbox.take(self.now_s, PERIOD_S))):
            if place not in lost:
                self.arrived.add(sequence)

    @precondition(lambda self: self.arrived)
    @rule()
    def acknowledge(self) -> None:
        self._acknowledge()

    @rule()
    def lose_link(self) -> None:
        self.outbox.link_lost()

    @invariant()
    def nothing_is_forgotten_unacknowledged(self) -> None:
        held = set(sequences(list(self.outbox.frames())))
        assert held == set(range(self.made)) - self.acknowledged
        assert self.outbox.held == len(held)

    def teardown(self) -> None:
        """A radio that loses nothing any more delivers all that is left."""
        for _ in range(4 * self.made + 10):
            self.send(1.0, set())
            self._acknowledge()
        assert self.arrived == set(range(self.made))
        assert self.outbox.held == 0

    def _acknowledge(self) -> None:
        following = next(n for n in range(self.made + 1) if n not in self.arrived)
        above = sorted(n for n in self.arrived if n > following)[:8]
        self.outbox.acknowledge(SESSION, following, [(n, n) for n in above], self.now_s)
        self.acknowledged |= {*range(following), *above}


TestSensorAndGateway = SensorAndGateway.TestCase
TestSensorAndGateway.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 50)), max_size=8))
def test_any_acknowledgement_forgets_exactly_what_it_names(pairs: list[tuple[int, int]]) -> None:
    outbox = filled(30, live=True)
    outbox.take(1.0, PERIOD_S)
    ranges = [(first, first + more) for first, more in pairs]
    outbox.acknowledge(SESSION, 3, ranges, 1.0)
    named = {n for n in range(30) if n < 3 or any(a <= n <= b for a, b in ranges)}
    assert set(sequences(list(outbox.frames()))) == set(range(30)) - named
