"""When the link may be used, what it has cost, and how fast messages leave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from cloud_sync.announcer import REST_AFTER_S, Announcer
from cloud_sync.lanes import Lane
from cloud_sync.link_policy import LinkPolicy, parse_window
from cloud_sync.link_record import LinkRecord, read_link
from cloud_sync.pace import BURST, Pace
from cloud_sync.ports import Answer, Delivered, TryLater
from cloud_sync.presence import INTERVAL_S, Presence
from cloud_sync.schema import open_database
from tests.cloud_sync.fakes import ManualClock, ScriptedPublisher


@pytest.mark.parametrize(
    ("text", "open_at", "closed_at"),
    [
        ("02:00-05:00", [120, 299], [119, 300, 720]),
        ("22:00-05:00", [1320, 1439, 0, 299], [300, 1319]),
    ],
)
def test_windows(text: str, open_at: list[int], closed_at: list[int]) -> None:
    window = parse_window(text)
    assert window is not None
    policy = LinkPolicy((window,))
    assert all(policy.lanes(minute, 0) == tuple(Lane) for minute in open_at)
    assert all(policy.lanes(minute, 0) == (Lane.ALARM,) for minute in closed_at)
    assert all(policy.rest_s(minute) == 0 for minute in open_at)


@pytest.mark.parametrize("text", ["", "2:00-5:00", "24:00-05:00", "02:00-02:00", "02:00–05:00"])
def test_what_is_no_window(text: str) -> None:
    assert parse_window(text) is None


@given(minute=st.integers(0, 1439))
def test_a_window_opens_when_it_was_said(minute: int) -> None:
    window = parse_window("22:00-05:00")
    assert window is not None
    policy = LinkPolicy((window,))
    assert policy.lanes((minute + policy.rest_s(minute) // 60) % 1440, 0) == tuple(Lane)


def test_a_spent_day_leaves_alarms_alone() -> None:
    policy = LinkPolicy(bytes_a_day=1_000_000)
    assert policy.lanes(0, 999_999) == tuple(Lane)
    assert policy.lanes(0, 1_000_000) == (Lane.ALARM,)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "delivered.sqlite3")
    yield engine
    engine.dispose()


def test_bytes_are_counted_by_the_day_and_over_a_restart(engine: Engine) -> None:
    day, clock = ["2026-11-22"], ManualClock()
    record = LinkRecord(engine, lambda: day[0], clock)
    record.spent(700)
    record.note("connected")
    again = LinkRecord(engine, lambda: day[0], clock)
    again.spent(50)
    assert again.bytes_today == 750
    day[0] = "2026-11-23"
    assert again.bytes_today == 0
    again.spent(5)
    assert again.bytes_today == 5


def test_the_link_is_written_when_it_changes_and_once_a_minute(engine: Engine) -> None:
    clock = ManualClock()
    record = LinkRecord(engine, lambda: "2026-11-22", clock)
    record.note("connected")
    record.spent(10)
    record.note("connected")
    saved = read_link(engine)
    assert saved is not None
    assert (saved.state, saved.since_s, saved.bytes_today) == ("connected", 1000.0, 0)
    clock.now_s += 60.0
    record.note("connected")
    saved = read_link(engine)
    assert saved is not None
    assert (saved.since_s, saved.bytes_today) == (1000.0, 10)


def test_the_pace_fills_up_to_a_burst() -> None:
    clock = ManualClock()
    pace = Pace(clock)
    for _ in range(BURST):
        assert pace.room() > 0
        pace.take(100)
    assert pace.room() == 0
    clock.now_s += pace.wait_s() + 1e-9
    assert pace.room() == 1
    clock.now_s += 3600.0
    assert pace.room() == BURST


def test_a_large_message_is_paid_for_by_its_bytes() -> None:
    clock = ManualClock()
    pace = Pace(clock)
    for _ in range(10):
        assert pace.room() > 0
        pace.take(100_000)
        clock.now_s += pace.wait_s() + 1e-9
    assert clock.now_s - 1000.0 == pytest.approx(10 * 100_000 / 400_000, rel=0.1)


class Line(ScriptedPublisher):
    """A publisher whose connection is the test's."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.up = False
        self.said: list[str] = []

    @property
    def connected(self) -> bool:
        return self.up

    async def announce(self) -> Answer:
        self.said.append("announce")
        self.up = isinstance(self.answer, Delivered)
        return self.answer

    async def close(self, farewell: Presence = Presence.STOPPED) -> None:
        self.said.append(farewell)
        self.up = False


def announced(line: Line, lanes: list[tuple[Lane, ...]], seconds: int) -> list[str]:
    async def scenario() -> list[str]:
        clock = ManualClock()
        announcer = Announcer(
            line,
            open_lanes=lambda: lanes[0],
            idle=lambda: True,
            new_backoff=lambda: iter([10.0] * 1000),
            monotonic=clock,
        )
        for _ in range(seconds):
            announcer.look()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            clock.now_s += 1.0
        return line.said

    return asyncio.run(scenario())


def test_an_open_link_is_held_and_heard_from() -> None:
    assert announced(Line(Delivered()), [tuple(Lane)], INTERVAL_S + 60) == ["announce"] * 2


def test_an_outage_is_tried_by_its_backoff() -> None:
    assert 9 <= len(announced(Line(TryLater("offline")), [tuple(Lane)], 100)) <= 11


def test_a_closed_link_is_given_up_when_it_is_idle() -> None:
    line = Line(Delivered())
    line.up = True
    assert announced(line, [(Lane.ALARM,)], int(REST_AFTER_S) + 10) == ["resting"]
