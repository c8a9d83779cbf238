"""A store in a fresh folder, and a sensor whose frames are bytes of the tests' own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.messages import DeviceId, SessionId
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import SessionStarted
from gateway.store.reader import Reader
from gateway.store.transactions import StoreWriter
from tests.store.contents import NOW_S


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store that nobody has open: made once, for migrations take their time."""
    path = tmp_path_factory.mktemp("store") / "gateway.sqlite3"
    open_store(path)
    return path


@pytest.fixture
def store(tmp_path: Path, migrated: Path) -> Path:
    """The path of a new store."""
    return Path(shutil.copy(migrated, tmp_path))


@pytest.fixture
def session() -> SessionId:
    return SessionId(DeviceId(7), boot_id=1, salt=bytes(range(16)))


@pytest.fixture
def started(session: SessionId) -> SessionStarted:
    return SessionStarted(session, 250, 0, first_received_s=NOW_S, wall_offset_s=NOW_S)


@pytest.fixture
def writer(store: Path) -> Iterator[StoreWriter]:
    writer = StoreWriter(writer_engine(store), now=lambda: NOW_S)
    yield writer
    writer.close()


@pytest.fixture
def reader(store: Path) -> Iterator[Reader]:
    reader = Reader(store)
    yield reader
    reader.close()
