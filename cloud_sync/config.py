"""One TOML file in, frozen dataclasses out; an error names file, key, value and what would do."""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

GATEWAY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # one level of a topic, and an AWS thing name
KEEP_ALIVE_S = (30, 1200)  # what AWS IoT Core honours; other brokers take it too
PORTS = (1, 65535)
DEFAULT_OUTBOX = "/var/lib/ecg-gateway/gateway.sqlite3"
DEFAULT_STATE_DIRECTORY = "/var/lib/ecg-cloud-sync"


class ConfigError(Exception):
    """The configuration can't be used; the text says where, and what to write instead."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: whom we believe, and who we are. All three are needed: TLS is mutual."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """[mqtt]: the broker. `tls` is None only for a broker on this machine."""

    host: str
    port: int = 8883
    keep_alive_s: int = 60
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class CloudSyncConfig:
    gateway_id: str
    mqtt: MqttConfig
    outbox: Path  # the gateway's database
    state_directory: Path


def load_config(path: Path) -> CloudSyncConfig:
    """Raises ConfigError; every text starts with the file's name."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        return _cloud_sync(_Section("", document))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ConfigError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


class _Section:
    """One table of the file; each value is taken once, and what is left over is unknown."""

    def __init__(self, name: str, values: dict[str, object]) -> None:
        self._name = name
        self._values = values

    def at(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def only(self, keys: Iterable[str]) -> None:
        known = list(keys)
        for key in self._values:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise ConfigError(f"{self.at(key)} is not known; {hint}")

    def section(self, key: str) -> _Section:
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise ConfigError(f"{key} = {value!r} must be a table: [{key}]")
        return _Section(self.at(key), value)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._values.get(key, default)
        if value is None:
            raise ConfigError(f"{self.at(key)} is missing")
        if not isinstance(value, str) or not value:
            raise ConfigError(f'{self.at(key)} = {value!r} must be a text in "quotes"')
        return value

    def number(self, key: str, default: int, allowed: tuple[int, int]) -> int:
        value = self._values.get(key, default)
        low, high = allowed
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{self.at(key)} = {value!r} must be a number from {low} to {high}")
        return value

    def switch(self, key: str, default: bool) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{self.at(key)} = {value!r} must be true or false")
        return value

    def file(self, key: str) -> Path:
        path = Path(self.text(key))
        if not path.is_file():
            raise ConfigError(f'{self.at(key)} = "{path}": there is no such file')
        return path


def _cloud_sync(section: _Section) -> CloudSyncConfig:
    section.only(["gateway_id", "outbox", "state_directory", "mqtt"])
    gateway_id = section.text("gateway_id")
    if not GATEWAY_ID.fullmatch(gateway_id):
        raise ConfigError(f'gateway_id = "{gateway_id}" must be 1 to 64 of A–Z a–z 0–9 _ -')
    return CloudSyncConfig(
        gateway_id,
        _mqtt(section.section("mqtt")),
        Path(section.text("outbox", DEFAULT_OUTBOX)),
        Path(section.text("state_directory", DEFAULT_STATE_DIRECTORY)),
    )


def _mqtt(section: _Section) -> MqttConfig:
    section.only(["host", "port", "keep_alive_s", "tls", "ca_file", "certificate_file", "key_file"])
    host = section.text("host")
    tls = section.switch("tls", True)
    if not tls and not is_loopback(host):
        raise ConfigError(
            f'mqtt.tls = false is only for a broker on this machine, and mqtt.host = "{host}" '
            "is not; give ca_file, certificate_file and key_file"
        )
    return MqttConfig(
        host,
        section.number("port", 8883 if tls else 1883, PORTS),
        section.number("keep_alive_s", 60, KEEP_ALIVE_S),
        _tls_files(section) if tls else None,
    )


def _tls_files(section: _Section) -> TlsFiles:
    return TlsFiles(
        section.file("ca_file"), section.file("certificate_file"), section.file("key_file")
    )


def is_loopback(host: str) -> bool:
    """Whether the name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
