"""`Noise_NNpsk0_25519_AESGCM_SHA256` (Noise Protocol Framework, revision 34): its state.

Messages of both sides are in `pairing_handshake` and, for the virtual sensor, in the simulator.
"""

from __future__ import annotations

from Crypto.Cipher import AES
from Crypto.Cipher._mode_gcm import GcmMode
from Crypto.Hash import HMAC, SHA256

from gateway.radio.frame_codec import TAG_BYTES

PROTOCOL_NAME = b"Noise_NNpsk0_25519_AESGCM_SHA256"  # 32 bytes, as long as a hash: not hashed
PSK_BYTES = 32


class NotAuthentic(Exception):
    """A tag did not verify: the other side knows another secret, or the message was changed."""


class SymmetricState:
    """The running hash and the chain of keys that both sides grow in step (section 5.2)."""

    def __init__(self, prologue: bytes, psk: bytes) -> None:
        self._hash = self._chaining_key = PROTOCOL_NAME
        self._cipher = CipherState(bytes(PSK_BYTES))
        self._mix_hash(prologue)
        self._chaining_key, to_hash, key = self._derive(psk, 3)
        self._mix_hash(to_hash)
        self._cipher = CipherState(key)

    def mix_public_key(self, public_key: bytes) -> None:
        """A token "e": with a pre-shared key it goes into the hash and into the key (9.2)."""
        self._mix_hash(public_key)
        self.mix_secret(public_key)

    def mix_secret(self, secret: bytes) -> None:
        self._chaining_key, key = self._derive(secret, 2)
        self._cipher = CipherState(key)

    def seal_nothing(self) -> bytes:
        """The tag of an empty payload."""
        tag = self._cipher.seal(b"", self._hash)
        self._mix_hash(tag)
        return tag

    def open_nothing(self, tag: bytes) -> None:
        """Verify the tag of an empty payload; raises NotAuthentic."""
        self._cipher.open(tag, self._hash)
        self._mix_hash(tag)

    def split(self) -> tuple[CipherState, CipherState]:
        """The ciphers of what the initiator sends from now on, and of what it receives."""
        from_initiator, to_initiator = self._derive(b"", 2)
        return CipherState(from_initiator), CipherState(to_initiator)

    def _mix_hash(self, content: bytes) -> None:
        self._hash = SHA256.new(self._hash + content).digest()

    def _derive(self, secret: bytes, outputs: int) -> list[bytes]:
        """HKDF of section 4.3: RFC 5869 without info, `outputs` keys of 32 bytes."""
        extracted = _hmac(self._chaining_key, secret)
        derived = [b""]
        for number in range(1, outputs + 1):
            derived.append(_hmac(extracted, derived[-1] + bytes((number,))))
        return derived[1:]


class CipherState:
    """AES-256-GCM under one key; its nonce is 32 zero bits and a counter, big-endian (12.3)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0

    def seal(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        ciphertext, tag = self._next(associated).encrypt_and_digest(plaintext)
        return ciphertext + tag

    def open(self, sealed: bytes, associated: bytes = b"") -> bytes:
        """Raises NotAuthentic."""
        cipher = self._next(associated)
        try:
            return cipher.decrypt_and_verify(sealed[:-TAG_BYTES], sealed[-TAG_BYTES:])
        except ValueError as error:
            raise NotAuthentic from error

    def _next(self, associated: bytes) -> GcmMode:
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=self._counter.to_bytes(12, "big"))
        cipher.update(associated)
        self._counter += 1
        return cipher


def _hmac(key: bytes, content: bytes) -> bytes:
    return HMAC.new(key, content, SHA256).digest()
