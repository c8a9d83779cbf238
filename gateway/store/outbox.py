"""What waits for the cloud: rows made in the transaction of what they speak of.

A message's id is a hash over its own words and this gateway, so the same fact always carries the
same id, also from a restored backup; the cloud's tables drop the repeat. cloud_sync reads here
(read-only) and keeps what was delivered in a database of its own.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from gateway.store.database import reader_engine
from gateway.store.schema import outbox

PAYLOAD_VERSION = 1
MESSAGE_ID_HEX_DIGITS = 32  # 128 bits: no two messages of all gateways meet by chance

JsonValue = str | int | float | bool | None


class Lane(enum.StrEnum):
    """The order in which the cloud gets things: alarms before summaries before waveforms."""

    ALARM = "alarm"
    SUMMARY = "summary"
    WAVEFORM = "waveform"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message for the cloud; `payload` is JSON. Ids only grow."""

    id: int
    lane: Lane
    kind: str
    created_s: float
    message_id: str
    payload: str


def outbox_values(
    lane: Lane, kind: str, gateway_id: str, created_s: float, facts: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """A row of the table. The id covers gateway, kind and facts, not when the row was made."""
    words = {"version": PAYLOAD_VERSION, "message": kind, "gateway": gateway_id, **facts}
    digest = hashlib.sha256(_json(words).encode()).hexdigest()[:MESSAGE_ID_HEX_DIGITS]
    payload = _json({"id": digest, **words})
    return {
        "lane": lane.value,
        "kind": kind,
        "created_s": created_s,
        "message_id": digest,
        "payload": payload,
    }


class OutboxReader:
    """cloud_sync's view of the outbox; it can't write."""

    def __init__(self, path: Path) -> None:
        self._engine = reader_engine(path)

    def pending(self, lane: Lane, after_id: int, limit: int) -> list[OutboxRow]:
        """Rows of the lane above `after_id`, oldest first."""
        rows = (
            select(outbox)
            .where(outbox.c.lane == lane.value, outbox.c.id > after_id)
            .order_by(outbox.c.id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [
                OutboxRow(r.id, Lane(r.lane), r.kind, r.created_s, r.message_id, r.payload)
                for r in connection.execute(rows)
            ]

    def close(self) -> None:
        self._engine.dispose()


def _json(words: Mapping[str, JsonValue]) -> str:
    return json.dumps(words, sort_keys=True, separators=(",", ":"), allow_nan=False)
