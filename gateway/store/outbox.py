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
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.store.reader_engine import reader_engine
from gateway.store.schema import installation, outbox

PAYLOAD_VERSION = 1
PRUNED_AT_ONCE = 64  # rows of one short transaction of the recorder
LOOKED_AT = 256  # settled rows in one look: 1 ms of CPU on a PC
MESSAGE_ID_HEX_DIGITS = 32  # 128 bits: no two messages of all gateways meet by chance

_SETTLED = """
    SELECT message_id, outcome IN ('delivered', 'dropped')
        AND EXISTS (SELECT 1 FROM main.outbox WHERE message_id = settled.message_id)
    FROM cloud.settled WHERE message_id > ? ORDER BY message_id LIMIT ?
"""

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


class DeliveredRows:
    """Rows of the outbox that cloud_sync's own database says were delivered.

    Each look takes the next stretch of that database, in the order of its key: while a week's
    backlog drains it names many rows that have left the outbox long ago.
    """

    def __init__(self, path: Path, delivered: Path) -> None:
        self._path = path
        self._delivered = delivered
        self._passed = ""  # the last message that was looked at

    def look(self) -> tuple[tuple[str, ...], bool]:
        """PRUNED_AT_ONCE of them at most, and whether there is more to look at.

        None where that database can't be read, be it absent, closed or damaged: without its word
        nothing is pruned, and its owner is the one to report it.
        """
        found: list[str] = []
        stretch = self._stretch()
        for message_id, is_delivered in stretch:
            self._passed = message_id
            if is_delivered:
                found.append(message_id)
            if len(found) == PRUNED_AT_ONCE:
                return tuple(found), True
        if len(stretch) < LOOKED_AT:
            self._passed = ""
        return tuple(found), self._passed != ""

    def _stretch(self) -> Sequence[tuple[str, int]]:
        connection = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True)
        try:
            cloud = f"file:{quote(str(self._delivered))}?mode=ro"
            connection.execute("ATTACH ? AS cloud", (cloud,))
            return connection.execute(_SETTLED, (self._passed, LOOKED_AT)).fetchall()
        except sqlite3.DatabaseError:
            return ()
        finally:
            connection.close()


def remove_delivered(connection: Connection, message_ids: Sequence[str]) -> None:
    connection.execute(delete(outbox).where(outbox.c.message_id.in_(message_ids)))


def _json(words: Mapping[str, JsonValue]) -> str:
    return json.dumps(words, sort_keys=True, separators=(",", ":"), allow_nan=False)
