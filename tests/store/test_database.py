"""Opening: migration, the check, the damaged file set aside."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from gateway.store import database
from gateway.store.database import StoreTooNew, open_store, reader_engine
from gateway.store.reader import Reader
from gateway.store.schema import SCHEMA_REVISION, metadata


def table_definitions(path: Path) -> set[str]:
    """The words of CREATE TABLE and CREATE INDEX, Alembic's own table apart."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'"
        ).fetchall()
    connection.close()
    return {" ".join(sql.split()) for (sql,) in rows}


def test_migrations_from_an_empty_file_make_the_schema(store: Path, tmp_path: Path) -> None:
    from_models = tmp_path / "models.sqlite3"
    engine = create_engine(f"sqlite:///{from_models}")
    metadata.create_all(engine)
    engine.dispose()
    assert table_definitions(store) == table_definitions(from_models)


def test_alembic_sees_no_difference(store: Path) -> None:
    engine = reader_engine(store)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        difference = [
            change
            for change in compare_metadata(context, metadata)
            if change[0] != "remove_table" or change[1].name != "alembic_version"
        ]
    engine.dispose()
    assert difference == []


def test_the_known_revision_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_REVISION


def test_every_table_is_strict(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        tables = connection.execute("PRAGMA table_list").fetchall()
    connection.close()
    loose = {name for _, name, _, _, _, strict in tables if not strict}
    assert loose == {"alembic_version", "sqlite_schema", "sqlite_temp_schema", "sqlite_sequence"}


def test_alembic_is_imported_only_to_migrate(store: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from gateway.store.database import open_store; "
        f"open_store(Path({str(store)!r})); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_outbox_is_read_without_the_signal_path() -> None:
    program = "import sys, gateway.store.outbox; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_opening_again_keeps_what_is_there(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        (uuid,) = connection.execute("SELECT uuid FROM installation").fetchone()
    assert not open_store(store).created
    (again,) = connection.execute("SELECT uuid FROM installation").fetchone()
    connection.close()
    assert again == uuid


def test_a_new_file_is_not_for_strangers(store: Path) -> None:
    assert stat.S_IMODE(store.stat().st_mode) == 0o640


def test_a_store_of_a_newer_gateway_is_refused(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreTooNew, match="schema 9999") as refusal:
        open_store(store)
    assert refusal.value.revision == "9999"


def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite3"
    path.write_bytes(b"not a database, " * 100)
    opened = open_store(path)
    assert opened.set_aside is not None
    assert opened.set_aside.read_bytes() == b"not a database, " * 100
    assert opened.damage == "file is not a database"
    assert opened.created


def test_a_damaged_page_is_found_and_the_file_set_aside_with_its_wal(store: Path) -> None:
    raw = bytearray(store.read_bytes())
    raw[2 * database.PAGE_BYTES :] = bytes(len(raw) - 2 * database.PAGE_BYTES)
    store.write_bytes(raw)
    wal = store.with_name(store.name + "-wal")
    wal.write_bytes(b"")
    opened = open_store(store)
    assert opened.set_aside is not None
    assert opened.set_aside.read_bytes() == raw
    assert open_store(store).set_aside is None


def test_the_check_ends_when_its_time_is_over(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHECK_BUDGET_S", 0.0)
    monkeypatch.setattr(database, "CHECK_STEP", 1)
    assert open_store(store).damage is None


def test_a_reader_cannot_write(store: Path) -> None:
    engine = reader_engine(store)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM installation")
    engine.dispose()


def test_a_reader_finds_no_file_where_none_is(tmp_path: Path) -> None:
    engine = reader_engine(tmp_path / "absent.sqlite3")
    with pytest.raises(OperationalError):
        engine.connect()
    assert list(tmp_path.iterdir()) == []


def test_many_threads_read_at_once(store: Path) -> None:
    reader = Reader(store)
    with ThreadPoolExecutor(max_workers=12) as threads:
        answers = list(threads.map(lambda _: reader.beds(), range(100)))
    assert answers == [[]] * 100
    reader.close()
