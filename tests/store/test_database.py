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

from gateway.messages import (
    Beat,
    BeatClass,
    BeatLabel,
    DeviceId,
    RhythmEvent,
    RhythmKind,
    SampleIndex,
    SessionId,
)
from gateway.store import database
from gateway.store.answers import StoredBeat
from gateway.store.database import StoreTooNew, open_store, writer_engine
from gateway.store.entries import Found
from gateway.store.reader import Reader
from gateway.store.reader_engine import reader_engine
from gateway.store.schema import SCHEMA_REVISION, metadata
from gateway.store.transactions import StoreWriter

FIRST_STORE = Path(__file__).with_name("first_schema.sql")


def schema_of(path: Path) -> dict[str, dict[str, set[tuple[object, ...]]]]:
    """Tables and what SQLite says of each; the words of indices; Alembic's own table apart.

    Not the words of tables: a column that was added later has its foreign key at another place.
    """
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name, wr, strict FROM pragma_table_list").fetchall()
    schema = {
        name: {
            "kind": {(without_rowid, strict)},
            "columns": set(connection.execute(f"PRAGMA table_xinfo({name})")),
            "foreign keys": set(connection.execute(_FOREIGN_KEYS, (name,))),
            "indices": set(connection.execute(_INDICES, (name,))),
            "checks": {(words.count("CHECK"),) for (words,) in connection.execute(_WORDS, (name,))},
        }
        for name, without_rowid, strict in tables
        if name != "alembic_version"
    }
    connection.close()
    return schema


_WORDS = "SELECT sql FROM sqlite_master WHERE name = ?"
_FOREIGN_KEYS = 'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)'
_INDICES = """
    SELECT i.name, i."unique", i.origin, i.partial, s.sql
    FROM pragma_index_list(?) i LEFT JOIN sqlite_master s USING (name)
"""


@pytest.fixture
def first_store(tmp_path: Path) -> Path:
    """A store of the first released schema, with a labelled and an unlabelled beat."""
    path = tmp_path / "first.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_STORE.read_text())
    connection.close()
    return path


def test_migrations_from_an_empty_file_make_the_schema(store: Path, tmp_path: Path) -> None:
    from_models = tmp_path / "models.sqlite3"
    engine = create_engine(f"sqlite:///{from_models}")
    metadata.create_all(engine)
    engine.dispose()
    assert schema_of(store) == schema_of(from_models)


def test_a_store_of_the_first_schema_becomes_the_newest(first_store: Path, store: Path) -> None:
    opened = open_store(first_store)
    assert (opened.created, opened.set_aside) == (False, None)
    assert schema_of(first_store) == schema_of(store)


def test_beats_from_before_the_models_keep_their_labels(first_store: Path) -> None:
    open_store(first_store)
    reader = Reader(first_store)
    session = SessionId(DeviceId(7), 1, bytes(16))
    stored = reader.beats(session, SampleIndex(0), SampleIndex(1000))
    reader.close()
    label = BeatLabel(BeatClass.VENTRICULAR, 0.97)
    beats = [
        Beat(SampleIndex(125), 900.0, None, False, None),
        Beat(SampleIndex(325), -812.5, 640.0, True, label),
    ]
    assert stored == [StoredBeat(beat, None) for beat in beats]


def test_events_from_before_the_evidence_are_read(first_store: Path) -> None:
    connection = sqlite3.connect(first_store)
    connection.execute(
        "INSERT INTO events (session_id, kind, onset, decided) VALUES (1, 'asystole', 5, 9)"
    )
    connection.commit()
    connection.close()
    open_store(first_store)
    reader = Reader(first_store)
    stored = reader.events(SessionId(DeviceId(7), 1, bytes(16)))
    reader.close()
    assert stored == [RhythmEvent(RhythmKind.ASYSTOLE, SampleIndex(5), SampleIndex(9))]


def test_new_labels_stand_beside_the_old_ones(first_store: Path) -> None:
    open_store(first_store)
    session = SessionId(DeviceId(7), 1, bytes(16))
    new = Beat(SampleIndex(500), 900.0, None, False, BeatLabel(BeatClass.NORMAL, 0.02))
    writer = StoreWriter(writer_engine(first_store), now=lambda: 2_000_000.0)
    writer.write([Found(session, "0123abcd", (new,))])
    writer.close()
    reader = Reader(first_store)
    stored = reader.beats(session, SampleIndex(0), SampleIndex(1000))
    reader.close()
    assert [each.model for each in stored] == [None, None, "0123abcd"]


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
