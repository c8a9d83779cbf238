"""`python -m firmware.sign`: a key, the header that trusts it, and an image that it has signed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firmware.sign import HEADER, header, main
from gateway.radio.firmware_image import has_signed, read_image
from tests.firmware_image import application

NO_KEY = bytes(65)


def point_in(text: str) -> bytes:
    return bytes(int(digits, 16) for digits in re.findall("0x([0-9a-f]{2}),", text))


def test_an_image_is_signed_by_the_key_that_the_header_trusts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, trusted, binary = tmp_path / "key", tmp_path / "update_signer.h", tmp_path / "app.bin"
    binary.write_bytes(application((2, 0, 1), 3000, chip=13, security_version=4))
    assert main(["keygen", "--key", str(key), "--header", str(trusted)]) == 0
    assert key.stat().st_mode & 0o077 == 0
    sign = ["image", "--key", str(key), "--out", str(tmp_path / "image"), str(binary)]
    assert main(sign) == 0
    output = capsys.readouterr().out
    assert "2.0.1 for ESP32-C6, security version 4" in output
    assert key.read_text().strip() not in output
    image = read_image(tmp_path / "image")
    assert image.application == binary.read_bytes()
    assert has_signed(point_in(trusted.read_text()), image.manifest.encode())


def test_the_firmware_in_the_project_trusts_nobody() -> None:
    text = (Path(__file__).parents[2] / HEADER).read_text()
    assert "update_signer[ECG_P256_POINT_BYTES] = {0};" in text
    assert point_in(header(NO_KEY)) == NO_KEY
    assert text.split("static")[0] == header(NO_KEY).split("static")[0]


def test_what_can_not_be_done_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, trusted = tmp_path / "key", tmp_path / "signer.h"
    assert main(["keygen", "--key", str(key), "--header", str(trusted)]) == 0
    assert main(["keygen", "--key", str(key), "--header", str(trusted)]) == 1
    assert "can't be made: File exists" in capsys.readouterr().err
    sign = ["image", "--out", str(tmp_path / "image"), str(trusted), "--key"]
    assert main([*sign, str(tmp_path / "none")]) == 1
    assert main([*sign, str(trusted)]) == 1
    assert "does not hold 64 hex digits" in capsys.readouterr().err
    assert main([*sign, str(key)]) == 1
    assert "not an application of ESP-IDF" in capsys.readouterr().err
    assert not (tmp_path / "image").exists()
