"""The golden vectors that every implementation of docs/protocol.md must reproduce."""

from pathlib import Path

import numpy as np
import pytest

from gateway.messages import DeviceId, FrameSequence, SessionId
from gateway.radio import message_codec as codec
from gateway.radio.frame_codec import FrameHeader, derive_frame_key, open_frame, seal_frame
from gateway.radio.pieces import cut

VECTORS = Path(__file__).parents[1] / "vectors" / "protocol.txt"


def read_vectors(path: Path) -> dict[str, bytes]:
    """Lines of `name = hex`; blank lines and lines that start with # are skipped."""
    lines = (line.strip() for line in path.read_text("ascii").splitlines())
    pairs = (line.split("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): bytes.fromhex(value) for name, value in pairs}


@pytest.fixture(scope="module")
def vectors() -> dict[str, bytes]:
    return read_vectors(VECTORS)


@pytest.fixture(scope="module")
def session(vectors: dict[str, bytes]) -> SessionId:
    device_id = int.from_bytes(vectors["device_id"], "little")
    boot_id = int.from_bytes(vectors["boot_id"], "little")
    return SessionId(DeviceId(device_id), boot_id, vectors["salt"])


def test_frame_key(vectors, session):
    key = derive_frame_key(vectors["root_key"], session)
    assert key.key == vectors["frame_key"]
    assert key.fixed == vectors["frame_nonce_fixed"]
    assert key.nonce(0x01020304) == vectors["frame_nonce"]


def test_frame_seals_to_the_golden_bytes_and_opens_again(vectors, session):
    key = derive_frame_key(vectors["root_key"], session)
    steps = np.frombuffer(vectors["frame_samples"], "<i2").astype(np.int16)
    header = FrameHeader(session, FrameSequence(0x01020304), 0b0101, 123_456_789_012, 250)
    assert seal_frame(key, header, steps) == vectors["frame"]
    frame = open_frame(key, vectors["frame"])
    assert frame.sequence == 0x01020304
    assert np.array_equal(frame.steps, steps)


@pytest.mark.parametrize("mtu", [23, 247, 517])
def test_pieces(vectors, mtu):
    pieces = cut(vectors["frame"], mtu - 3, 0x04)
    assert len(pieces) == {23: 25, 247: 2, 517: 1}[mtu]
    assert b"".join(pieces) == vectors[f"frame_pieces_mtu_{mtu}"]


ACKNOWLEDGEMENT = codec.Acknowledgement(7, bytes(range(16)), 100, 15, ((102, 105), (200, 200)))
HELD = (codec.HeldSession(7, bytes(range(16)), 90, 260), codec.HeldSession(6, bytes(16), 5, 5))
MESSAGES = {
    "acknowledgement": (codec.MessageType.ACKNOWLEDGEMENT, 1, ACKNOWLEDGEMENT.encode()),
    "start": (codec.MessageType.START, 2, b""),
    "stop": (codec.MessageType.STOP, 3, b""),
    "set_sample_rate": (
        codec.MessageType.SET_SAMPLE_RATE,
        4,
        codec.Command.set_sample_rate(250).argument,
    ),
    "set_unix_time": (
        codec.MessageType.SET_UNIX_TIME,
        5,
        codec.Command.set_unix_time(1_790_000_000_000_000).argument,
    ),
    "identify": (codec.MessageType.IDENTIFY, 6, codec.Command.identify(10).argument),
    "rotate_key": (codec.MessageType.ROTATE_KEY, 7, bytes(range(32))),
    "request_status": (codec.MessageType.REQUEST_STATUS, 8, b""),
    "answer_done": (
        codec.MessageType.ANSWER,
        2,
        codec.Answer(codec.MessageType.START, codec.AnswerCode.DONE).encode(),
    ),
    "answer_counter_passed": (
        codec.MessageType.ANSWER,
        3,
        codec.Answer.counter_passed(codec.MessageType.STOP, 0x1122).encode(),
    ),
    "update_begin": (codec.MessageType.UPDATE_BEGIN, 9, bytes(range(112))),
    "update_chunk": (
        codec.MessageType.UPDATE_CHUNK,
        10,
        codec.Command.update_chunk(0x010203F0, bytes(range(240))).argument,
    ),
    "update_finish": (codec.MessageType.UPDATE_FINISH, 11, b""),
    "answer_update_refused": (
        codec.MessageType.ANSWER,
        9,
        codec.Answer.update_refused(
            codec.MessageType.UPDATE_BEGIN, codec.UpdateRefusal.OTHER_CHIP
        ).encode(),
    ),
    "held_report": (codec.MessageType.HELD_REPORT, 0, codec.encode_held_report(HELD)),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_sealed_message(vectors, session, name):
    message_type, counter, payload = MESSAGES[name]
    direction = codec.Direction.UP if message_type >= 0x80 else codec.Direction.DOWN
    key = codec.MessageKey(vectors["root_key"], session, direction)
    sealed = key.seal(message_type, counter, payload, nonce=vectors["message_nonce"])
    assert sealed == vectors[name]
    assert key.open(sealed) == codec.SealedHeader(message_type, counter, payload)


def test_status(vectors, session):
    flags = codec.StatusFlags.PROVISIONED | codec.StatusFlags.SAMPLING
    status = codec.SensorStatus((1, 2, 3), session, 249_987, 87, flags)
    assert status.encode() == vectors["status"]
    assert codec.SensorStatus.decode(vectors["status"]) == status
