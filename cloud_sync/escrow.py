"""Root keys into AWS's Parameter Store, sealed by the deployment's KMS key.

There the one function that may show a curve reads them (aws/functions/read_strip.py). The box may
write them, under its own name alone, and can't read them back: what lies there it knows from a note
of its own, the SHA-256 of each value.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cloud_sync.config import EscrowConfig
from cloud_sync.credentials import CredentialsProvider
from cloud_sync.https import Https
from cloud_sync.sigv4 import AMZ_JSON, signed_headers

PUT_PARAMETER = "AmazonSSM.PutParameter"
MAX_KEYS_BYTES = 1 << 20  # as the gateway's keyring: some 10,000 keys
MAX_GENERATIONS = 60  # a value of 4 KB, the most that a standard parameter holds

_SENSOR = re.compile(r"ECG-[0-9A-F]{8}")
_ROOT_KEY = re.compile(r"[0-9a-f]{64}")

RootKeys = Mapping[str, Sequence[str]]


class NoRootKeys(Exception):
    """This is not what `ecg-gateway keys` prints; the text says why, and names no key."""


def read_root_keys(text: str) -> RootKeys:
    """{sensor: [64 hex digits, oldest first]}; raises NoRootKeys."""
    try:
        keys = json.loads(text[: MAX_KEYS_BYTES + 1])
    except ValueError as error:
        raise NoRootKeys("it is no JSON, or too long") from error
    if not isinstance(keys, dict):
        raise NoRootKeys("it is no JSON object")
    for sensor, generations in keys.items():
        if not _SENSOR.fullmatch(sensor):
            raise NoRootKeys("a name is not like ECG-0000002A")
        if not isinstance(generations, list) or not 0 < len(generations) <= MAX_GENERATIONS:
            raise NoRootKeys(f"{sensor} has no list of 1 to {MAX_GENERATIONS} keys")
        if not all(isinstance(key, str) and _ROOT_KEY.fullmatch(key) for key in generations):
            raise NoRootKeys(f"{sensor} has a key that is not 64 hex digits")
    return keys


class Escrow:
    """Puts what is new or has changed; `note` is the file that remembers."""

    def __init__(
        self,
        config: EscrowConfig,
        gateway_id: str,
        https: Https,
        provider: CredentialsProvider,
        note: Path,
        unix_time: Callable[[], float],
    ) -> None:
        self._config = config
        self._gateway_id = gateway_id
        self._https = https
        self._provider = provider
        self._note = note
        self._unix_time = unix_time

    def put(self, root_keys: RootKeys) -> list[str]:
        """The sensors whose keys were put; raises RequestFailed, and those before it are noted."""
        held: dict[str, str] = json.loads(self._note.read_text()) if self._note.exists() else {}
        put = []
        for sensor, generations in root_keys.items():
            value = json.dumps(generations)
            digest = hashlib.sha256(value.encode()).hexdigest()
            if held.get(sensor) != digest:
                self._put_parameter(sensor, value)
                held[sensor] = digest
                _replace(self._note, json.dumps(held))
                put.append(sensor)
        return put

    def _put_parameter(self, sensor: str, value: str) -> None:
        words = {
            "Name": f"/ecg/{self._gateway_id}/root-keys/{sensor}",
            "Value": value,
            "Type": "SecureString",
            "KeyId": self._config.key_arn,
            "Overwrite": True,
        }
        body = json.dumps(words).encode()
        headers = signed_headers(
            self._provider.credentials(),
            self._config.region,
            "ssm",
            urlsplit(self._config.endpoint).netloc,
            body,
            self._unix_time(),
            content_type=AMZ_JSON,
            target=PUT_PARAMETER,
        )
        self._https.request("POST", self._config.endpoint, headers, body)


def _replace(path: Path, text: str) -> None:
    """Whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
