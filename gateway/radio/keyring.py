"""The root keys of the clinic's sensors, in one sealed file.

The file is `ECGKEYS1` ‖ nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM with the magic as
associated data over a JSON object {device name: [root key hex, oldest generation first]}. A new
generation is appended; older ones stay for opening what was sealed under them. While a rotation is
under way the object has one more member, "pending", {device name: root key hex}: the key that the
sensor takes as soon as it hears the gateway use it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from Crypto.Cipher import AES
from Crypto.Random import get_random_bytes

from gateway.config import KeyringConfig
from gateway.messages import DeviceId, device_name
from gateway.radio.frame_codec import ROOT_KEY_BYTES, TAG_BYTES

MAGIC = b"ECGKEYS1"
SEALING_KEY_BYTES = 32
MAX_FILE_BYTES = 1 << 20  # some 10,000 keys; a ward has tens

CREDENTIAL = "keyring-key"  # its name in the unit's LoadCredential=

_NONCE_BYTES = 12
_PENDING = "pending"
_DEVICE_NAME = re.compile(r"ECG-([0-9A-F]{8})")


class KeyringError(Exception):
    """The keyring or its sealing key can't be used; the message says what to do."""


def parse_device_name(name: str) -> DeviceId:
    """`ECG-0000002A` → 42; raises KeyringError."""
    match = _DEVICE_NAME.fullmatch(name)
    if match is None:
        raise KeyringError(f"{name!r} is not a sensor's name; it looks like ECG-0000002A")
    return DeviceId(int(match[1], 16))


def read_sealing_key(path: Path) -> bytes:
    """The 32 bytes that open the keyring, from a file of 64 hex digits; raises KeyringError."""
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise KeyringError(f"can't read the keyring's key from {path}: {error}") from error
    if len(key) != SEALING_KEY_BYTES:
        raise KeyringError(f"{path} must hold {SEALING_KEY_BYTES} bytes as hex digits")
    return key


def create_sealing_key(path: Path) -> bytes:
    """Make a new key file, readable by its owner alone; raises KeyringError if it exists."""
    key = get_random_bytes(SEALING_KEY_BYTES)
    try:
        write_new_secret(path, key)
    except OSError as error:
        raise KeyringError(f"can't make the keyring's key {path}: {error}") from error
    return key


def write_new_secret(path: Path, secret: bytes) -> None:
    """A new file of hex digits that its owner alone can read; raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret.hex() + "\n")


@dataclass(frozen=True, slots=True)
class _SensorKeys:
    """A sensor's root keys, oldest first, and the one that a rotation has drawn."""

    generations: tuple[bytes, ...] = field(default=(), repr=False)
    pending: bytes | None = field(default=None, repr=False)

    def with_generation(self, root_key: bytes) -> _SensorKeys:
        """As it is where the key is known already."""
        pending = None if root_key == self.pending else self.pending
        known = self.generations
        return _SensorKeys(known if root_key in known else (*known, root_key), pending)


class Keyring:
    """Root keys by device, each with its generations. Reads the file again when it has changed.

    A missing file is an empty keyring. Raises KeyringError when the file can't be opened. What
    changes it is durable when it returns, and raises OSError where the disk takes nothing.
    """

    def __init__(self, path: Path, sealing_key: bytes) -> None:
        self._path = path
        self._sealing_key = sealing_key
        self._sensors: dict[DeviceId, _SensorKeys] = {}
        self._version: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Take in what another process has written; cheap when nothing changed."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return
        version = (found.st_mtime_ns, found.st_ino)
        if version != self._version:
            self._sensors = self._read()
            self._version = version

    def devices(self) -> tuple[DeviceId, ...]:
        return tuple(sorted(self._sensors))

    def root_keys(self, device_id: DeviceId) -> tuple[bytes, ...]:
        """A device's root keys, newest generation first; empty for an unknown device."""
        return self._keys(device_id).generations[::-1]

    def pending_key(self, device_id: DeviceId) -> bytes | None:
        """The root key that the sensor may take, or has taken already, unheard by the gateway."""
        return self._keys(device_id).pending

    def add(self, device_id: DeviceId, root_key: bytes) -> int:
        """Append a generation; give its number from 1, which a known key has already."""
        with self._changing():
            keys = self._keys(device_id).with_generation(_checked(root_key))
            self._put(device_id, keys)
        return keys.generations.index(root_key) + 1

    def keep_pending(self, device_id: DeviceId, root_key: bytes, serving: bytes) -> None:
        """Keep a key that is to come, in place of one that never came.

        `serving` is the key that the sensor answered under when it drew the new one: where that
        was the pending one until now, it has become a generation.
        """
        with self._changing():
            known = self._keys(device_id).with_generation(serving)
            self._put(device_id, _SensorKeys(known.generations, _checked(root_key)))

    def adopt(self, device_id: DeviceId, root_key: bytes) -> None:
        """The sensor uses this key: if it is the pending one, it becomes the newest generation."""
        if self.pending_key(device_id) == root_key:
            self.add(device_id, root_key)

    def forget(self, device_id: DeviceId) -> None:
        """Destroy a device's keys, all generations: its sealed frames stay sealed."""
        with self._changing():
            if device_id not in self._sensors:
                raise KeyringError(f"{device_name(device_id)} is not in the keyring")
            self._write({key: keys for key, keys in self._sensors.items() if key != device_id})

    def _keys(self, device_id: DeviceId) -> _SensorKeys:
        return self._sensors.get(device_id, _SensorKeys())

    def _put(self, device_id: DeviceId, keys: _SensorKeys) -> None:
        if keys != self._keys(device_id):
            self._write({**self._sensors, device_id: keys})

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Read, change and write as one step: the daemon and a command may both change it."""
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            self.refresh()
            yield
        finally:
            os.close(directory)

    def _read(self) -> dict[DeviceId, _SensorKeys]:
        sealed = self._path.read_bytes()[: MAX_FILE_BYTES + 1]
        head = len(MAGIC) + _NONCE_BYTES
        if not head + TAG_BYTES <= len(sealed) <= MAX_FILE_BYTES or not sealed.startswith(MAGIC):
            raise KeyringError(f"{self._path} is not a keyring")
        cipher = AES.new(self._sealing_key, AES.MODE_GCM, nonce=sealed[len(MAGIC) : head])
        cipher.update(MAGIC)
        try:
            plain = cipher.decrypt_and_verify(sealed[head:-TAG_BYTES], sealed[-TAG_BYTES:])
        except ValueError as error:
            raise KeyringError(f"{self._path} does not open with this key") from error
        return _decode(plain)

    def _write(self, sensors: dict[DeviceId, _SensorKeys]) -> None:
        cipher = AES.new(self._sealing_key, AES.MODE_GCM, nonce=get_random_bytes(_NONCE_BYTES))
        cipher.update(MAGIC)
        ciphertext, tag = cipher.encrypt_and_digest(_encode(sensors))
        _write_durably(self._path, MAGIC + cipher.nonce + ciphertext + tag)
        self._sensors = sensors
        self.refresh()


def _checked(root_key: bytes) -> bytes:
    if len(root_key) != ROOT_KEY_BYTES:
        raise KeyringError(f"a root key has {ROOT_KEY_BYTES} bytes")
    return root_key


def _encode(sensors: dict[DeviceId, _SensorKeys]) -> bytes:
    content: dict[str, object] = {
        device_name(device): [key.hex() for key in keys.generations]
        for device, keys in sensors.items()
    }
    pending = {
        device_name(device): keys.pending.hex()
        for device, keys in sensors.items()
        if keys.pending is not None
    }
    return json.dumps(content | ({_PENDING: pending} if pending else {})).encode()


def _decode(plain: bytes) -> dict[DeviceId, _SensorKeys]:
    content = json.loads(plain)
    pending = {name: bytes.fromhex(key) for name, key in content.pop(_PENDING, {}).items()}
    return {
        parse_device_name(name): _SensorKeys(tuple(map(bytes.fromhex, keys)), pending.get(name))
        for name, keys in content.items()
    }


def open_keyring(state_directory: Path, config: KeyringConfig) -> Keyring:
    """The keyring under the configured key file, or systemd's credential; raises KeyringError."""
    key_file = config.key_file
    if key_file is None:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials is None:
            raise KeyringError(
                "no key for the keyring: set keyring.key_file, or start the gateway from its"
                f' unit, which hands it over as the credential "{CREDENTIAL}"'
            )
        key_file = Path(credentials) / CREDENTIAL
    return Keyring(state_directory / config.path, read_sealing_key(key_file))


def _write_durably(path: Path, content: bytes) -> None:
    """Replace a file so that a power cut leaves the old one or the new one, whole."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
