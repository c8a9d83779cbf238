"""How far each alarm has come: pending, in the cloud, notified. The gateway's page reads it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Engine, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from cloud_sync.notice import AlarmWords
from cloud_sync.schema import alarm_road, redatings, settled

FRESH_S = 600.0  # an older alarm calls nobody by itself: it stands in a digest
KEPT_S = 30 * 86_400.0  # longer than a page shows an alarm
MAX_CALLS = 1000  # alarms of ten minutes that call one by one; more of them stand in the digest


class NotifiedBy(enum.StrEnum):
    CLOUD = "cloud"
    SNS = "sns"
    DIGEST = "digest"


class AlarmRoad:
    """One row for each message of the alarm lane."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, alarms: Sequence[tuple[AlarmWords, bool]]) -> None:
        """Alarms that have come into the outbox, and whether each is to call a person."""
        if not alarms:
            return
        rows = [
            {
                **{field: getattr(words, field) for field in AlarmWords.__slots__},
                "notify": int(notify),
            }
            for words, notify in alarms
        ]
        here = alarm_road.c.message_id.in_([row["message_id"] for row in rows])
        delivered = select(settled.c.settled_at_s).where(
            settled.c.message_id == alarm_road.c.message_id, settled.c.outcome == "delivered"
        )
        with self._engine.begin() as connection:
            connection.execute(insert(alarm_road).on_conflict_do_nothing(), rows)
            connection.execute(
                update(alarm_road)
                .where(here, alarm_road.c.in_cloud_s.is_(None))
                .values(in_cloud_s=delivered.scalar_subquery())
            )

    def redate(self, correction: str, message_ids: Sequence[str], shift_s: float) -> None:
        """These alarms began so much later; a correction that was taken before changes nothing."""
        here = alarm_road.c.message_id.in_(message_ids)
        with self._engine.begin() as connection:
            taken = insert(redatings).on_conflict_do_nothing().values(message_id=correction)
            if connection.execute(taken).rowcount:
                moved = {"onset_s": alarm_road.c.onset_s + shift_s}
                connection.execute(update(alarm_road).where(here).values(moved))

    def notified(self, message_ids: Iterable[str], by: NotifiedBy, at_s: float) -> None:
        """A person was called; the first call counts."""
        named = alarm_road.c.message_id.in_(list(message_ids))
        with self._engine.begin() as connection:
            connection.execute(
                update(alarm_road)
                .where(named, alarm_road.c.notified_s.is_(None))
                .values(notified_s=at_s, notified_by=by)
            )

    def to_call(self, now_s: float) -> list[AlarmWords]:
        """Fresh alarms that neither the cloud nor a person knows of, oldest first."""
        return self._uncalled(
            alarm_road.c.in_cloud_s.is_(None), alarm_road.c.created_s > now_s - FRESH_S
        )[:MAX_CALLS]

    def to_digest(self, now_s: float) -> list[AlarmWords]:
        """Alarms that were too old to call for before the cloud had them, oldest first."""
        came_late = alarm_road.c.in_cloud_s - alarm_road.c.created_s > FRESH_S
        return self._uncalled(
            alarm_road.c.in_cloud_s.is_(None) | came_late,
            alarm_road.c.created_s <= now_s - FRESH_S,
        )

    def forget_old(self, now_s: float) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(alarm_road).where(alarm_road.c.created_s < now_s - KEPT_S))

    def _uncalled(self, *conditions: ColumnElement[bool]) -> list[AlarmWords]:
        columns = [alarm_road.c[field] for field in AlarmWords.__slots__]
        rows = (
            select(*columns)
            .where(alarm_road.c.notify == 1, alarm_road.c.notified_s.is_(None), *conditions)
            .order_by(alarm_road.c.created_s)
        )
        with self._engine.connect() as connection:
            return [AlarmWords(*row) for row in connection.execute(rows)]
