"""X25519 (RFC 7748): the agreement behind pairing and key rotation."""

from __future__ import annotations

from Crypto.Protocol.DH import (
    import_x25519_private_key,
    import_x25519_public_key,
    key_agreement,
)

X25519_BYTES = 32


def public_key(private_key: bytes) -> bytes:
    """The public key of 32 random bytes."""
    public = import_x25519_private_key(private_key).public_key()
    return bytes(public.export_key(format="raw"))


def agree(private_key: bytes, peer_public_key: bytes) -> bytes:
    """The shared secret; ValueError where the peer's key is none, or a point of low order."""
    shared = key_agreement(
        static_priv=import_x25519_private_key(private_key),
        static_pub=import_x25519_public_key(peer_public_key),
        kdf=bytes,
    )
    assert isinstance(shared, bytes)
    return shared
