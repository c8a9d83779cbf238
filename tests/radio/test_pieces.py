"""Cutting and reassembly: any MTU, any loss, never a wrong message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.radio.pieces import MAX_PIECES, PIECE_TIMEOUT_S, PieceRefusal, Reassembler, cut

FRAME = bytes(i & 0xFF for i in range(434))


def push_all(reassembler: Reassembler, pieces: list[bytes], now_s: float = 0.0) -> list[bytes]:
    messages = (reassembler.push(piece, now_s) for piece in pieces)
    return [message for message in messages if message is not None]


@given(st.binary(min_size=1, max_size=600), st.integers(13, 520), st.integers(0, 2**64 - 1))
def test_what_was_cut_comes_back(message, piece_bytes, counter):
    pieces = cut(message, piece_bytes, counter)
    assert all(len(piece) <= piece_bytes for piece in pieces)
    assert push_all(Reassembler(600), pieces) == [message]


@given(st.sets(st.integers(0, 24), min_size=1))
def test_a_lost_piece_never_gives_a_wrong_message(lost):
    reassembler = Reassembler(434)
    pieces = [piece for i, piece in enumerate(cut(FRAME, 20, 1)) if i not in lost]
    assert push_all(reassembler, pieces) == []
    assert push_all(reassembler, cut(FRAME, 20, 2)) == [FRAME]


def test_mixing_two_messages_is_refused():
    first, second = cut(FRAME, 244, 1), cut(FRAME, 244, 2)
    reassembler = Reassembler(434)
    assert push_all(reassembler, [first[0], second[1]]) == []
    assert reassembler.refused == {PieceRefusal.NOT_EXPECTED: 1}


def test_a_first_piece_interrupts_the_message_before():
    reassembler = Reassembler(434)
    assert push_all(reassembler, [cut(FRAME, 244, 1)[0], *cut(FRAME, 244, 2)]) == [FRAME]
    assert reassembler.refused == {PieceRefusal.INTERRUPTED: 1}


@pytest.mark.parametrize(
    ("pause_s", "whole"), [(PIECE_TIMEOUT_S, True), (PIECE_TIMEOUT_S + 0.001, False)]
)
def test_a_second_without_a_piece_drops_what_was_gathered(pause_s, whole):
    reassembler = Reassembler(434)
    first, last = cut(FRAME, 244, 1)
    reassembler.push(first, 10.0)
    assert (reassembler.push(last, 10.0 + pause_s) == FRAME) is whole
    assert reassembler.refused[PieceRefusal.TIMED_OUT] == (0 if whole else 1)


def test_a_message_of_the_allowed_length_passes_and_one_byte_more_does_not():
    reassembler = Reassembler(434)
    assert push_all(reassembler, cut(FRAME, 517, 0)) == [FRAME]
    assert push_all(reassembler, cut(FRAME + b"x", 517, 0)) == []
    assert reassembler.refused == {PieceRefusal.TOO_LONG: 1}


def test_too_short_a_piece_is_refused():
    reassembler = Reassembler(434)
    assert push_all(reassembler, [b"", b"\x00", b"\x00\xc0"]) == []
    assert reassembler.refused == {PieceRefusal.TOO_SHORT: 3}


def test_a_disconnect_forgets_the_half_message():
    reassembler = Reassembler(434)
    first, last = cut(FRAME, 244, 1)
    reassembler.push(first, 0.0)
    reassembler.drop()
    assert reassembler.push(last, 0.0) is None


def test_more_pieces_than_can_be_numbered_are_not_cut():
    assert len(cut(bytes(MAX_PIECES), 3, 0)) == MAX_PIECES
    with pytest.raises(ValueError, match="65 pieces"):
        cut(bytes(MAX_PIECES + 1), 3, 0)
