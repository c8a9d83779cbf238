"""Opening the one database file: connections, migration, the check at start-up.

Every commit is synchronous=FULL, frames as much as alarms: a frame is acknowledged on commit and
the sensor forgets it then, so a power cut must not undo it. One fsync in five seconds is cheap.
"""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.store.files import BUSY_TIMEOUT_S, connect_read_only
from gateway.store.frame_files import frames_folder
from gateway.store.salvage import Salvage, begin_salvage, salvage_note
from gateway.store.schema import SCHEMA_REVISION, alembic_version

StoreUnreadable = DBAPIError  # what a reader's question raises where the file is damaged

CHECK_BUDGET_S = 5.0  # monitoring starts within 10 s, however large the file has grown
CHECK_STEP = 10_000  # SQLite's instructions between two looks at the clock
PAGE_BYTES = 1024  # each index leaf that a batch touches is written whole: 10 × falls to 7 ×
WAL_PAGES = 4000  # 4 MB before the WAL is folded back: a leaf written often is folded back once
_MIGRATIONS = Path(__file__).parent / "migrations"
SIDE_FILES = ("", "-wal", "-shm")


class StoreTooNew(Exception):
    """The file was written by a newer gateway; this one does not know its schema."""

    def __init__(self, path: Path, revision: str) -> None:
        super().__init__(
            f"{path} has schema {revision}, this gateway knows up to {SCHEMA_REVISION}: "
            "install the newer gateway again, or restore a backup that is older"
        )
        self.path = path
        self.revision = revision


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """What `open_store` found. `set_aside` is where a damaged file went, and `damage` its kind."""

    path: Path
    created: bool
    set_aside: Path | None = None
    damage: str | None = None


def open_store(path: Path) -> OpenedStore:
    """Make the file ready for the recorder: checked, at the newest schema.

    A damaged file is renamed, never deleted, and what is vital of it put into a new one; the
    recorder salvages the rest. Raises `StoreTooNew`.
    """
    damage = _damage(path) if path.exists() else None
    set_aside = _set_aside(path) if damage is not None else None
    created = not path.exists()
    if created:
        path.touch(mode=0o640)  # the group may read: cloud_sync runs as a user of its own
        if not salvage_note(path).exists():
            _set_frames_aside(path)
    _migrate(path)
    if salvage_note(path).exists():
        salvage = Salvage(path)
        salvage.copy_vital()
        salvage.close()
    return OpenedStore(path, created, set_aside, damage)


def writer_engine(path: Path) -> Engine:
    """The recorder's engine; transactions begin immediately, so they never fail halfway."""
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S},
    )
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_writer(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _damage(path: Path) -> str | None:
    """What is wrong with the file, or None as far as `CHECK_BUDGET_S` could look."""
    connection = connect_read_only(path)  # so that a damaged file is left as it was found
    deadline = time.monotonic() + CHECK_BUDGET_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, CHECK_STEP)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None if verdict == "ok" else str(verdict)


def _set_aside(path: Path) -> Path:
    """Rename the file and its WAL, which belong together, so that all of it can be salvaged."""
    aside = path.with_name(f"{path.stem}.damaged-{stamp()}{path.suffix}")
    begin_salvage(path, aside)
    for suffix in SIDE_FILES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.rename(part, aside.with_name(aside.name + suffix))
    return aside


def _set_frames_aside(path: Path) -> None:
    """Frame files whose database is gone: a new one would take their sessions for its own."""
    folder = frames_folder(path)
    if folder.exists():
        folder.rename(folder.with_name(f"{path.stem}.frames-{stamp()}"))


def stamp() -> str:
    """The time in a file's name."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def _migrate(path: Path) -> None:
    engine = writer_engine(path)
    try:
        with engine.begin() as connection:
            if _revision(connection) != SCHEMA_REVISION:
                _upgrade(connection, path)
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(alembic_version.name):
        return None
    return connection.scalar(select(alembic_version.c.version_num))


def _upgrade(connection: Connection, path: Path) -> None:
    """Run the missing migrations. Alembic costs half a second and 11 MB, so only here."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = _revision(connection)
    if revision is not None and revision not in known:
        raise StoreTooNew(path, revision)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
