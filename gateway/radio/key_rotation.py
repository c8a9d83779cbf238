"""The exchange behind *rotate key*: both sides agree on the root key that is to come."""

from __future__ import annotations

from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from gateway.messages import SessionId
from gateway.radio.frame_codec import ROOT_KEY_BYTES, session_info
from gateway.radio.x25519 import agree, public_key


class KeyExchange:
    """One side of it, in one session; `private_key` are 32 fresh random bytes."""

    def __init__(self, root_key: bytes, session: SessionId, private_key: bytes) -> None:
        self._root_key = root_key
        self._session = session
        self._private_key = private_key

    @property
    def public_key(self) -> bytes:
        return public_key(self._private_key)

    def next_root_key(self, peer_public_key: bytes) -> bytes:
        """HKDF of the agreed secret ‖ the old root key: who breaks one of them has nothing yet.

        Raises ValueError where the peer's key is none.
        """
        secret = agree(self._private_key, peer_public_key) + self._root_key
        info = session_info(b"ecg-root-v1", self._session)
        key = HKDF(secret, ROOT_KEY_BYTES, self._session.salt, SHA256, context=info)
        assert isinstance(key, bytes)
        return key
