"""What the package asks of the installed version before it replaces it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway import __version__
from gateway.__main__ import FAILURE, OK, main
from gateway.control.socket import SOCKET_NAME, Arguments, ControlServer, Json

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(f'state_directory = "{tmp_path}"\n')
    return path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """A gateway's database in the middle of its work: what it wrote last is in the WAL alone."""
    path = tmp_path / "gateway.sqlite3"
    with closing(sqlite3.connect(path)) as writer:
        writer.executescript("PRAGMA journal_mode = WAL; CREATE TABLE frames (sealed TEXT)")
        writer.execute("INSERT INTO frames VALUES ('newest')")
        writer.commit()
        yield path


@contextmanager
def gateway_with(folder: Path, *alarms: dict[str, Json]) -> Iterator[None]:
    """A gateway that answers what its alarms are, in a thread of its own."""

    async def answer(_: Arguments) -> Json:
        return list(alarms)

    async def serve() -> None:
        nonlocal loop, stop
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        server = ControlServer(folder / SOCKET_NAME, {"alarms": answer})
        await server.start()
        started.set()
        await stop.wait()
        await server.stop()

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    started = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def alarm(priority: str = "high", state: str = "active") -> dict[str, Json]:
    return {"bed": "Bed 1", "kind": "asystole", "priority": priority, "state": state}


def prepare(config: Path, *options: str) -> int:
    return main(["prepare-upgrade", "--config", str(config), *options])


def copies(folder: Path) -> list[Path]:
    return sorted((folder / "backups").glob("*"))


def test_the_copy_holds_what_the_gateway_wrote_last(
    config: Path, database: Path, tmp_path: Path
) -> None:
    assert prepare(config) == OK
    (copy,) = copies(tmp_path)
    assert copy.name == f"gateway-{__version__}.sqlite3"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT sealed FROM frames").fetchall() == [("newest",)]


def test_it_needs_no_library(config: Path, database: Path, tmp_path: Path) -> None:
    """In an upgrade of Debian itself they are those of another Python."""
    script = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from gateway.__main__ import main; "
        f"sys.exit(main(['prepare-upgrade', '--config', {str(config)!r}]))"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)
    assert len(copies(tmp_path)) == 1


def test_without_a_database_there_is_nothing_to_copy(config: Path, tmp_path: Path) -> None:
    assert prepare(config) == OK
    assert copies(tmp_path) == []


@pytest.mark.parametrize(("priority", "state"), [("high", "active"), ("medium", "latched")])
def test_an_alarm_that_calls_refuses(
    config: Path,
    database: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    priority: str,
    state: str,
) -> None:
    with gateway_with(tmp_path, alarm(priority, state)):
        assert prepare(config) == FAILURE
    assert "Bed 1: asystole; acknowledge them first" in capsys.readouterr().err
    assert copies(tmp_path) == []


def test_it_can_be_had_anyway(config: Path, database: Path, tmp_path: Path) -> None:
    with gateway_with(tmp_path, alarm()):
        assert prepare(config, "--anyway") == OK
    assert len(copies(tmp_path)) == 1


@pytest.mark.parametrize(("priority", "state"), [("low", "active"), ("high", "acknowledged")])
def test_what_calls_nobody_refuses_nothing(
    config: Path, database: Path, tmp_path: Path, priority: str, state: str
) -> None:
    with gateway_with(tmp_path, alarm(priority, state)):
        assert prepare(config) == OK


def test_a_copy_that_would_fill_the_disk_is_not_begun(
    config: Path,
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nearly_full = shutil.disk_usage(tmp_path)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    assert prepare(config) == FAILURE
    assert "100 MB are" in capsys.readouterr().err
    assert copies(tmp_path) == []


def test_the_two_newest_copies_are_kept(config: Path, database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    for age, version in enumerate(("0.0.3", "0.0.2", "0.0.1"), start=1):
        old = folder / f"gateway-{version}.sqlite3"
        old.touch()
        os.utime(old, (1000 - age, 1000 - age))
    assert prepare(config) == OK
    assert [copy.name for copy in copies(tmp_path)] == [
        "gateway-0.0.3.sqlite3",
        f"gateway-{__version__}.sqlite3",
    ]
