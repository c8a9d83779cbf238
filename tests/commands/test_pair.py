"""`ecg-gateway pair` with a pre-shared root key."""

from __future__ import annotations

import io

import pytest

from gateway.__main__ import main
from gateway.messages import DeviceId
from gateway.radio.keyring import Keyring, read_sealing_key

KEY = bytes(range(32))


@pytest.fixture
def config(tmp_path):
    (tmp_path / "state").mkdir()
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'state_directory = "{tmp_path}/state"\n[keyring]\nkey_file = "{tmp_path}/key"\n'
    )
    return path


def pair(config, *arguments: str) -> int:
    return main(["pair", "ECG-0000002A", "--config", str(config), *arguments])


def test_the_key_comes_from_standard_input(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(KEY.hex() + "\n"))
    assert pair(config) == 0
    assert capsys.readouterr().out == "ECG-0000002A is paired, key generation 1\n"
    keyring = Keyring(tmp_path / "state/keyring", read_sealing_key(tmp_path / "key"))
    assert keyring.root_keys(DeviceId(0x2A)) == (KEY,)


def test_or_from_a_file(config, tmp_path, capsys):
    key_file = tmp_path / "root-key"
    key_file.write_text(KEY.hex())
    assert pair(config, "--root-key-file", str(key_file)) == 0
    key_file.write_text(KEY[::-1].hex())
    assert pair(config, "--root-key-file", str(key_file)) == 0
    assert "key generation 2" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "00" * 31])
def test_a_wrong_key_is_refused_and_not_repeated(config, tmp_path, text, capsys):
    key_file = tmp_path / "root-key"
    key_file.write_text(text)
    assert pair(config, "--root-key-file", str(key_file)) == 1
    error = capsys.readouterr().err
    assert error.startswith("ecg-gateway pair: a root key ")
    assert not text or text not in error
