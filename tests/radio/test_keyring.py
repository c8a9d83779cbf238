"""The keyring: durable, sealed, and clear about what is wrong."""

import os

import pytest

from gateway.messages import DeviceId
from gateway.radio import keyring as module
from gateway.radio.keyring import (
    Keyring,
    KeyringError,
    create_sealing_key,
    parse_device_name,
    read_sealing_key,
)

SEALING_KEY = bytes(range(32))
DEVICE = DeviceId(0x2A)
OTHER = DeviceId(0x2B)
OLD, NEW, THIRD = bytes(32), bytes([1] * 32), bytes([2] * 32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keyring"


def test_generations_are_kept_newest_first(path):
    keyring = Keyring(path, SEALING_KEY)
    assert keyring.root_keys(DEVICE) == ()
    assert [keyring.add(DEVICE, key) for key in (OLD, NEW, OLD)] == [1, 2, 1]
    assert Keyring(path, SEALING_KEY).root_keys(DEVICE) == (NEW, OLD)
    assert keyring.devices() == (DEVICE,)


def test_a_pending_key_is_kept_beside_the_generations(path):
    keyring = Keyring(path, SEALING_KEY)
    keyring.add(DEVICE, OLD)
    keyring.keep_pending(DEVICE, NEW, serving=OLD)
    again = Keyring(path, SEALING_KEY)
    assert again.root_keys(DEVICE) == (OLD,)
    assert again.pending_key(DEVICE) == NEW
    again.adopt(DEVICE, OLD)
    assert again.pending_key(DEVICE) == NEW
    again.adopt(DEVICE, NEW)
    assert (again.root_keys(DEVICE), again.pending_key(DEVICE)) == ((NEW, OLD), None)


def test_a_pending_key_that_serves_is_not_replaced_but_followed(path):
    keyring = Keyring(path, SEALING_KEY)
    keyring.add(DEVICE, OLD)
    keyring.keep_pending(DEVICE, NEW, serving=OLD)
    keyring.keep_pending(DEVICE, THIRD, serving=NEW)
    assert (keyring.root_keys(DEVICE), keyring.pending_key(DEVICE)) == ((NEW, OLD), THIRD)


def test_a_pending_key_that_never_came_is_replaced(path):
    keyring = Keyring(path, SEALING_KEY)
    keyring.add(DEVICE, OLD)
    keyring.keep_pending(DEVICE, NEW, serving=OLD)
    keyring.keep_pending(DEVICE, THIRD, serving=OLD)
    assert (keyring.root_keys(DEVICE), keyring.pending_key(DEVICE)) == ((OLD,), THIRD)


def test_pairing_anew_under_the_pending_key_makes_it_a_generation(path):
    keyring = Keyring(path, SEALING_KEY)
    keyring.add(DEVICE, OLD)
    keyring.keep_pending(DEVICE, NEW, serving=OLD)
    assert keyring.add(DEVICE, NEW) == 2
    assert keyring.pending_key(DEVICE) is None


def test_what_another_process_has_added_is_not_overwritten(path):
    daemon, command = Keyring(path, SEALING_KEY), Keyring(path, SEALING_KEY)
    command.add(DEVICE, OLD)
    daemon.add(OTHER, NEW)
    assert Keyring(path, SEALING_KEY).devices() == (DEVICE, OTHER)


def test_no_key_is_shown(path):
    keyring = Keyring(path, SEALING_KEY)
    keyring.add(DEVICE, NEW)
    assert NEW.hex() not in repr(vars(keyring)["_sensors"])
    assert repr(NEW)[2:-1] not in repr(vars(keyring)["_sensors"])


def test_no_key_lies_in_the_file_and_only_its_owner_reads_it(path):
    Keyring(path, SEALING_KEY).add(DEVICE, NEW)
    content = path.read_bytes()
    assert NEW not in content
    assert NEW.hex().encode() not in content
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_another_process_wrote_is_seen(path):
    reader = Keyring(path, SEALING_KEY)
    Keyring(path, SEALING_KEY).add(DEVICE, NEW)
    reader.refresh()
    assert reader.root_keys(DEVICE) == (NEW,)


def test_forgetting_a_device(path):
    keyring = Keyring(path, SEALING_KEY)
    keyring.add(DEVICE, NEW)
    keyring.forget(DEVICE)
    assert Keyring(path, SEALING_KEY).devices() == ()
    with pytest.raises(KeyringError, match="not in the keyring"):
        keyring.forget(DEVICE)


@pytest.mark.parametrize("damage", [b"", b"ECGKEYS1", b"x" * 100, b"ECGKEYS1" + bytes(60)])
def test_a_damaged_file_is_an_error_that_names_it(path, damage):
    path.write_bytes(damage)
    with pytest.raises(KeyringError, match=str(path)):
        Keyring(path, SEALING_KEY)


def test_the_wrong_key_is_an_error(path):
    Keyring(path, SEALING_KEY).add(DEVICE, NEW)
    with pytest.raises(KeyringError, match="does not open with this key"):
        Keyring(path, bytes(32))


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    keyring = Keyring(path, SEALING_KEY)
    keyring.add(DEVICE, OLD)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        keyring.add(DEVICE, NEW)
    monkeypatch.undo()
    assert keyring.root_keys(DEVICE) == (OLD,)
    assert Keyring(path, SEALING_KEY).root_keys(DEVICE) == (OLD,)


def test_sealing_key_file(tmp_path):
    path = tmp_path / "key"
    key = create_sealing_key(path)
    assert read_sealing_key(path) == key
    assert os.stat(path).st_mode & 0o777 == 0o600
    with pytest.raises(KeyringError, match="can't make"):
        create_sealing_key(path)
    path.write_text("abcd")
    with pytest.raises(KeyringError, match="must hold 32 bytes"):
        read_sealing_key(path)


def test_device_names():
    assert parse_device_name("ECG-0000002A") == DEVICE
    with pytest.raises(KeyringError, match="looks like ECG-0000002A"):
        parse_device_name("ecg-2a")
