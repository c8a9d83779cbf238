"""The sensor's side of the pairing handshake, as `ecg_pairing` of the firmware has it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.messages import DeviceId
from gateway.radio.noise import CipherState, NotAuthentic, SymmetricState
from gateway.radio.pairing_handshake import (
    HELLO_BYTES,
    STORED,
    STORED_BYTES,
    prologue,
)
from gateway.radio.x25519 import X25519_BYTES, agree, public_key

MAX_FAILURES = 5  # of one pairing window: a guesser gets no sixth try


class SensorPairing:
    """One pairing window. `confirmed`: the gateway keeps the root key, and nothing goes out."""

    def __init__(
        self, device_id: DeviceId, secret: bytes, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._device_id = device_id
        self._secret = secret
        self._random_bytes = random_bytes
        self._failures = 0
        self._from_gateway: CipherState | None = None
        self.confirmed = False

    def received(self, message: bytes, root_key: bytes) -> list[bytes]:
        """Take a message of the provision characteristic; returns what to indicate on it."""
        if self.confirmed or self._failures >= MAX_FAILURES:
            return []
        try:
            if len(message) == STORED_BYTES:
                return self._confirm(message)
            return self._respond(message, root_key)
        except (NotAuthentic, ValueError):
            self._from_gateway = None
            self._failures += 1
            return []

    def _respond(self, hello: bytes, root_key: bytes) -> list[bytes]:
        """The sensor's own hello and, sealed, its root key; a new first message starts anew."""
        self._from_gateway = None
        if len(hello) != HELLO_BYTES:
            raise ValueError("not a hello")
        peer, tag = hello[:X25519_BYTES], hello[X25519_BYTES:]
        private_key = self._random_bytes(X25519_BYTES)
        state = SymmetricState(prologue(self._device_id), self._secret)
        state.mix_public_key(peer)
        state.open_nothing(tag)
        state.mix_public_key(public_key(private_key))
        state.mix_secret(agree(private_key, peer))
        second = public_key(private_key) + state.seal_nothing()
        self._from_gateway, to_gateway = state.split()
        return [second, to_gateway.seal(root_key)]

    def _confirm(self, message: bytes) -> list[bytes]:
        if self._from_gateway is None:
            return []
        if self._from_gateway.open(message) != STORED:
            raise ValueError("not stored")
        self.confirmed = True
        return []
