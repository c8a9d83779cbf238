"""The models whose labels are stored, each a row that a beat needs one small number for."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from gateway.store.schema import models


class KnownModels:
    """Row ids by short hash. A gateway meets a handful of models in its life."""

    def __init__(self) -> None:
        self._row_ids: dict[str, int] = {}

    def forget(self) -> None:
        """The transaction was rolled back: what is remembered may never have happened."""
        self._row_ids.clear()

    def row_id(self, connection: Connection, short_hash: str) -> int:
        """The model's row, which is made where it is new."""
        if short_hash not in self._row_ids:
            self._row_ids[short_hash] = _row_id(connection, short_hash)
        return self._row_ids[short_hash]


def _row_id(connection: Connection, short_hash: str) -> int:
    known = connection.execute(select(models.c.id).where(models.c.short_hash == short_hash))
    row = (
        known.first()
        or connection.execute(
            insert(models).values(short_hash=short_hash).returning(models.c.id)
        ).one()
    )
    return int(row.id)
