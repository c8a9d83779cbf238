"""What the gateway says of itself on `ecg/<gateway>/status` (docs/cloud.md, "Status")."""

from __future__ import annotations

import enum
import json

INTERVAL_S = 900  # AWS bills each message; a gateway that is gone is missed within a ward round


class Presence(enum.StrEnum):
    """Why the status is said."""

    CONNECTED = "connected"
    ALIVE = "alive"
    RESTING = "resting"  # a metered link, outside its windows
    STOPPED = "stopped"
    LOST = "lost"  # said by the broker: the Last Will


_ONLINE = frozenset({Presence.CONNECTED, Presence.ALIVE})


def status_topic(gateway_id: str) -> str:
    return f"ecg/{gateway_id}/status"


def status_message(gateway_id: str, presence: Presence, at_s: float, next_within_s: int) -> bytes:
    """`next_within_s`: how long silence after this message is no news."""
    words = {
        "version": 1,
        "gateway": gateway_id,
        "state": "online" if presence in _ONLINE else "offline",
        "reason": presence,
        "at_s": round(at_s, 3),
        "next_within_s": next_within_s,
    }
    return json.dumps(words, separators=(",", ":")).encode()
