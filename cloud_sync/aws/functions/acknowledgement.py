"""The cloud's own word to the gateway (docs/cloud.md, "Acknowledgement").

A PUBACK says that the broker has a message; this says that the table has it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

MAX_IDS = 100  # of one message


def acknowledge(
    iot: Any, gateway: str, message_ids: Sequence[str], notified: Sequence[str] = ()
) -> None:
    """QoS 1. A gateway that is gone by now sends its message again, and is answered again."""
    for start in range(0, len(message_ids), MAX_IDS):
        ids = message_ids[start : start + MAX_IDS]
        words: dict[str, object] = {"version": 1, "ids": list(ids)}
        told = [message_id for message_id in ids if message_id in notified]
        if told:
            words["notified"] = told
        iot.publish(topic=f"ecg/{gateway}/ack", qos=1, payload=json.dumps(words).encode())
