"""The sensor's rules, with the time in the test's hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages import DeviceId, FrameFlags, SessionId
from gateway.radio.frame_codec import derive_frame_key, open_frame, read_header
from gateway.radio.message_codec import (
    Acknowledgement,
    Answer,
    AnswerCode,
    Command,
    Direction,
    HeldSession,
    MessageKey,
    MessageType,
    SealedHeader,
    SensorStatus,
    StatusFlags,
    decode_held_report,
)
from gateway.simulator.outbox import LEAST_HELD_FRAMES, Outbox
from gateway.simulator.sensor_core import SensorIdentity
from gateway.simulator.virtual_sensor import STRANGER_TIMEOUT_S, VirtualSensor

ROOT_KEY = bytes(range(32))
NO_FLAGS = FrameFlags(0)
STEPS = np.arange(187, dtype=np.int16)


class Bench:
    """A sensor whose salts count up, and the keys of whoever talks to it."""

    def __init__(self, outbox: Outbox | None = None, boot_id: int = 1) -> None:
        salts = itertools.count(100 * boot_id)
        self.sensor = VirtualSensor(
            SensorIdentity(DeviceId(42), boot_id, ROOT_KEY),
            250,
            outbox or Outbox(LEAST_HELD_FRAMES),
            lambda count: next(salts).to_bytes(count, "big"),
        )
        self.counter = 0

    def sample(self, frames: int = 1, flags: FrameFlags = NO_FLAGS) -> None:
        for _ in range(frames):
            self.sensor.sampled(STEPS, flags, 0)

    def say(self, type: MessageType, payload: bytes, counter: int | None = None) -> list[bytes]:
        self.counter = self.counter + 1 if counter is None else counter
        key = MessageKey(ROOT_KEY, self.sensor.session, Direction.DOWN)
        return self.sensor.received(key.seal(type, self.counter, payload), now_s=7.0)

    def order(self, command: Command, counter: int | None = None) -> Answer:
        """The answer to a command, opened under the session that the command was sent under."""
        session = self.sensor.session
        header = opened(self.say(command.type, command.argument, counter)[0], session)
        assert header.type is MessageType.ANSWER
        assert header.counter == self.counter
        return Answer.decode(header.payload)

    def acknowledge(self, session: SessionId, following: int) -> list[bytes]:
        payload = Acknowledgement(session.boot_id, session.salt, following).encode()
        return self.say(MessageType.ACKNOWLEDGEMENT, payload)

    def report(self, message: bytes) -> tuple[HeldSession, ...]:
        header = opened(message, self.sensor.session)
        assert header.type is MessageType.HELD_REPORT
        return decode_held_report(header.payload)


def opened(message: bytes, session: SessionId) -> SealedHeader:
    return MessageKey(ROOT_KEY, session, Direction.UP).open(message)


def held(session: SessionId, oldest: int, following: int) -> HeldSession:
    return HeldSession(session.boot_id, session.salt, oldest, following)


def test_frames_count_up_within_a_session_and_open_to_what_was_sampled() -> None:
    bench = Bench()
    bench.sample(3)
    key = derive_frame_key(ROOT_KEY, bench.sensor.session)
    frames = [open_frame(key, sealed) for sealed in bench.sensor.outbox.frames()]
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    assert all(np.array_equal(frame.steps, STEPS) for frame in frames)


def test_the_first_valid_message_is_followed_by_what_is_held() -> None:
    bench = Bench()
    bench.sample(3)
    bench.sensor.connected(0.0)
    answers = bench.acknowledge(bench.sensor.session, 1)
    assert [bench.report(answer) for answer in answers] == [(held(bench.sensor.session, 1, 3),)]
    assert bench.acknowledge(bench.sensor.session, 2) == []


def test_an_older_boots_frames_are_reported_and_forgotten_by_their_own_names() -> None:
    before = Bench()
    before.sample(2)
    bench = Bench(before.sensor.outbox, boot_id=2)
    bench.sensor.connected(0.0)
    old, new = before.sensor.session, bench.sensor.session
    report = bench.report(bench.say(MessageType.REQUEST_STATUS, b"")[1])
    assert report == (held(old, 0, 2), held(new, 0, 0))
    bench.acknowledge(old, 2)
    assert bench.sensor.outbox.held == 0


def test_a_frame_given_up_is_reported_without_being_asked() -> None:
    bench = Bench()
    bench.sensor.connected(0.0)
    bench.say(MessageType.REQUEST_STATUS, b"")
    bench.sample(LEAST_HELD_FRAMES)
    assert bench.sensor.overdue_report() == []
    bench.sample(5)
    reports = bench.sensor.overdue_report()
    expected = held(bench.sensor.session, 5, LEAST_HELD_FRAMES + 5)
    assert [bench.report(report) for report in reports] == [(expected,)]
    assert bench.sensor.overdue_report() == []


def test_a_passed_counter_is_refused_with_the_one_reached() -> None:
    bench = Bench()
    assert bench.order(Command(MessageType.REQUEST_STATUS), counter=9).code is AnswerCode.DONE
    for passed in (9, 8, 0):
        answer = bench.order(Command(MessageType.STOP), counter=passed)
        assert (answer.code, answer.reached_counter) == (AnswerCode.COUNTER_PASSED, 9)
    assert bench.sensor.sampling
    assert bench.order(Command(MessageType.STOP), counter=10).code is AnswerCode.DONE


def test_acknowledgements_may_repeat_a_counter() -> None:
    bench = Bench()
    bench.sample(2)
    payload = Acknowledgement(1, bench.sensor.session.salt, 1, resend_after_s=20).encode()
    bench.say(MessageType.ACKNOWLEDGEMENT, payload, counter=5)
    payload = Acknowledgement(1, bench.sensor.session.salt, 2).encode()
    bench.say(MessageType.ACKNOWLEDGEMENT, payload, counter=5)
    assert bench.sensor.outbox.held == 0


def test_stop_and_start_make_a_new_session() -> None:
    bench = Bench()
    before = bench.sensor.session
    bench.order(Command(MessageType.STOP))
    assert not SensorStatus.decode(bench.sensor.status()).flags & StatusFlags.SAMPLING
    bench.order(Command(MessageType.START))
    assert bench.sensor.sampling
    assert bench.sensor.session != before


def test_start_while_it_samples_changes_nothing() -> None:
    bench = Bench()
    before = bench.sensor.session
    assert bench.order(Command(MessageType.START)).code is AnswerCode.DONE
    assert bench.sensor.session == before


@pytest.mark.parametrize(
    ("rate_hz", "code"), [(500, AnswerCode.DONE), (251, AnswerCode.BAD_ARGUMENT)]
)
def test_the_sample_rate_is_set_to_a_legal_one(rate_hz: int, code: AnswerCode) -> None:
    bench = Bench()
    before = bench.sensor.session
    argument = rate_hz.to_bytes(2, "little")
    assert bench.order(Command(MessageType.SET_SAMPLE_RATE, argument)).code is code
    assert (bench.sensor.session == before) == (code is AnswerCode.BAD_ARGUMENT)
    assert bench.sensor.sample_rate_hz == (rate_hz if code is AnswerCode.DONE else 250)


def test_time_identify_and_status_are_obeyed_and_no_key_of_nobody_is_taken() -> None:
    bench = Bench()
    assert bench.order(Command.set_unix_time(1_000_000_000)).code is AnswerCode.DONE
    assert bench.sensor.unix_minus_device_us == 1_000_000_000 - 7_000_000
    assert bench.order(Command.identify(3)).code is AnswerCode.DONE
    assert bench.sensor.identifies_until_s == 10.0
    answer = bench.order(Command(MessageType.REQUEST_STATUS))
    assert answer.body == bench.sensor.status()
    answer = bench.order(Command(MessageType.ROTATE_KEY, bytes(32)))
    assert answer.code is AnswerCode.BAD_ARGUMENT


def test_lead_off_shows_in_the_status() -> None:
    bench = Bench()
    bench.sample(flags=FrameFlags.LEAD_OFF_POSITIVE | FrameFlags.CLIPPED)
    flags = SensorStatus.decode(bench.sensor.status()).flags
    assert flags == StatusFlags.PROVISIONED | StatusFlags.SAMPLING | StatusFlags.LEAD_OFF_POSITIVE


def test_a_stranger_is_dropped_after_ten_seconds() -> None:
    bench = Bench()
    assert not bench.sensor.must_drop(1e9)
    bench.sensor.connected(5.0)
    bench.sensor.received(bytes(60), 6.0)
    assert not bench.sensor.must_drop(5.0 + STRANGER_TIMEOUT_S - 0.01)
    assert bench.sensor.must_drop(5.0 + STRANGER_TIMEOUT_S)


def test_a_central_that_is_known_stays_until_it_goes() -> None:
    bench = Bench()
    bench.sensor.connected(0.0)
    bench.say(MessageType.REQUEST_STATUS, b"")
    assert not bench.sensor.must_drop(1e9)
    bench.sensor.disconnected()
    bench.sensor.connected(0.0)
    assert bench.sensor.must_drop(1e9)


def test_at_most_eight_sessions_are_reported_oldest_first() -> None:
    outbox = Outbox(LEAST_HELD_FRAMES)
    sessions = []
    for boot_id in range(1, 12):
        bench = Bench(outbox, boot_id)
        bench.sample()
        sessions.append(bench.sensor.session)
    report = bench.report(bench.say(MessageType.REQUEST_STATUS, b"")[1])
    assert [row.boot_id for row in report] == [1, 2, 3, 4, 5, 6, 7, 11]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_counted_and_answered_by_nothing(noise: bytes) -> None:
    bench = Bench()
    assert bench.sensor.received(noise, 0.0) == []
    assert bench.sensor.refused.total() == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["sample", "ack", "rate", "link", "stop", "start"]), max_size=40))
def test_no_nonce_is_ever_used_twice(events: list[str]) -> None:
    """(key, nonce) follows from (session, sequence): each names one sealed frame, for ever."""
    bench = Bench()
    seen: dict[tuple[SessionId, int], bytes] = {}
    for now_s, event in enumerate(events):
        match event:
            case "sample" if bench.sensor.sampling:
                bench.sample(2)
            case "ack":
                bench.acknowledge(bench.sensor.session, 1)
            case "rate":
                bench.order(Command.set_sample_rate(125))
            case "link":
                bench.sensor.disconnected()
                bench.sensor.connected(now_s)
            case "stop":
                bench.order(Command(MessageType.STOP))
            case "start":
                bench.order(Command(MessageType.START))
        sent = bench.sensor.outbox.take(now_s, bench.sensor.frame_period_s)
        for sealed in [*sent, *bench.sensor.outbox.frames()]:
            header = read_header(sealed)
            assert seen.setdefault((header.session, header.sequence), sealed) == sealed


def test_a_root_key_is_not_shown() -> None:
    identity = SensorIdentity(DeviceId(42), 1, ROOT_KEY)
    assert ROOT_KEY.hex() not in repr(identity)
    assert str(ROOT_KEY) not in repr(identity)
