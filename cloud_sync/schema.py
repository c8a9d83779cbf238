"""The small database that is the cloud side's own. The gateway reads some of it (docs/cloud.md).

WAL with synchronous=NORMAL: a killed process loses nothing. A power cut may undo the last
commits, and those messages go out again under the same message id; that spares the SD card a
sync for each acknowledgement.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
)

metadata = MetaData()

settled = Table(
    "settled",
    metadata,
    Column("message_id", String, primary_key=True),
    Column("lane", String, nullable=False),
    Column("outbox_id", Integer, nullable=False),
    Column("outcome", String, nullable=False),
    Column("settled_at_s", Float, nullable=False),
    Column("reason", String),
    Index("settled_by_row", "lane", "outcome", "outbox_id"),
    sqlite_with_rowid=False,
)

alarm_road = Table(
    "alarm_road",
    metadata,
    Column("message_id", String, primary_key=True),
    Column("alarm_id", String, nullable=False),
    Column("bed", String, nullable=False),
    Column("alarm", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("onset_s", Float, nullable=False),
    Column("created_s", Float, nullable=False),
    Column("notify", Integer, nullable=False),
    Column("in_cloud_s", Float),
    Column("notified_s", Float),
    Column("notified_by", String),
    Index("road_of_alarm", "bed", "alarm", "onset_s"),
    Index("road_by_age", "created_s"),
    sqlite_with_rowid=False,
)

# Corrections of alarms' times that alarm_road has taken.
redatings = Table(
    "redatings",
    metadata,
    Column("message_id", String, primary_key=True),
    sqlite_with_rowid=False,
)

waveform_jobs = Table(
    "waveform_jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("message_id", String, nullable=False, unique=True),
    Column("due_s", Float, nullable=False),
    Column("created_s", Float, nullable=False),
    Column("stretch", String, nullable=False),
    sqlite_autoincrement=True,  # a number is never given twice: the uploader reads on from it
)

link = Table(
    "link",
    metadata,
    Column("id", Integer, primary_key=True),  # one row: 1
    Column("state", String, nullable=False),
    Column("since_s", Float, nullable=False),
    Column("day", String, nullable=False),
    Column("bytes_today", Integer, nullable=False),
)


def open_database(path: Path) -> Engine:
    """Makes what is missing; raises SQLAlchemy's errors."""
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _on_connect)
    metadata.create_all(engine)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=5000")  # the gateway reads this file to prune
