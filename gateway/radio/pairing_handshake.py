"""The pairing handshake, gateway's side: what is said over the provision characteristic.

gateway: e → sensor: e, ee → sensor: its root key, sealed → gateway: "stored", sealed
(docs/protocol.md, 6). Each side proves to the other that it knows the secret on the label.
"""

from __future__ import annotations

import struct

from gateway.messages import DeviceId
from gateway.radio.frame_codec import ROOT_KEY_BYTES, TAG_BYTES
from gateway.radio.noise import NotAuthentic, SymmetricState
from gateway.radio.x25519 import X25519_BYTES, agree, public_key

HELLO_BYTES = X25519_BYTES + TAG_BYTES  # of either side
SEALED_KEY_BYTES = ROOT_KEY_BYTES + TAG_BYTES
STORED_BYTES = 1 + TAG_BYTES
STORED = b"\x01"


class HandshakeRefused(Exception):
    """What came is not what a sensor with this label's secret says."""


def prologue(device_id: DeviceId) -> bytes:
    return b"ECGPROV1" + struct.pack("<I", device_id)


class GatewayHandshake:
    """One handshake; `private_key` are 32 fresh random bytes. Call its methods in order."""

    def __init__(self, device_id: DeviceId, secret: bytes, private_key: bytes) -> None:
        self._private_key = private_key
        self._state = SymmetricState(prologue(device_id), secret)

    def hello(self) -> bytes:
        """The gateway's first message."""
        public = public_key(self._private_key)
        self._state.mix_public_key(public)
        return public + self._state.seal_nothing()

    def take_hello(self, message: bytes) -> None:
        """The sensor's first message; raises HandshakeRefused."""
        if len(message) != HELLO_BYTES:
            raise HandshakeRefused
        peer, tag = message[:X25519_BYTES], message[X25519_BYTES:]
        self._state.mix_public_key(peer)
        try:
            self._state.mix_secret(agree(self._private_key, peer))
            self._state.open_nothing(tag)
        except (ValueError, NotAuthentic) as error:
            raise HandshakeRefused from error
        self._send, self._receive = self._state.split()

    def root_key(self, message: bytes) -> bytes:
        """The root key in the sensor's second message; raises HandshakeRefused."""
        if len(message) != SEALED_KEY_BYTES:
            raise HandshakeRefused
        try:
            return self._receive.open(message)
        except NotAuthentic as error:
            raise HandshakeRefused from error

    def stored(self) -> bytes:
        """The gateway's last message, once the root key is durable: it locks the export."""
        return self._send.seal(STORED)
