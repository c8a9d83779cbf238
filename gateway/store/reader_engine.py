"""SQLAlchemy's connections that can't write."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from gateway.store.files import connect_read_only


def reader_engine(path: Path) -> Engine:
    """For any thread."""
    return create_engine("sqlite://", creator=lambda: connect_read_only(path), poolclass=QueuePool)
