"""The ports between whatever carries frames and whoever takes them."""

from __future__ import annotations

from typing import Protocol

from gateway.radio.gatt import GattCharacteristic


class LinkLost(Exception):
    """The link ended before the operation did; `reason` is fit for a log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SensorLink(Protocol):
    """One connected sensor. Every operation raises LinkLost once the link is gone."""

    @property
    def name(self) -> str:
        """A label that is safe to log: the last two bytes of the address."""
        ...

    @property
    def adapter(self) -> str: ...

    async def read_status(self) -> bytes:
        """The status characteristic, in the clear: believed for nothing but deriving keys."""
        ...

    async def acknowledge(self, message: bytes) -> None:
        """Send a sealed acknowledgement; returns when it is handed to the radio."""
        ...

    async def command(self, message: bytes) -> None:
        """Send a sealed command; returns when the sensor has confirmed the write."""
        ...

    async def provision(self, message: bytes) -> None:
        """Send a message of the pairing handshake, as `command`; what comes back is `received`."""
        ...

    @property
    def takes_updates(self) -> bool:
        """Has the sensor a firmware characteristic?"""
        ...

    async def update(self, message: bytes) -> None:
        """Send a sealed message of a firmware update; returns when it is handed to the radio."""
        ...

    async def close(self) -> None: ...


class LinkListener(Protocol):
    """Who takes what links bring. All are called in the event loop and must not block."""

    def connected(self, link: SensorLink, status: bytes) -> None: ...

    def received(
        self, link: SensorLink, characteristic: GattCharacteristic, message: bytes
    ) -> None:
        """A whole message, put together again from its pieces; nothing of it is verified."""
        ...

    def disconnected(self, link: SensorLink, reason: str) -> None:
        """Called once for each `connected`; nothing comes from this link afterwards."""
        ...


class Source(Protocol):
    """Where sensors come from: the radio, or a recording."""

    async def run(self, listener: LinkListener) -> None:
        """Bring links to `listener` until cancelled, or until the source is exhausted."""
        ...
