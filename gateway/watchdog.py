"""How the daemon shows that it lives: stage heartbeats and sd_notify for systemd."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def sd_notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell systemd the state (sd_notify(3)); False where nobody listens."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):  # Linux's abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
        notifier.connect(address)
        notifier.sendall(state.encode())
    return True


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often systemd wants to hear ALIVE: half of WatchdogSec, as sd_watchdog_enabled(3) says.

    None where it watches nobody, or another process.
    """
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    timeout_us = environ.get("WATCHDOG_USEC")
    return int(timeout_us) / 2e6 if timeout_us else None


class Heartbeats:
    """When each stage last showed that it works; a stage may beat from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._allowed_s: dict[str, float] = {}
        self._last_s: dict[str, float] = {}

    def expect(self, stage: str, every_s: float) -> None:
        """From now on `stage` beats at least every `every_s` seconds."""
        self._last_s[stage] = self._clock()
        self._allowed_s[stage] = every_s

    def beat(self, stage: str) -> None:
        """Raises KeyError for a stage that nobody expects."""
        if stage not in self._allowed_s:
            raise KeyError(stage)
        self._last_s[stage] = self._clock()

    def late(self) -> list[str]:
        """The stages that have been silent for too long, by name."""
        now_s = self._clock()
        return sorted(
            stage
            for stage, allowed_s in self._allowed_s.items()
            if now_s - self._last_s[stage] > allowed_s
        )


async def keep_alive(heartbeats: Heartbeats, interval_s: float) -> None:
    """Send ALIVE for as long as every stage is alive; runs until it is cancelled.

    With a late stage it keeps silent, and systemd restarts the daemon.
    """
    while True:
        if late := heartbeats.late():
            log.error("stages are late", extra={"stages": late})
        else:
            sd_notify(ALIVE)
        await asyncio.sleep(interval_s)
