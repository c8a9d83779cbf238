"""systemd's notification protocol: one datagram for each state (sd_notify(3))."""

from __future__ import annotations

import socket
from collections.abc import Mapping


def sd_notify(environment: Mapping[str, str], state: str) -> None:
    """Tell systemd `READY=1`, `WATCHDOG=1` or `STOPPING=1`; nothing where systemd does not ask."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract namespace
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
        notifier.sendto(state.encode(), address)
