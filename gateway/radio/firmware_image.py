"""A release of the sensor's firmware as one file: a signed manifest, then what the chip runs.

The manifest has 112 bytes (docs/protocol.md, 7). What is signed begins with words of its own, so
that no signature made for anything else fits an image, nor the other way round.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from Crypto.Signature import DSS

MAGIC = b"ECGF"
LAYOUT = 1
SIGNATURE_BYTES = 64  # r ‖ s of ECDSA with P-256
SIGNED_WORDS = b"ecg-firmware-v1\0"
MAX_APPLICATION_BYTES = 8 * 1024 * 1024  # half the largest flash that these chips come with
CHIPS = {0: "ESP32", 5: "ESP32-C3", 9: "ESP32-S3", 13: "ESP32-C6"}  # esp_chip_id_t

_HEAD = struct.Struct("<4sB3BHHI32s")
MANIFEST_BYTES = _HEAD.size + SIGNATURE_BYTES

# Espressif's image: a header with the chip, then the description that ESP-IDF puts first.
# docs.espressif.com, api-reference/system/app_image_format.html
_IMAGE_MAGIC = 0xE9
_CHIP_AT = 12
_DESCRIPTION = struct.Struct("<II8x32s")
_DESCRIPTION_AT = 32
_DESCRIPTION_MAGIC = 0xABCD5432
_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})\.(\d{1,3})")

Version = tuple[int, int, int]


class ImageRefused(Exception):
    """A file is no release image of a sensor's firmware; the message says why."""


@dataclass(frozen=True, slots=True)
class FirmwareManifest:
    """What a release says of itself; its signature is for the sensor to judge."""

    version: Version
    chip: int
    security_version: int
    size: int
    sha256: bytes
    signature: bytes = bytes(SIGNATURE_BYTES)

    @property
    def signed_head(self) -> bytes:
        return _HEAD.pack(
            MAGIC,
            LAYOUT,
            *self.version,
            self.chip,
            self.security_version,
            self.size,
            self.sha256,
        )

    def encode(self) -> bytes:
        return self.signed_head + self.signature

    @property
    def title(self) -> str:
        """Version and chip, for people."""
        return f"{version_text(self.version)} for {CHIPS.get(self.chip, f'chip {self.chip}')}"


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """A release; size and hash of the application are the manifest's."""

    manifest: FirmwareManifest
    application: bytes

    def encode(self) -> bytes:
        return self.manifest.encode() + self.application


def version_text(version: Version) -> str:
    return ".".join(map(str, version))


def decode_manifest(encoded: bytes) -> FirmwareManifest:
    """The first 112 bytes of a release image; raises ImageRefused where they are none."""
    if len(encoded) < MANIFEST_BYTES or not encoded.startswith(MAGIC):
        raise ImageRefused("the file is not a firmware image; `python -m firmware.sign` makes one")
    _, layout, major, minor, patch, chip, security, size, sha256 = _HEAD.unpack_from(encoded)
    if layout != LAYOUT:
        raise ImageRefused(f"layout {layout} of firmware images is not known here")
    signature = encoded[_HEAD.size : MANIFEST_BYTES]
    return FirmwareManifest((major, minor, patch), chip, security, size, sha256, signature)


def decode_image(content: bytes) -> FirmwareImage:
    """Raises ImageRefused where the bytes are not laid out as a whole release image."""
    manifest = decode_manifest(content)
    application = content[MANIFEST_BYTES:]
    if manifest.size != len(application) or not application:
        raise ImageRefused(
            f"the image has {len(application)} bytes, its manifest says {manifest.size}"
        )
    if hashlib.sha256(application).digest() != manifest.sha256:
        raise ImageRefused("the image is damaged: its hash is not the manifest's")
    return FirmwareImage(manifest, application)


def read_image(path: Path) -> FirmwareImage:
    """The image at `path`; raises ImageRefused."""
    most = MANIFEST_BYTES + MAX_APPLICATION_BYTES
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise ImageRefused(f"{path} can't be read: {error.strerror}") from error
    if len(content) > most:
        raise ImageRefused(f"{path} is larger than any sensor's flash")
    return decode_image(content)


def sign_image(application: bytes, private_key: EccKey) -> FirmwareImage:
    """The application under an ECDSA signature with P-256; raises ImageRefused.

    Version, chip and security version are what the application itself says.
    """
    version, chip, security_version = _description(application)
    sha256 = hashlib.sha256(application).digest()
    unsigned = FirmwareManifest(version, chip, security_version, len(application), sha256)
    digest = SHA256.new(SIGNED_WORDS + unsigned.signed_head)
    signature = DSS.new(private_key, "deterministic-rfc6979").sign(digest)
    return FirmwareImage(replace(unsigned, signature=signature), application)


def has_signed(signer: bytes, manifest: bytes) -> bool:
    """Has the owner of this public key, an uncompressed P-256 point, signed this manifest?"""
    digest = SHA256.new(SIGNED_WORDS + manifest[: _HEAD.size])
    try:
        public_key = ECC.import_key(signer, curve_name="P-256")
        DSS.new(public_key, "fips-186-3").verify(digest, manifest[_HEAD.size :])
    except ValueError:
        return False
    return True


def _description(application: bytes) -> tuple[Version, int, int]:
    if len(application) < _DESCRIPTION_AT + _DESCRIPTION.size or application[0] != _IMAGE_MAGIC:
        raise ImageRefused("the file is not an application of ESP-IDF (build/ecg_sensor.bin)")
    (chip,) = struct.unpack_from("<H", application, _CHIP_AT)
    magic, security_version, text = _DESCRIPTION.unpack_from(application, _DESCRIPTION_AT)
    version = _VERSION.fullmatch(text.split(b"\0")[0].decode("ascii", "replace"))
    if magic != _DESCRIPTION_MAGIC or version is None:
        raise ImageRefused("the application does not say its version as in 1.2.3 (PROJECT_VER)")
    numbers = [int(number) for number in version.groups()]
    if max(numbers) > 255 or security_version > 0xFFFF:
        raise ImageRefused("the parts of a version are at most 255, a security version 65535")
    return (numbers[0], numbers[1], numbers[2]), chip, security_version
