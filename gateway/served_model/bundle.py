"""One file that brings a model: its card, its .tflite, and an Ed25519 signature over both.

The file is `ECGMODEL1` ‖ card length ‖ model length (u32, little-endian) ‖ card ‖ model ‖
signature (64 bytes, RFC 8032). What is signed begins with words of its own, so that no signature
made for anything else fits a model, nor the other way round.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from Crypto.PublicKey.ECC import EccKey
from Crypto.Signature import eddsa

from gateway.beat_classifier import MAX_CARD_BYTES, ModelRefused, read_bounded
from gateway.tflite_classifier import MAX_MODEL_BYTES

MAGIC = b"ECGMODEL1"
SIGNATURE_BYTES = 64
SIGNED_WORDS = b"ecg-gateway model bundle 1\0"

_LENGTHS = struct.Struct("<II")
_HEADER_BYTES = len(MAGIC) + _LENGTHS.size
MAX_BUNDLE_BYTES = _HEADER_BYTES + MAX_CARD_BYTES + MAX_MODEL_BYTES + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """The bytes of a card and its .tflite, and what the signer says of them; none is checked."""

    card: bytes
    model: bytes
    signature: bytes

    def encode(self) -> bytes:
        lengths = _LENGTHS.pack(len(self.card), len(self.model))
        return MAGIC + lengths + self.card + self.model + self.signature

    def check_signature(self, public_keys: Sequence[str]) -> None:
        """Raises `ModelRefused` unless one of these keys, each 64 hex digits, has signed it."""
        if not public_keys:
            raise ModelRefused("no signer is trusted: set public_keys in [model] of gateway.toml")
        if not any(_has_signed(_public_key(key), self) for key in public_keys):
            raise ModelRefused("the signature is by none of model.public_keys, or not of this file")


def decode_bundle(content: bytes) -> ModelBundle:
    """Raises `ModelRefused` where the bytes are not laid out as a bundle."""
    if not content.startswith(MAGIC) or len(content) < _HEADER_BYTES:
        raise ModelRefused("the file is not a model bundle")
    card_bytes, model_bytes = _LENGTHS.unpack_from(content, len(MAGIC))
    if card_bytes > MAX_CARD_BYTES or model_bytes > MAX_MODEL_BYTES:
        raise ModelRefused(
            f"a card of {card_bytes} and a model of {model_bytes} bytes are too long"
        )
    model_at = _HEADER_BYTES + card_bytes
    signature_at = model_at + model_bytes
    expected = signature_at + SIGNATURE_BYTES
    if len(content) != expected:
        raise ModelRefused(f"the bundle has {len(content)} bytes, its header says {expected}")
    return ModelBundle(
        content[_HEADER_BYTES:model_at], content[model_at:signature_at], content[signature_at:]
    )


def read_bundle(path: Path) -> ModelBundle:
    """The bundle at `path`; raises `ModelRefused`."""
    return decode_bundle(read_bounded(path, MAX_BUNDLE_BYTES))


def sign_bundle(card: bytes, model: bytes, private_key: EccKey) -> ModelBundle:
    """The two under an Ed25519 signature."""
    signature = eddsa.new(private_key, "rfc8032").sign(_signed_bytes(card, model))
    return ModelBundle(card, model, signature)


def _signed_bytes(card: bytes, model: bytes) -> bytes:
    return SIGNED_WORDS + hashlib.sha256(card).digest() + hashlib.sha256(model).digest()


def _public_key(hex_digits: str) -> EccKey:
    try:
        return eddsa.import_public_key(bytes.fromhex(hex_digits))
    except ValueError as error:
        raise ModelRefused(f"model.public_keys: {hex_digits} is no Ed25519 key") from error


def _has_signed(key: EccKey, bundle: ModelBundle) -> bool:
    try:
        eddsa.new(key, "rfc8032").verify(_signed_bytes(bundle.card, bundle.model), bundle.signature)
    except ValueError:
        return False
    return True
