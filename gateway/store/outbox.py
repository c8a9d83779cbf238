"""What waits for the cloud: rows made in the transaction of what they speak of.

A message's id is a hash over its own words and this store's uuid, so the same fact always carries
the same id, also from a restored backup; the cloud's tables drop the repeat. cloud_sync reads here
(read-only) and keeps what was delivered in a database of its own; by it the recorder prunes.
"""

from __future__ import annotations

import enum
import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.store.reader_engine import reader_engine
from gateway.store.schema import installation, outbox

PAYLOAD_VERSION = 1
PRUNED_AT_ONCE = 500  # rows of one short transaction of the recorder
MESSAGE_ID_HEX_DIGITS = 32  # 128 bits: no two messages of all gateways meet by chance

_DELIVERED = """
    SELECT message_id FROM cloud.settled CROSS JOIN main.outbox USING (message_id)
    WHERE outcome IN ('delivered', 'dropped') LIMIT ?
"""  # CROSS: from the settled ones, which are few; after a week offline the outbox is long

_INSERT = upsert(outbox).on_conflict_do_nothing()

JsonValue: TypeAlias = "str | int | float | bool | Mapping[str, JsonValue] | None"


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
    lane: Lane,
    kind: str,
    store_uuid: str,
    created_s: float,
    facts: Mapping[str, JsonValue],
    beside: Mapping[str, JsonValue] | None = None,
) -> dict[str, JsonValue]:
    """A row of the table. The id covers store, kind and facts, not when the row was made.

    `beside` goes with the facts and is no part of the message's identity: what is derived from
    them, or may be known better when the same fact is told again.
    """
    words = {"version": PAYLOAD_VERSION, **facts}
    return {
        "lane": lane.value,
        "kind": kind,
        "created_s": created_s,
        "message_id": outbox_hash(f"{store_uuid} {kind} {_json(words)}"),
        "payload": _json({**words, **(beside or {})}),
    }


def send_to_cloud(
    connection: Connection,
    lane: Lane,
    kind: str,
    created_s: float,
    facts: Mapping[str, JsonValue],
    beside: Mapping[str, JsonValue] | None = None,
) -> str:
    """Put the message into the outbox, unless it is there; gives its id."""
    values = outbox_values(lane, kind, store_uuid(connection), created_s, facts, beside)
    connection.execute(_INSERT, values)
    return str(values["message_id"])


def store_uuid(connection: Connection) -> str:
    uuid: str = connection.scalars(select(installation.c.uuid)).one()
    return uuid


def outbox_hash(words: str) -> str:
    """A name that the same words always get."""
    return hashlib.sha256(words.encode()).hexdigest()[:MESSAGE_ID_HEX_DIGITS]


class OutboxReader:
    """cloud_sync's view of the outbox, and of the sealed frames that it may ask for; it can't
    write, nor open a frame."""

    def __init__(self, path: Path) -> None:
        self._path = path
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

    def frames(
        self, device: str, boot_id: int, salt: bytes, first: int, last: int
    ) -> list[tuple[int, bytes]]:
        """Sequence and sealed bytes of what is stored from `first` to `last`, both included."""
        # Imported here: it brings numpy, 25 MB that an outbox without waveforms never needs.
        from gateway.messages import DeviceId, FrameSequence, SessionId
        from gateway.store.reader import Reader

        session = SessionId(DeviceId(int(device.removeprefix("ECG-"), 16)), boot_id, salt)
        with closing(Reader(self._path)) as reader:
            stored = reader.frames(session, FrameSequence(first), FrameSequence(last))
        return [(frame.sequence, frame.sealed) for frame in stored]

    def close(self) -> None:
        self._engine.dispose()


def delivered_message_ids(path: Path, delivered: Path) -> tuple[str, ...]:
    """Rows of the outbox that cloud_sync's own database says were delivered, some at a time.

    Empty where that database can't be read, be it absent, closed or damaged: without its word
    nothing is pruned, and its owner is the one to report it.
    """
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        connection.execute("ATTACH ? AS cloud", (f"file:{quote(str(delivered))}?mode=ro",))
        rows = connection.execute(_DELIVERED, (PRUNED_AT_ONCE,)).fetchall()
    except sqlite3.DatabaseError:
        return ()
    finally:
        connection.close()
    return tuple(message_id for (message_id,) in rows)


def _json(words: Mapping[str, JsonValue]) -> str:
    return json.dumps(words, sort_keys=True, separators=(",", ":"), allow_nan=False)
