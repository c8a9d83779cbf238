"""The frame on the air: 434 bytes, sealed with AES-256-GCM (docs/protocol.md, "Frame").

Nothing in a header is believed before its tag has verified; `read_header` exists to find the key.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from numpy.typing import NDArray

from gateway.messages import (
    ALL_FRAME_FLAGS,
    LEGAL_SAMPLE_RATES_HZ,
    SAMPLES_PER_FRAME,
    DeviceId,
    Frame,
    FrameFlags,
    FrameSequence,
    SessionId,
)

MAGIC = b"EC"
VERSION = 1
HEADER_BYTES = 44
TAG_BYTES = 16
FRAME_BYTES = HEADER_BYTES + 2 * SAMPLES_PER_FRAME + TAG_BYTES
ROOT_KEY_BYTES = 32

_HEADER = struct.Struct("<2sBBII16sIQHH")
_FRAME_INFO = b"ecg-frame-v1"


class FrameRefusal(enum.StrEnum):
    """Why a frame was refused, in the order of the checks."""

    WRONG_SIZE = "wrong size"
    WRONG_MAGIC = "wrong magic"
    UNKNOWN_VERSION = "unknown version"
    UNKNOWN_DEVICE = "unknown device"
    NOT_AUTHENTIC = "not authentic"
    ILLEGAL_CONTENT = "illegal content"


class FrameRefused(Exception):
    """The peer's frame can't be taken; `reason` says why."""

    def __init__(self, reason: FrameRefusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The associated data of a frame, as it claims it."""

    session: SessionId
    sequence: FrameSequence
    flags: int
    device_time_us: int
    sample_rate_hz: int
    sample_count: int = SAMPLES_PER_FRAME


class FrameKey(NamedTuple):
    """A session's frame key and the fixed part of its nonces (NIST SP 800-38D, 8.2.1)."""

    key: bytes
    fixed: bytes

    def nonce(self, sequence: int) -> bytes:
        return self.fixed + sequence.to_bytes(8, "big")


def session_info(label: bytes, session: SessionId) -> bytes:
    """The HKDF info of one purpose: label ‖ device id ‖ boot id."""
    return label + struct.pack("<II", session.device_id, session.boot_id)


def derive_frame_key(root_key: bytes, session: SessionId) -> FrameKey:
    """HKDF-SHA256 (RFC 5869) of the root key under the session's salt."""
    info = session_info(_FRAME_INFO, session)
    derived = HKDF(root_key, 36, session.salt, SHA256, context=info)
    assert isinstance(derived, bytes)
    return FrameKey(derived[:32], derived[32:])


def seal_frame(key: FrameKey, header: FrameHeader, steps: NDArray[np.int16]) -> bytes:
    """Seal 187 samples in units of 5 µV; a sensor calls it once for each sequence."""
    associated = _HEADER.pack(
        MAGIC,
        VERSION,
        header.flags,
        header.session.device_id,
        header.session.boot_id,
        header.session.salt,
        header.sequence,
        header.device_time_us,
        header.sample_rate_hz,
        header.sample_count,
    )
    cipher = AES.new(key.key, AES.MODE_GCM, nonce=key.nonce(header.sequence))
    cipher.update(associated)
    ciphertext, tag = cipher.encrypt_and_digest(steps.astype("<i2").tobytes())
    return associated + ciphertext + tag


def read_header(sealed: bytes) -> FrameHeader:
    """Check size, magic and version, and give the header's claims.

    Raises FrameRefused.
    """
    if len(sealed) != FRAME_BYTES:
        raise FrameRefused(FrameRefusal.WRONG_SIZE)
    magic, version, flags, device_id, boot_id, salt, sequence, time_us, rate_hz, count = (
        _HEADER.unpack_from(sealed)
    )
    if magic != MAGIC:
        raise FrameRefused(FrameRefusal.WRONG_MAGIC)
    if version != VERSION:
        raise FrameRefused(FrameRefusal.UNKNOWN_VERSION)
    session = SessionId(DeviceId(device_id), boot_id, salt)
    return FrameHeader(session, FrameSequence(sequence), flags, time_us, rate_hz, count)


def open_frame(key: FrameKey, sealed: bytes) -> Frame:
    """Verify and decrypt a frame; raises FrameRefused with the first check that failed."""
    header = read_header(sealed)
    cipher = AES.new(key.key, AES.MODE_GCM, nonce=key.nonce(header.sequence))
    cipher.update(sealed[:HEADER_BYTES])
    try:
        plain = cipher.decrypt_and_verify(sealed[HEADER_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:])
    except ValueError as error:
        raise FrameRefused(FrameRefusal.NOT_AUTHENTIC) from error
    if not _is_legal(header):
        raise FrameRefused(FrameRefusal.ILLEGAL_CONTENT)
    return Frame(
        session=header.session,
        sequence=header.sequence,
        flags=FrameFlags(header.flags),
        device_time_us=header.device_time_us,
        sample_rate_hz=header.sample_rate_hz,
        steps=np.frombuffer(plain, dtype="<i2").astype(np.int16),
        sealed=sealed,
    )


def _is_legal(header: FrameHeader) -> bool:
    return (
        header.sample_count == SAMPLES_PER_FRAME
        and header.sample_rate_hz in LEGAL_SAMPLE_RATES_HZ
        and header.flags <= ALL_FRAME_FLAGS
    )
