"""The signing side: what it signs a gateway takes, and the key stays where it is."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from gateway.served_model.bundle import read_bundle
from gateway.tflite_classifier import default_model_path
from model.bundle import main, public_key, read_key


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "signer.key"
    assert main(["keygen", "--key", str(path)]) == 0
    return path


def test_what_is_signed_a_gateway_takes(key, tmp_path, capsys):
    capsys.readouterr()
    assert main(["sign", "--key", str(key), "--out", str(tmp_path / "next.bundle")]) == 0
    told = capsys.readouterr().out
    signer = public_key(read_key(key))
    assert signer in told
    bundle = read_bundle(tmp_path / "next.bundle")
    bundle.check_signature((signer,))
    assert bundle.model == default_model_path().read_bytes()
    assert bundle.card == default_model_path().with_suffix(".json").read_bytes()


def test_the_private_key_is_the_owners_and_is_never_shown(tmp_path, capsys):
    path = tmp_path / "signer.key"
    main(["keygen", "--key", str(path)])
    main(["sign", "--key", str(path), "--out", str(tmp_path / "next.bundle")])
    told = "".join(capsys.readouterr())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in told
    assert bytes.fromhex(path.read_text()) not in (tmp_path / "next.bundle").read_bytes()


def test_a_key_file_is_not_overwritten(key, capsys):
    before = key.read_text()
    assert main(["keygen", "--key", str(key)]) == 1
    assert "File exists" in capsys.readouterr().err
    assert key.read_text() == before


@pytest.mark.parametrize("content", ["", "zz" * 32, "00" * 31, "schlüssel"])
def test_a_file_that_is_no_key_is_refused_without_its_content(tmp_path, capsys, content):
    path = tmp_path / "signer.key"
    path.write_text(content)
    assert main(["sign", "--key", str(path), "--out", str(tmp_path / "next.bundle")]) == 1
    assert capsys.readouterr().err == f"model.bundle: {path} does not hold 64 hex digits\n"
    assert not (tmp_path / "next.bundle").exists()


def test_a_model_that_does_not_fit_its_card_is_not_signed(key, tmp_path, capsys):
    for suffix in (".tflite", ".json"):
        shutil.copy(default_model_path().with_suffix(suffix), tmp_path / f"copy{suffix}")
    card = json.loads((tmp_path / "copy.json").read_text())
    (tmp_path / "copy.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    out = tmp_path / "next.bundle"
    assert main(["sign", "--key", str(key), "--out", str(out), str(tmp_path / "copy.tflite")]) == 1
    assert "the card says 000" in capsys.readouterr().err
    assert not out.exists()
