"""What a virtual sensor keeps over a restart: boot counter, keys, and the frames it still holds."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gateway.messages import MAX_U32
from gateway.radio.frame_codec import read_header
from gateway.radio.recording import read_frames
from gateway.simulator.sensor_core import HeldFrames, SensorIdentity


class Flash:
    """Files of one sensor in `directory`; with None nothing outlives the process.

    Without a directory boots count from the present Unix time, so that a later run is a later
    boot.
    """

    def __init__(self, directory: Path | None, sensor: str) -> None:
        self._boot_path = directory / f"{sensor}.boot" if directory else None
        self._frames_path = directory / f"{sensor}.frames" if directory else None
        self._keys_path = directory / f"{sensor}.keys" if directory else None
        self._boot_id = self._read_boot_id()

    def next_boot_id(self) -> int:
        """Count a boot; the number is on the disk before a frame can carry it."""
        self._boot_id = (self._boot_id + 1) & MAX_U32
        if self._boot_path:
            _replace(self._boot_path, str(self._boot_id).encode())
        return self._boot_id

    def save_keys(self, identity: SensorIdentity) -> None:
        if self._keys_path:
            pending = identity.pending_key
            keys = {
                "root_key": identity.root_key.hex(),
                "pending_key": None if pending is None else pending.hex(),
                "provisioned": identity.provisioned,
            }
            _replace(self._keys_path, json.dumps(keys).encode())

    def load_keys(self, identity: SensorIdentity) -> SensorIdentity:
        """The identity with the keys of the last `save_keys`, or as it is before the first."""
        if self._keys_path is None or not self._keys_path.exists():
            return identity
        keys = json.loads(self._keys_path.read_text())
        pending = keys["pending_key"]
        return replace(
            identity,
            root_key=bytes.fromhex(keys["root_key"]),
            pending_key=None if pending is None else bytes.fromhex(pending),
            provisioned=bool(keys["provisioned"]),
        )

    def save_frames(self, frames: Iterable[bytes]) -> None:
        if self._frames_path:
            _replace(self._frames_path, b"".join(frames))

    def load_frames(self, outbox: HeldFrames) -> None:
        """Put what was held at the last `save_frames` back into the outbox."""
        if self._frames_path and self._frames_path.exists():
            for sealed in read_frames(self._frames_path):
                header = read_header(sealed)
                outbox.add(header.session, header.sequence, sealed, live=False)

    def _read_boot_id(self) -> int:
        if self._boot_path is None:
            return int(time.time())
        return int(self._boot_path.read_text()) if self._boot_path.exists() else 0


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole and durably, or not at all."""
    draft = path.with_suffix(path.suffix + ".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
