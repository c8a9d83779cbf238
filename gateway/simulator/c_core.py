"""The firmware's own core, built from `firmware/` for this machine: `--core c`.

Needs a checkout of the project, a C compiler, make and Mbed TLS's headers. One process has room for
ten such sensors: each holds three of the 32 key slots that PSA has, and a rotation needs some more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cffi
import numpy as np
from numpy.typing import NDArray

from gateway.messages import (
    SALT_BYTES,
    SAMPLES_PER_FRAME,
    FrameFlags,
    SessionId,
)
from gateway.radio.frame_codec import FRAME_BYTES, ROOT_KEY_BYTES
from gateway.radio.message_codec import MAX_MESSAGE_BYTES, STATUS_BYTES
from gateway.radio.pairing_handshake import HELLO_BYTES, SEALED_KEY_BYTES, STORED_BYTES
from gateway.radio.x25519 import X25519_BYTES
from gateway.simulator.outbox import LEAST_HELD_FRAMES
from gateway.simulator.sensor_core import CoreError, SensorIdentity

FIRMWARE = Path(__file__).parents[2] / "firmware"
LIBRARY = FIRMWARE.parent / "build" / "firmware" / "libecg_host.so"
FRAMES_PER_SECTOR = 8
MAX_REPLIES = 2

_WRAP_MS = 1 << 32  # the core counts milliseconds in 32 bits


def load_core(library: Path = LIBRARY) -> tuple[cffi.FFI, Any]:
    """Build the core's library if its sources are newer, and load it; raises CoreError."""
    if not (FIRMWARE / "Makefile").exists():
        raise CoreError(f"--core c is built from the sources of the project; {FIRMWARE} has none")
    if not (shutil.which("make") and shutil.which("cc")):
        raise CoreError(
            "--core c needs a C compiler: apt-get install --no-install-recommends"
            " gcc libc6-dev make libmbedtls-dev"
        )
    built = subprocess.run(
        ["make", "-s", "library", f"BUILD={library.parent}"],
        cwd=FIRMWARE,
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise CoreError(
            "the C core does not build; are libmbedtls-dev and libc6-dev installed?\n"
            + built.stderr.strip()
        )
    ffi = cffi.FFI()
    ffi.cdef((FIRMWARE / "host" / "ecg_host.h").read_text("ascii"))
    return ffi, ffi.dlopen(str(library))


class CCore:
    """One virtual chip: its held frames, in RAM and simulated flash, outlive its boots."""

    def __init__(self, held_limit: int, signer: bytes | None = None) -> None:
        self.ffi, self.lib = load_core()
        sectors = -(-max(0, held_limit - LEAST_HELD_FRAMES) // FRAMES_PER_SECTOR)
        host = self.lib.ecg_host_new(sectors)
        if host == self.ffi.NULL:
            raise CoreError("the C core could not start")
        self.host = self.ffi.gc(host, self.lib.ecg_host_free)
        if signer is not None:
            self.lib.ecg_host_trust(host, signer)

    def state(self) -> Any:
        state = self.ffi.new("ecg_host_state_t *")
        self.lib.ecg_host_state(self.host, state)
        return state

    @property
    def held(self) -> int:
        return int(self.state().held)

    @property
    def acknowledged(self) -> int:
        return int(self.state().acknowledged)

    @property
    def overwritten(self) -> int:
        return int(self.state().overwritten)

    @property
    def resent(self) -> int:
        return int(self.state().resent)

    def add(self, session: SessionId, sequence: int, sealed: bytes, live: bool) -> None:
        """Hold a frame of a former run; the core reads its session and sequence itself."""
        self.lib.ecg_host_add(self.host, sealed)

    def take(self, now_s: float, frame_period_s: float) -> list[bytes]:
        sealed = self.ffi.new("uint8_t[]", FRAME_BYTES)
        taken = []
        while self.lib.ecg_host_take(self.host, _milliseconds(now_s), sealed):
            taken.append(bytes(sealed))
        return taken

    def frames(self) -> Iterator[bytes]:
        age = self.ffi.new("uint32_t *", 0)
        sealed = self.ffi.new("uint8_t[]", FRAME_BYTES)
        while self.lib.ecg_host_next_held(self.host, age, sealed):
            yield bytes(sealed)
            age[0] += 1

    def boot(
        self, identity: SensorIdentity, sample_rate_hz: int, stranger_timeout_s: float
    ) -> CSensor:
        """Restart: RAM goes to the flash ring, and what that holds is found again."""
        failed = self.lib.ecg_host_boot(
            self.host,
            identity.device_id,
            identity.boot_id,
            self._keys(identity),
            sample_rate_hz,
            _milliseconds(stranger_timeout_s),
        )
        if failed:
            raise CoreError(f"the C core could not boot: result {failed}")
        return CSensor(self, identity)

    def _keys(self, identity: SensorIdentity) -> Any:
        keys = self.ffi.new("ecg_host_keys_t *")
        keys.root_key = identity.root_key
        keys.pending_key = identity.pending_key or bytes(ROOT_KEY_BYTES)
        keys.has_pending_key = identity.pending_key is not None
        keys.provisioned = identity.provisioned
        return keys


class CSensor:
    """The sensor's rules as the firmware has them, from a boot to the next."""

    def __init__(self, core: CCore, identity: SensorIdentity) -> None:
        self._core = core
        self._identity = identity

    @property
    def identity(self) -> SensorIdentity:
        keys = self._core.ffi.new("ecg_host_keys_t *")
        self._core.lib.ecg_host_keys(self._core.host, keys)
        return replace(
            self._identity,
            root_key=bytes(keys.root_key),
            pending_key=bytes(keys.pending_key) if keys.has_pending_key else None,
            provisioned=bool(keys.provisioned),
        )

    @property
    def sampling(self) -> bool:
        return bool(self._core.state().sampling)

    @sampling.setter
    def sampling(self, value: bool) -> None:
        self._core.lib.ecg_host_set_sampling(self._core.host, value)

    @property
    def session(self) -> SessionId:
        state = self._core.state()
        salt = bytes(self._core.ffi.buffer(state.salt, SALT_BYTES))
        return SessionId(self._identity.device_id, int(state.boot_id), salt)

    @property
    def sample_rate_hz(self) -> int:
        return int(self._core.state().sample_rate_hz)

    @property
    def frame_period_s(self) -> float:
        return SAMPLES_PER_FRAME / self.sample_rate_hz

    @property
    def refusals(self) -> int:
        return int(self._core.state().refused)

    def status(self) -> bytes:
        status = self._core.ffi.new("uint8_t[]", STATUS_BYTES)
        self._core.lib.ecg_host_status(self._core.host, status)
        return bytes(status)

    def sampled(self, steps: NDArray[np.int16], flags: FrameFlags, device_time_us: int) -> None:
        buffer = self._core.ffi.from_buffer("int16_t[]", np.ascontiguousarray(steps, np.int16))
        failed = self._core.lib.ecg_host_sampled(self._core.host, buffer, flags, device_time_us)
        if failed:
            raise CoreError(f"the C core could not seal a frame: result {failed}")

    def connected(self, now_s: float) -> None:
        self._core.lib.ecg_host_connected(self._core.host, _milliseconds(now_s))

    def disconnected(self) -> None:
        self._core.lib.ecg_host_disconnected(self._core.host)

    def must_drop(self, now_s: float) -> bool:
        return bool(self._core.lib.ecg_host_must_drop(self._core.host, _milliseconds(now_s)))

    def received(self, message: bytes, now_s: float) -> list[bytes]:
        ffi = self._core.ffi
        replies = ffi.new("uint8_t[]", MAX_REPLIES * MAX_MESSAGE_BYTES)
        lengths = ffi.new("size_t[]", MAX_REPLIES)
        count = self._core.lib.ecg_host_received(
            self._core.host, message, len(message), round(now_s * 1e6), replies, lengths
        )
        starts = range(0, count * MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES)
        return [
            bytes(ffi.buffer(replies + start, length))
            for start, length in zip(starts, lengths, strict=False)
        ]

    def restart_due(self, up_s: float) -> bool:
        return bool(self._core.lib.ecg_host_restart_due(self._core.host, _milliseconds(up_s)))

    def overdue_report(self) -> list[bytes]:
        reply = self._core.ffi.new("uint8_t[]", MAX_MESSAGE_BYTES)
        length = self._core.ffi.new("size_t *")
        if not self._core.lib.ecg_host_overdue_report(self._core.host, reply, length):
            return []
        return [bytes(self._core.ffi.buffer(reply, length[0]))]

    def open_pairing_window(self, secret: bytes) -> None:
        self._core.lib.ecg_host_open_pairing(self._core.host, secret)

    def close_pairing_window(self) -> None:
        self._core.lib.ecg_host_close_pairing(self._core.host)

    def provision(self, message: bytes) -> list[bytes]:
        if len(message) == STORED_BYTES:
            self._core.lib.ecg_host_pair_confirm(self._core.host, message, len(message))
            return []
        answers = self._core.ffi.new("uint8_t[]", HELLO_BYTES + SEALED_KEY_BYTES)
        failed = self._core.lib.ecg_host_pair(
            self._core.host, message, len(message), os.urandom(X25519_BYTES), answers
        )
        said = bytes(answers)
        return [] if failed else [said[:HELLO_BYTES], said[HELLO_BYTES:]]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000) % _WRAP_MS
