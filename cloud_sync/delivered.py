"""What became of each outbox row: the small database that is the cloud side's own.

The gateway reads the table `settled` to prune its outbox, so it is a contract between the two:
a row is named by its message id, and only what was `delivered` may be pruned.

WAL with synchronous=NORMAL: a killed process loses nothing. A power cut may undo the last
commits, and those messages go out again under the same message id; that spares the SD card a
sync for each acknowledgement.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert

_metadata = MetaData()
_settled = Table(
    "settled",
    _metadata,
    Column("message_id", String, primary_key=True),
    Column("lane", String, nullable=False),
    Column("outbox_id", Integer, nullable=False),
    Column("outcome", String, nullable=False),
    Column("settled_at_s", Float, nullable=False),
    Column("reason", String),
    Index("settled_by_row", "lane", "outcome", "outbox_id"),
    sqlite_with_rowid=False,
)


class Outcome(enum.StrEnum):
    DELIVERED = "delivered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one outbox row; a reason only where it was refused."""

    message_id: str
    lane: str
    outbox_id: int
    outcome: Outcome
    settled_at_s: float  # Unix time
    reason: str | None = None


class DeliveryLog:
    """Rows that were delivered or refused, on disk."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _on_connect)
        _metadata.create_all(self._engine)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Note what became of these rows, at least one, in one transaction."""
        replace = insert(_settled).prefix_with("OR REPLACE")
        with self._engine.begin() as connection:
            connection.execute(replace, [asdict(settlement) for settlement in settlements])

    def settled(self, message_ids: Iterable[str]) -> frozenset[str]:
        """Those of the messages that were delivered or refused before."""
        query = select(_settled.c.message_id).where(_settled.c.message_id.in_(message_ids))
        with self._engine.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def forget_below(self, lane: str, outbox_id: int) -> None:
        """Drop what was delivered of rows that have left the outbox: it keeps this file small."""
        gone = (
            (_settled.c.lane == lane)
            & (_settled.c.outcome == Outcome.DELIVERED)
            & (_settled.c.outbox_id < outbox_id)
        )
        with self._engine.begin() as connection:
            connection.execute(delete(_settled).where(gone))

    def count(self, lane: str, outcome: Outcome) -> int:
        query = (
            select(func.count())
            .select_from(_settled)
            .where((_settled.c.lane == lane) & (_settled.c.outcome == outcome))
        )
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def refused(self, limit: int) -> list[Settlement]:
        """The latest refused rows with their reasons, newest first."""
        query = (
            select(_settled)
            .where(_settled.c.outcome == Outcome.REFUSED)
            .order_by(_settled.c.settled_at_s.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [
                Settlement(**{**row, "outcome": Outcome(row["outcome"])})
                for row in connection.execute(query).mappings()
            ]

    def close(self) -> None:
        self._engine.dispose()


def _on_connect(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=5000")  # the gateway reads this file to prune
