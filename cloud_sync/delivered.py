"""What became of each outbox row.

The gateway reads the table `settled` to prune its outbox, so it is a contract between the two
(docs/cloud.md): a row is named by its message id, and only what was `delivered` or `dropped` may be
pruned.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Engine, delete, func, select, text, update
from sqlalchemy.dialects.sqlite import insert

from cloud_sync.schema import alarm_road, settled


class Outcome(enum.StrEnum):
    DELIVERED = "delivered"
    REFUSED = "refused"  # waits in quarantine for a person
    DROPPED = "dropped"  # a person has given it up


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

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Note what became of these rows, at least one, in one transaction."""
        replace = insert(settled).prefix_with("OR REPLACE")
        came = [end for end in settlements if end.outcome is Outcome.DELIVERED]
        with self._engine.begin() as connection:
            connection.execute(replace, [asdict(settlement) for settlement in settlements])
            if came:
                here = alarm_road.c.message_id.in_([end.message_id for end in came])
                connection.execute(
                    update(alarm_road)
                    .where(here, alarm_road.c.in_cloud_s.is_(None))
                    .values(in_cloud_s=came[-1].settled_at_s)
                )

    def changed_elsewhere(self) -> int:
        """Another number after each commit of another process: a person's word on quarantine."""
        with self._engine.connect() as connection:
            return int(connection.execute(text("PRAGMA data_version")).scalar_one())

    def settled(self, message_ids: Iterable[str]) -> frozenset[str]:
        """Those of the messages that were delivered or refused before."""
        query = select(settled.c.message_id).where(settled.c.message_id.in_(message_ids))
        with self._engine.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def forget_below(self, lane: str, outbox_id: int) -> None:
        """Drop what was delivered of rows that have left the outbox: it keeps this file small."""
        gone = (
            (settled.c.lane == lane)
            & (settled.c.outcome == Outcome.DELIVERED)
            & (settled.c.outbox_id < outbox_id)
        )
        with self._engine.begin() as connection:
            connection.execute(delete(settled).where(gone))

    def count(self, lane: str, outcome: Outcome) -> int:
        query = (
            select(func.count())
            .select_from(settled)
            .where((settled.c.lane == lane) & (settled.c.outcome == outcome))
        )
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def refused(self, limit: int) -> list[Settlement]:
        """The latest refused rows with their reasons, newest first."""
        query = (
            select(settled)
            .where(settled.c.outcome == Outcome.REFUSED)
            .order_by(settled.c.settled_at_s.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [
                Settlement(**{**row, "outcome": Outcome(row["outcome"])})
                for row in connection.execute(query).mappings()
            ]

    def retry(self, message_ids: Sequence[str] | None) -> int:
        """Forget that these, or all, were refused: the daemon sends them again. How many."""
        with self._engine.begin() as connection:
            return connection.execute(delete(settled).where(_refused(message_ids))).rowcount

    def drop(self, message_ids: Sequence[str] | None) -> int:
        """Give these, or all refused ones, up for good; the gateway may forget them. How many."""
        dropped = update(settled).where(_refused(message_ids)).values(outcome=Outcome.DROPPED)
        with self._engine.begin() as connection:
            return connection.execute(dropped).rowcount

    def latest_deliveries(self, limit: int) -> list[float]:
        """When the last ones were delivered, in Unix time, oldest first."""
        times = (
            select(settled.c.settled_at_s)
            .where(settled.c.outcome == Outcome.DELIVERED)
            .order_by(settled.c.settled_at_s.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return sorted(connection.execute(times).scalars())


def _refused(message_ids: Sequence[str] | None) -> ColumnElement[bool]:
    refused = settled.c.outcome == Outcome.REFUSED
    return refused if message_ids is None else refused & settled.c.message_id.in_(message_ids)
