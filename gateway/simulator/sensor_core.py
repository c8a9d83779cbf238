"""What a board needs of the core that it runs: the Python twin, or the firmware's own C code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.messages import DeviceId, FrameFlags, SessionId


class CoreError(Exception):
    """A core can't be built, or has failed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SensorIdentity:
    """Who a sensor is during one boot, and its keys, which are never shown."""

    device_id: DeviceId
    boot_id: int
    root_key: bytes = field(repr=False)
    pending_key: bytes | None = field(default=None, repr=False)  # drawn by a rotation
    provisioned: bool = True  # a gateway has said that it keeps the root key


class HeldFrames(Protocol):
    """The frames that a sensor still holds; they outlive its boots."""

    @property
    def held(self) -> int: ...
    @property
    def acknowledged(self) -> int: ...
    @property
    def overwritten(self) -> int: ...
    @property
    def resent(self) -> int: ...

    def add(self, session: SessionId, sequence: int, sealed: bytes, live: bool) -> None: ...
    def take(self, now_s: float, frame_period_s: float) -> list[bytes]: ...
    def frames(self) -> Iterator[bytes]: ...


class SensorCore(Protocol):
    """A sensor from a boot to the next."""

    @property
    def sampling(self) -> bool: ...
    @sampling.setter
    def sampling(self, value: bool) -> None: ...

    @property
    def identity(self) -> SensorIdentity:
        """As it is now: what has changed must be durable before an answer goes out."""
        ...

    @property
    def session(self) -> SessionId: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def frame_period_s(self) -> float: ...
    @property
    def refusals(self) -> int: ...

    def status(self) -> bytes: ...
    def sampled(self, steps: NDArray[np.int16], flags: FrameFlags, device_time_us: int) -> None: ...
    def connected(self, now_s: float) -> None: ...
    def disconnected(self) -> None: ...
    def must_drop(self, now_s: float) -> bool: ...
    def received(self, message: bytes, now_s: float) -> list[bytes]: ...
    def overdue_report(self) -> list[bytes]: ...
    def open_pairing_window(self, secret: bytes) -> None: ...
    def close_pairing_window(self) -> None: ...
    def provision(self, message: bytes) -> list[bytes]: ...


# An identity, a sample rate in Hz and the patience with strangers in s begin a boot.
BootCore = Callable[[SensorIdentity, int, float], SensorCore]
