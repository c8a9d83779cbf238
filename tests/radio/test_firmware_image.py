"""Release images: what is signed, what is refused, and the golden one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from Crypto.PublicKey import ECC

from gateway.radio.firmware_image import (
    ImageRefused,
    decode_image,
    has_signed,
    read_image,
    sign_image,
)
from tests.firmware_image import RELEASE_KEY, SIGNER, application, image
from tests.radio.test_vectors import read_vectors

VECTORS = Path(__file__).parents[1] / "vectors" / "firmware.txt"


def test_the_golden_image() -> None:
    vectors = read_vectors(VECTORS)
    golden = image((1, 3, 0), 500, security_version=2)
    assert vectors["firmware_signer"] == SIGNER
    assert vectors["firmware_manifest"] == golden.manifest.encode()
    assert vectors["firmware_application"] == golden.application
    assert decode_image(golden.encode()) == golden


def test_what_the_application_says_is_signed() -> None:
    manifest = image((3, 20, 100), 4000, chip=9, security_version=7).manifest
    assert (manifest.version, manifest.chip, manifest.security_version) == ((3, 20, 100), 9, 7)
    assert (manifest.size, manifest.title) == (4000, "3.20.100 for ESP32-S3")
    assert has_signed(SIGNER, manifest.encode())
    other = ECC.generate(curve="p256").public_key().export_key(format="SEC1")
    assert not has_signed(other, manifest.encode())
    assert not has_signed(SIGNER, replace(manifest, chip=5).encode())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[:111], "not a firmware image"),
        (lambda content: b"X" + content[1:], "not a firmware image"),
        (lambda content: content[:4] + b"\x02" + content[5:], "layout 2"),
        (lambda content: content + b"\0", "1001 bytes, its manifest says 1000"),
        (lambda content: content[:112], "0 bytes"),
        (lambda content: content[:-1] + b"\0", "damaged"),
    ],
)
def test_a_file_that_is_no_whole_image_is_refused(spoil, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(spoil(image().encode()))
    with pytest.raises(ImageRefused, match=reason):
        read_image(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match="No such file"):
        read_image(tmp_path / "image")


@pytest.mark.parametrize(
    "binary",
    [
        b"",
        bytes(500),
        application((1, 2, 3), 79),
        application((1, 2, 300), 500),
        application((1, 2, 3), 500, security_version=65536),
        application((1, 2, 3), 500).replace(b"1.2.3", b"beta\0"),
    ],
)
def test_only_applications_that_say_their_version_are_signed(binary: bytes) -> None:
    with pytest.raises(ImageRefused):
        sign_image(binary, RELEASE_KEY)
