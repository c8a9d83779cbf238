"""A stream of bytes sealed with a passphrase, so that a backup may lie anywhere.

    magic "ECGBKUP1" · salt (16) · nonce prefix (7), then chunks: length (4) · ciphertext · tag (16)

AES-256-GCM for each chunk, its key from scrypt. The nonce is prefix ‖ chunk number (4) ‖ 1 for the
last chunk, else 0: no chunk can be moved, repeated or cut off unseen (STREAM, Hoang et al. 2015).
The header is associated data. Little-endian, but for the numbers in a nonce.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from Crypto.Cipher import AES
from Crypto.Protocol.KDF import scrypt
from Crypto.Random import get_random_bytes

MAGIC = b"ECGBKUP1"
CHUNK_BYTES = 1024 * 1024
_SALT_BYTES, _PREFIX_BYTES, _NUMBER_BYTES, _TAG_BYTES, _LENGTH_BYTES = 16, 7, 4, 16, 4
_HEADER_BYTES = len(MAGIC) + _SALT_BYTES + _PREFIX_BYTES
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**16, 8, 2  # OWASP's: 64 MB, which a Pi of 1 GB can spare


class StreamRefused(Exception):
    """What was read is no whole sealed stream, or the passphrase is another one."""


class SealingWriter(io.RawIOBase):
    """Seals what is written to it; the stream is whole only after `finish`."""

    def __init__(self, sink: BinaryIO, passphrase: str) -> None:
        super().__init__()
        self._sink = sink
        salt, prefix = get_random_bytes(_SALT_BYTES), get_random_bytes(_PREFIX_BYTES)
        self._chunks = _Chunks(MAGIC + salt + prefix, passphrase)
        self._pending = bytearray()
        sink.write(self._chunks.header)

    def writable(self) -> bool:
        return True

    def write(self, plain: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # not Buffer
        self._pending += plain
        while len(self._pending) > CHUNK_BYTES:
            self._seal(bytes(self._pending[:CHUNK_BYTES]), last=False)
            del self._pending[:CHUNK_BYTES]
        return len(plain)

    def finish(self) -> None:
        self._seal(bytes(self._pending), last=True)
        self._pending.clear()

    def _seal(self, plain: bytes, last: bool) -> None:
        length = len(plain).to_bytes(_LENGTH_BYTES, "little")
        self._sink.write(length + self._chunks.seal(plain, last))


class OpeningReader(io.RawIOBase):
    """Gives back what was sealed. Raises StreamRefused before a changed byte gets through."""

    def __init__(self, source: io.BufferedReader, passphrase: str) -> None:
        super().__init__()
        self._source = source
        header = source.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or not header.startswith(MAGIC):
            raise StreamRefused("it is no backup of an ECG gateway")
        self._chunks = _Chunks(header, passphrase)
        self._plain = b""
        self._ended = False
        self._first = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # not Buffer
        while not self._plain and not self._ended:
            self._plain = self._open_next()
        taken = self._plain[: len(buffer)]
        buffer[: len(taken)] = taken
        self._plain = self._plain[len(taken) :]
        return len(taken)

    def expect_end(self) -> None:
        """All was read that was ever sealed; raises StreamRefused where the end was cut off."""
        while self.read(CHUNK_BYTES):
            continue

    def _open_next(self) -> bytes:
        length = int.from_bytes(self._source.read(_LENGTH_BYTES), "little")
        if length > CHUNK_BYTES:
            raise StreamRefused("it is damaged")
        sealed = self._source.read(length + _TAG_BYTES)
        self._ended = not self._source.peek(1)
        try:
            return self._chunks.open(sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:], self._ended)
        except ValueError as error:
            reason = "the passphrase is another one, or it is" if self._first else "it is"
            raise StreamRefused(f"{reason} damaged or cut short") from error
        finally:
            self._first = False


class _Chunks:
    """A stream's chunks, one after the other."""

    def __init__(self, header: bytes, passphrase: str) -> None:
        self.header = header
        salt = header[len(MAGIC) : len(MAGIC) + _SALT_BYTES]
        self._prefix = header[-_PREFIX_BYTES:]
        key = scrypt(passphrase, salt, 32, N=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)
        assert isinstance(key, bytes), "one key was asked for"
        self._key = key
        self._number = 0

    def seal(self, plain: bytes, last: bool) -> bytes:
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=self._next_nonce(last))
        cipher.update(self.header)
        sealed, tag = cipher.encrypt_and_digest(plain)
        return sealed + tag

    def open(self, sealed: bytes, tag: bytes, last: bool) -> bytes:
        """Raises ValueError where it is not what was sealed."""
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=self._next_nonce(last))
        cipher.update(self.header)
        return cipher.decrypt_and_verify(sealed, tag)

    def _next_nonce(self, last: bool) -> bytes:
        number, self._number = self._number, self._number + 1
        return self._prefix + number.to_bytes(_NUMBER_BYTES, "big") + bytes([last])
