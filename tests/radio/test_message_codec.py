"""Sealed messages and their payloads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import DeviceId, SessionId
from gateway.radio import message_codec as codec
from gateway.radio.message_codec import (
    Acknowledgement,
    Answer,
    Command,
    Direction,
    HeldSession,
    MessageKey,
    MessageRefusal,
    MessageRefused,
    MessageType,
    SensorStatus,
    StatusFlags,
)

SESSION = SessionId(DeviceId(1), 2, bytes(range(16)))
DOWN = MessageKey(bytes(32), SESSION, Direction.DOWN)
UP = MessageKey(bytes(32), SESSION, Direction.UP)


def refusal_of(call, *arguments) -> MessageRefusal:
    with pytest.raises(MessageRefused) as refused:
        call(*arguments)
    return refused.value.reason


def test_each_direction_has_its_own_key():
    message = DOWN.seal(MessageType.START, 1, b"")
    assert refusal_of(UP.open, message) is MessageRefusal.NOT_AUTHENTIC


def test_the_same_message_is_never_the_same_bytes():
    assert DOWN.seal(MessageType.START, 1, b"") != DOWN.seal(MessageType.START, 1, b"")


@given(st.data())
def test_any_flipped_bit_is_refused(data):
    message = bytearray(DOWN.seal(MessageType.SET_SAMPLE_RATE, 9, b"\xfa\x00"))
    bit = data.draw(st.integers(0, 8 * len(message) - 1))
    message[bit // 8] ^= 1 << bit % 8
    reason = refusal_of(DOWN.open, bytes(message))
    assert reason in {MessageRefusal.NOT_AUTHENTIC, MessageRefusal.UNKNOWN_TYPE}


@given(st.binary(max_size=codec.MAX_MESSAGE_BYTES + 2))
def test_random_bytes_are_refused(message):
    with pytest.raises(MessageRefused):
        DOWN.open(message)


def test_a_payload_has_a_bound():
    assert len(DOWN.seal(MessageType.ANSWER, 1, bytes(256))) == codec.MAX_MESSAGE_BYTES
    with pytest.raises(ValueError, match="at most 256"):
        DOWN.seal(MessageType.ANSWER, 1, bytes(257))


def test_acknowledgement_round_trip_and_its_rules():
    ranges = tuple((10 * i + 2, 10 * i + 5) for i in range(8))
    acknowledgement = Acknowledgement(1, bytes(16), 1, 15, ranges)
    assert Acknowledgement.decode(acknowledgement.encode()) == acknowledgement
    for wrong in (((1, 2),), ((5, 4),), ((3, 4), (5, 6)), ((8, 9), (3, 4))):
        with pytest.raises(ValueError, match="ranges rise"):
            Acknowledgement(1, bytes(16), 1, 5, wrong)
    with pytest.raises(ValueError, match="5 to 60"):
        Acknowledgement(1, bytes(16), 0, 4)
    with pytest.raises(ValueError, match="at most 8"):
        Acknowledgement(1, bytes(16), 0, 5, tuple((10 * i + 2, 10 * i + 5) for i in range(9)))


@given(st.binary(max_size=120))
def test_random_payloads_decode_or_are_refused(payload):
    decoders = (
        Acknowledgement.decode,
        Answer.decode,
        codec.decode_held_report,
        SensorStatus.decode,
    )
    for decode in decoders:
        try:
            decode(payload)
        except MessageRefused:
            continue


def test_commands_know_their_arguments():
    assert Command.decode(MessageType.SET_SAMPLE_RATE, b"\xfa\x00").number == 250
    assert refusal_of(Command.decode, MessageType.START, b"x") is MessageRefusal.WRONG_SIZE
    assert refusal_of(Command.decode, MessageType.ANSWER, b"") is MessageRefusal.UNKNOWN_TYPE
    with pytest.raises(ValueError, match="legal sample rates"):
        Command.set_sample_rate(200)


def test_a_passed_counter_says_where_to_go_on():
    answer = Answer.decode(Answer.counter_passed(MessageType.STOP, 77).encode())
    assert answer.reached_counter == 77
    cut_short = Answer.counter_passed(MessageType.STOP, 77).encode()[:-1]
    assert refusal_of(Answer.decode, cut_short) is MessageRefusal.WRONG_SIZE


def test_held_report():
    held = (HeldSession(1, bytes(16), 4, 9), HeldSession(1, bytes(range(16)), 0, 0))
    assert codec.decode_held_report(codec.encode_held_report(held)) == held
    backwards = codec.encode_held_report((HeldSession(1, bytes(16), 9, 4),))
    assert refusal_of(codec.decode_held_report, backwards) is MessageRefusal.ILLEGAL_CONTENT


@pytest.mark.parametrize(("at", "value"), [(0, 2), (32, 101), (33, 32)])
def test_an_illegal_status_is_refused(at, value):
    status = SensorStatus((0, 1, 0), SESSION, 250_000, None, StatusFlags.SAMPLING)
    assert SensorStatus.decode(status.encode()) == status
    wrong = bytearray(status.encode())
    wrong[at] = value
    assert refusal_of(SensorStatus.decode, bytes(wrong)) is MessageRefusal.ILLEGAL_CONTENT
