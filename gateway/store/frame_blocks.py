"""What a frame file holds: blocks, each one batch of sealed frames and of gaps between them.

A block begins on a page of its own and ends with zeros up to the next, so that no later write
touches what was acknowledged, and a torn one harms itself alone:

    magic "ECGB" · version 1 · entries · bytes of all entries · number of the first entry · CRC-32

The CRC covers the rest of the header and the entries. An entry is a frame (session's row, sequence,
when it came, late, its sealed bytes) or a gap (session's row, start, length, reason); entries are
numbered on, and by that order a replay goes. Little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.messages import FrameSequence, Gap, GapReason, SampleIndex
from gateway.store.entries import JournalId

PAGE_BYTES = 4096  # what Linux writes at least; less would write the page before again
MAX_ENTRIES = 4096  # twice a full queue of the recorder
MAX_BLOCK_BYTES = 4 * 1024 * 1024  # so many entries, and room to spare
HEADER_BYTES = 28

_MAGIC, _VERSION = b"ECGB", 1
_HEADER = struct.Struct("<4sB3xIIQI")
_CRC_BYTES = 4
_FRAME, _GAP = 0, 1
_FRAME_HEAD = struct.Struct("<BIIdBH")
_GAP_HEAD = struct.Struct("<BIqqB")


class BlockDamaged(Exception):
    """These bytes are no whole block; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FiledFrame:
    """A sealed frame and its number in the journal; `session_row` is the session's in the index."""

    journal_id: JournalId
    session_row: int
    sequence: FrameSequence
    sealed: bytes
    received_s: float
    late: bool


@dataclass(frozen=True, slots=True)
class FiledGap:
    """A gap and its number in the journal."""

    journal_id: JournalId
    session_row: int
    gap: Gap


Filed = FiledFrame | FiledGap


def encode_block(entries: Sequence[Filed]) -> bytes:
    """Whole pages. The entries are numbered without a break."""
    body = b"".join(_encode(entry) for entry in entries)
    head = _HEADER.pack(_MAGIC, _VERSION, len(entries), len(body), entries[0].journal_id, 0)
    crc = zlib.crc32(body, zlib.crc32(head[:-_CRC_BYTES]))
    block = head[:-_CRC_BYTES] + crc.to_bytes(_CRC_BYTES, "little") + body
    return block.ljust(_whole_pages(len(block)), b"\0")


def block_bytes(head: bytes) -> int:
    """The length of the block whose header this is, up to the page's end. Raises BlockDamaged."""
    return _whole_pages(HEADER_BYTES + _read_head(head)[1])


def decode_block(block: bytes) -> list[Filed]:
    """The entries, as they were numbered. Raises BlockDamaged."""
    count, body_bytes, first, crc = _read_head(block)
    body = block[HEADER_BYTES : HEADER_BYTES + body_bytes]
    if zlib.crc32(body, zlib.crc32(block[: HEADER_BYTES - _CRC_BYTES])) != crc:
        raise BlockDamaged("its checksum is wrong")
    entries: list[Filed] = []
    at = 0
    for number in range(first, first + count):
        entry, at = _decode(JournalId(number), body, at)
        entries.append(entry)
    return entries


def _whole_pages(length: int) -> int:
    return -(-length // PAGE_BYTES) * PAGE_BYTES


def _read_head(block: bytes) -> tuple[int, int, int, int]:
    """Entries, bytes of them, number of the first, checksum."""
    if len(block) < HEADER_BYTES:
        raise BlockDamaged("it is cut short")
    magic, version, count, body_bytes, first, crc = _HEADER.unpack_from(block)
    if magic != _MAGIC:
        raise BlockDamaged("no block begins here")
    if version != _VERSION:
        raise BlockDamaged(f"version {version} is not known")
    if body_bytes > MAX_BLOCK_BYTES:
        raise BlockDamaged("it says that it is too long")
    return count, body_bytes, first, crc


def _encode(entry: Filed) -> bytes:
    if isinstance(entry, FiledGap):
        reason = entry.gap.reason.value.encode()
        gap, row = entry.gap, entry.session_row
        return _GAP_HEAD.pack(_GAP, row, gap.start, gap.length, len(reason)) + reason
    head = _FRAME_HEAD.pack(
        _FRAME, entry.session_row, entry.sequence, entry.received_s, entry.late, len(entry.sealed)
    )
    return head + entry.sealed


def _decode(journal_id: JournalId, body: bytes, at: int) -> tuple[Filed, int]:
    """The entry at this place, and where the next one begins."""
    if body[at] == _GAP:
        _, row, start, length, reason_bytes = _GAP_HEAD.unpack_from(body, at)
        at += _GAP_HEAD.size
        reason = GapReason(body[at : at + reason_bytes].decode())
        return FiledGap(journal_id, row, Gap(SampleIndex(start), length, reason)), at + reason_bytes
    _, row, sequence, received_s, late, sealed_bytes = _FRAME_HEAD.unpack_from(body, at)
    at += _FRAME_HEAD.size
    sealed = body[at : at + sealed_bytes]
    frame = FiledFrame(journal_id, row, FrameSequence(sequence), sealed, received_s, bool(late))
    return frame, at + sealed_bytes
