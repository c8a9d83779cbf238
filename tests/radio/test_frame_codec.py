"""The frame: what was sealed opens, everything else is refused with the first check's reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import DeviceId, FrameSequence, SessionId
from gateway.radio.frame_codec import (
    FRAME_BYTES,
    FrameHeader,
    FrameRefusal,
    FrameRefused,
    derive_frame_key,
    open_frame,
    read_header,
    seal_frame,
)

SESSION = SessionId(DeviceId(0x2A), 7, bytes(range(16)))
KEY = derive_frame_key(bytes(32), SESSION)
STEPS = np.arange(-93, 94, dtype=np.int16)


def sealed(**changes: int) -> bytes:
    fields = {"sequence": 5, "flags": 0, "device_time_us": 1, "sample_rate_hz": 250} | changes
    return seal_frame(KEY, FrameHeader(SESSION, **fields), STEPS)


def refusal_of(frame: bytes) -> FrameRefusal:
    with pytest.raises(FrameRefused) as refused:
        open_frame(KEY, frame)
    return refused.value.reason


@given(
    st.lists(st.integers(-32768, 32767), min_size=187, max_size=187),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.sampled_from([125, 250, 360, 500]),
    st.integers(0, 15),
)
def test_what_was_sealed_opens(steps, sequence, time_us, rate_hz, flags):
    steps = np.array(steps, dtype=np.int16)
    header = FrameHeader(SESSION, FrameSequence(sequence), flags, time_us, rate_hz)
    frame = open_frame(KEY, seal_frame(KEY, header, steps))
    assert (frame.session, frame.sequence, frame.flags) == (SESSION, sequence, flags)
    assert (frame.device_time_us, frame.sample_rate_hz) == (time_us, rate_hz)
    assert np.array_equal(frame.steps, steps)
    assert frame.first_sample == 187 * sequence


@given(st.integers(0, 8 * FRAME_BYTES - 1))
def test_any_flipped_bit_is_refused(bit):
    flipped = bytearray(sealed())
    flipped[bit // 8] ^= 1 << bit % 8
    expected = {
        0: FrameRefusal.WRONG_MAGIC,
        1: FrameRefusal.WRONG_MAGIC,
        2: FrameRefusal.UNKNOWN_VERSION,
    }
    assert refusal_of(bytes(flipped)) is expected.get(bit // 8, FrameRefusal.NOT_AUTHENTIC)


@pytest.mark.parametrize("size", [0, 1, 44, FRAME_BYTES - 1, FRAME_BYTES + 1])
def test_any_other_size_is_refused(size):
    assert refusal_of((sealed() + b"x")[:size]) is FrameRefusal.WRONG_SIZE


@pytest.mark.parametrize("changes", [{"sample_rate_hz": 200}, {"flags": 16}, {"sample_count": 186}])
def test_authentic_but_illegal_content_is_refused(changes):
    assert refusal_of(sealed(**changes)) is FrameRefusal.ILLEGAL_CONTENT


def test_a_fresh_salt_makes_a_fresh_key():
    other = SessionId(SESSION.device_id, SESSION.boot_id, bytes(16))
    assert derive_frame_key(bytes(32), other) != KEY
    assert read_header(sealed()).session == SESSION
