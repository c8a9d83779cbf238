"""Release images for tests, signed by a key that is for tests alone."""

from __future__ import annotations

import struct

from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey

from gateway.radio.firmware_image import FirmwareImage, Version, sign_image

RELEASE_KEY: EccKey = ECC.construct(curve="p256", d=0x0123456789ABCDEF << 128 | 0x42)
SIGNER = RELEASE_KEY.public_key().export_key(format="SEC1")
CHIP = 5


def application(version: Version, size: int, chip: int = CHIP, security_version: int = 0) -> bytes:
    """As ESP-IDF lays it out, with bytes that count where code would be."""
    text = ".".join(map(str, version)).encode()
    head = struct.pack("<B11xH18xII8x32s", 0xE9, chip, 0xABCD5432, security_version, text)
    body = b"".join(struct.pack("<I", 2654435761 * at & 0xFFFFFFFF) for at in range(size // 4 + 1))
    return (head + body)[:size]


def image(
    version: Version = (0, 2, 0),
    size: int = 1000,
    chip: int = CHIP,
    security_version: int = 0,
    key: EccKey = RELEASE_KEY,
) -> FirmwareImage:
    return sign_image(application(version, size, chip, security_version), key)
