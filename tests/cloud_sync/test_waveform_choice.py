"""Which frames are sent, by policy and on request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud_sync.config import WaveformPolicy
from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.lanes import Lane
from cloud_sync.ports import OutboxRow
from cloud_sync.schema import open_database
from cloud_sync.stretches import MAX_FRAMES, MAX_REQUESTED_FRAMES, Stretch
from cloud_sync.waveform_choice import (
    AROUND_DUE_S,
    AROUND_FRAMES,
    WaveformChoice,
    read_acknowledgement,
)
from cloud_sync.waveform_jobs import WaveformJobs
from tests.cloud_sync.fakes import ManualClock

SESSION = {"device": "ECG-0000002A", "boot_id": 5, "salt": "ab" * 16}


class Choice:
    def __init__(self, engine: Engine, policy: WaveformPolicy) -> None:
        self.engine = engine
        self.clock = ManualClock()
        self.jobs = WaveformJobs(engine, self.clock)
        self.choice = WaveformChoice(policy, self.jobs, self.clock)

    def pass_minute(self, first: int = 80, last: int = 160) -> None:
        words = {**SESSION, "first_sequence": first, "last_sequence": last}
        self.choice.passing(OutboxRow(1, "m", Lane.SUMMARY, "summary", 1000.0, json.dumps(words)))

    def pass_alarm(self, strip: object) -> None:
        words = json.dumps({**SESSION, "strip": strip})
        self.choice.passing(OutboxRow(1, "a", Lane.ALARM, "alarm", 1000.0, words))

    def request(self, first: int, last: int, request_id: str = "r-1") -> None:
        words = {"id": request_id, **SESSION, "first_sequence": first, "last_sequence": last}
        self.choice.requested(json.dumps(words).encode())

    def waiting(self) -> list[tuple[int, int]]:
        rows = self.jobs.pending(0, 1000)
        stretches = [Stretch.of(json.loads(row.payload)) for row in rows]
        return [(stretch.first_sequence, stretch.last_sequence) for stretch in stretches]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "delivered.sqlite3")
    yield engine
    engine.dispose()


STRIP = {"first_sequence": 100, "last_sequence": 113, "sample_rate_hz": 250}


def test_on_request_nothing_goes_by_itself(engine: Engine) -> None:
    one = Choice(engine, WaveformPolicy.REQUEST)
    one.pass_minute()
    one.pass_alarm(STRIP)
    one.clock.now_s += 1000.0
    assert one.waiting() == []
    one.request(7, 9)
    assert one.waiting() == [(7, 9)]


def test_all_is_each_minute_once(engine: Engine) -> None:
    one = Choice(engine, WaveformPolicy.ALL)
    before = one.jobs.version
    one.pass_minute()
    one.pass_minute()  # sent again after a cut
    assert one.waiting() == [(80, 160)]
    assert one.jobs.version != before


def test_around_alarms_the_frames_behind_are_waited_for(engine: Engine) -> None:
    one = Choice(engine, WaveformPolicy.ALARMS)
    one.pass_minute()
    one.pass_alarm(STRIP)
    one.pass_alarm(None)  # it has ended
    one.jobs.look()
    before = one.jobs.version
    one.clock.now_s += AROUND_DUE_S - 1
    one.jobs.look()
    assert (one.waiting(), one.jobs.version) == ([], before)
    one.clock.now_s += 1
    one.jobs.look()
    assert one.waiting() == [(100 - AROUND_FRAMES, 113 + AROUND_FRAMES)]
    assert one.jobs.version != before


def test_a_request_is_cut_into_messages(engine: Engine) -> None:
    one = Choice(engine, WaveformPolicy.REQUEST)
    one.request(0, 2 * MAX_FRAMES)
    assert one.waiting() == [(0, 199), (200, 399), (400, 400)]
    one.request(0, 199, "r-2")  # somebody else asks: another message
    assert len(one.waiting()) == 4


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 50_000,
        b'{"id": 1}',
        json.dumps({"id": "r", **SESSION, "first_sequence": 2, "last_sequence": 1}).encode(),
        json.dumps({"id": "r", **SESSION, "first_sequence": -1, "last_sequence": 1}).encode(),
        json.dumps({"id": "r", **SESSION, "first_sequence": 0, "last_sequence": 2**32}).encode(),
        json.dumps(
            {"id": "r", **SESSION, "first_sequence": 0, "last_sequence": MAX_REQUESTED_FRAMES}
        ).encode(),
        json.dumps(
            {"id": "r", **SESSION, "device": "../x", "first_sequence": 0, "last_sequence": 1}
        ).encode(),
        json.dumps(
            {"id": "r", **SESSION, "salt": 7, "first_sequence": 0, "last_sequence": 1}
        ).encode(),
    ],
)
def test_nonsense_is_no_request(engine: Engine, payload: bytes) -> None:
    one = Choice(engine, WaveformPolicy.REQUEST)
    one.choice.requested(payload)
    assert one.waiting() == []


def test_jobs_that_are_done_are_forgotten_and_numbers_never_repeat(engine: Engine) -> None:
    one = Choice(engine, WaveformPolicy.REQUEST)
    one.request(0, 9)
    (row,) = one.jobs.pending(0, 9)
    end = Settlement(row.message_id, Lane.WAVEFORM, row.id, Outcome.DELIVERED, 1000.0)
    DeliveryLog(engine).settle([end])
    one.clock.now_s += 3600.0
    one.jobs.look()
    one.jobs.look()
    one.clock.now_s += 3600.0
    one.jobs.look()
    assert one.waiting() == []
    one.request(10, 19)
    (later,) = one.jobs.pending(0, 9)
    assert later.id > row.id


def test_acknowledgements() -> None:
    read = read_acknowledgement(b'{"version": 1, "ids": ["a", "b"], "notified": ["a"]}')
    assert read is not None
    assert (read.ids, read.notified) == (("a", "b"), ("a",))
    for nonsense in (b"", b"7", b"\xff", b'{"ids": "a"}', b'{"ids": [' + b'"a",' * 100 + b'"a"]}'):
        assert read_acknowledgement(nonsense) is None
