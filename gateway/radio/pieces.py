"""Messages cut into pieces that fit one GATT value, and put together again.

Each piece starts with a little-endian 16-bit prefix: bit 15 first, bit 14 last, bits 13–8 the
piece's number, bits 7–0 the low byte of the frame's sequence or the message's counter.
"""

from __future__ import annotations

import enum
from collections import Counter

PREFIX_BYTES = 2
MAX_PIECES = 64  # six bits number them
PIECE_TIMEOUT_S = 1.0  # a second without a piece drops what was gathered

_FIRST = 0x8000
_LAST = 0x4000


class PieceRefusal(enum.StrEnum):
    """Why a piece, or what was gathered before it, was dropped."""

    TOO_SHORT = "piece too short"
    NOT_EXPECTED = "piece not expected"
    INTERRUPTED = "message interrupted"
    TIMED_OUT = "message timed out"
    TOO_LONG = "message too long"


def cut(message: bytes, piece_bytes: int, low_byte: int) -> list[bytes]:
    """Cut `message` into values of at most `piece_bytes` (ATT MTU − 3).

    Raises ValueError when it is empty or would need more than 64 pieces.
    """
    payload_bytes = piece_bytes - PREFIX_BYTES
    if payload_bytes < 1 or not message:
        raise ValueError("a piece holds its prefix and at least one byte of a message")
    parts = [message[at : at + payload_bytes] for at in range(0, len(message), payload_bytes)]
    if len(parts) > MAX_PIECES:
        raise ValueError(f"{len(message)} bytes need {len(parts)} pieces; {MAX_PIECES} are allowed")
    return [
        _prefix(number, number == len(parts) - 1, low_byte) + part
        for number, part in enumerate(parts)
    ]


def _prefix(number: int, last: bool, low_byte: int) -> bytes:
    bits = (_FIRST if number == 0 else 0) | (_LAST if last else 0) | number << 8 | low_byte & 0xFF
    return bits.to_bytes(PREFIX_BYTES, "little")


class Reassembler:
    """Puts one characteristic's pieces together; keeps at most one message of `max_bytes`.

    A wrong piece never raises: what was gathered is dropped and `refused` counts why.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._gathered = bytearray()
        self._next_number = 0
        self._low_byte = 0
        self._last_piece_s = 0.0
        self.refused: Counter[PieceRefusal] = Counter()

    def push(self, piece: bytes, now_s: float) -> bytes | None:
        """Take the next value; give back the whole message when this was its last piece."""
        if len(piece) <= PREFIX_BYTES:
            self._refuse(PieceRefusal.TOO_SHORT)
            return None
        bits = int.from_bytes(piece[:PREFIX_BYTES], "little")
        if not self._expects(bits, now_s):
            return None
        if len(self._gathered) + len(piece) - PREFIX_BYTES > self._max_bytes:
            self._refuse(PieceRefusal.TOO_LONG)
            return None
        self._gathered += piece[PREFIX_BYTES:]
        self._next_number += 1
        self._last_piece_s = now_s
        if not bits & _LAST:
            return None
        message = bytes(self._gathered)
        self.drop()
        return message

    def drop(self) -> None:
        """Forget what was gathered, as at a disconnect."""
        self._gathered.clear()
        self._next_number = 0

    def _expects(self, bits: int, now_s: float) -> bool:
        number, low_byte = bits >> 8 & 0x3F, bits & 0xFF
        if self._next_number and now_s - self._last_piece_s > PIECE_TIMEOUT_S:
            self._refuse(PieceRefusal.TIMED_OUT)
        if bits & _FIRST:
            if self._next_number:
                self._refuse(PieceRefusal.INTERRUPTED)
            self._low_byte = low_byte
        if (
            number != self._next_number
            or low_byte != self._low_byte
            or bool(bits & _FIRST) != (number == 0)
        ):
            self._refuse(PieceRefusal.NOT_EXPECTED)
            return False
        return True

    def _refuse(self, reason: PieceRefusal) -> None:
        self.refused[reason] += 1
        self.drop()
