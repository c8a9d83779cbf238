"""A million hostile values: each is refused and counted, none crashes, memory stays flat."""

import random
import resource
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gateway.messages import DeviceId, FrameSequence, SessionId
from gateway.radio.frame_codec import (
    FRAME_BYTES,
    FrameHeader,
    FrameRefused,
    derive_frame_key,
    open_frame,
    seal_frame,
)
from gateway.radio.pieces import Reassembler, cut

FRAMES = 500_000
PIECES = 500_000
FLAT_BYTES = 4 << 20  # a leak of ten bytes a value would show

SESSION = SessionId(DeviceId(1), 1, bytes(16))
KEY = derive_frame_key(bytes(32), SESSION)
VALID = seal_frame(
    KEY, FrameHeader(SESSION, FrameSequence(0), 0, 0, 250), np.zeros(187, dtype=np.int16)
)


def hostile_frame(draw: random.Random) -> bytes:
    kind = draw.randrange(4)
    if kind == 0:
        return draw.randbytes(draw.randrange(600))
    if kind == 1:
        return VALID[: draw.randrange(FRAME_BYTES)]
    if kind == 2:
        return VALID[:3] + draw.randbytes(FRAME_BYTES - 3)
    flipped = bytearray(VALID)
    for _ in range(draw.randrange(1, 4)):
        flipped[draw.randrange(FRAME_BYTES)] ^= draw.randrange(1, 256)
    return bytes(flipped) if bytes(flipped) != VALID else b""


def hostile_piece(draw: random.Random, pieces: list[bytes]) -> bytes:
    kind = draw.randrange(3)
    if kind == 0:
        return draw.randbytes(draw.randrange(30))
    piece = bytearray(draw.choice(pieces))
    if kind == 1:
        piece[0] ^= draw.randrange(1, 256)
    return bytes(piece)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.timeout(600)
def test_hostile_frames():
    draw = random.Random(1)
    refused: Counter[str] = Counter()
    for count in range(FRAMES):
        try:
            open_frame(KEY, hostile_frame(draw))
        except FrameRefused as refusal:
            refused[refusal.reason] += 1
        if count == FRAMES // 10:
            before = resident_bytes()
    assert refused.total() == FRAMES
    assert len(refused) == 4
    assert resident_bytes() - before < FLAT_BYTES


@pytest.mark.timeout(600)
def test_hostile_pieces():
    draw = random.Random(2)
    pieces = cut(VALID, 20, 0)
    reassembler = Reassembler(FRAME_BYTES)
    whole = 0
    for count in range(PIECES):
        message = reassembler.push(hostile_piece(draw, pieces), count * 0.01)
        whole += message is not None
        assert message is None or len(message) <= FRAME_BYTES
        if count == PIECES // 10:
            before = resident_bytes()
    assert reassembler.refused.total() > PIECES // 2
    assert whole < PIECES // 100
    assert resident_bytes() - before < FLAT_BYTES
