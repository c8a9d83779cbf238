"""`ecg-gateway prepare-upgrade`: what the package asks of this version before it replaces it.

It says no while an alarm calls for somebody, and copies the database aside. It needs no library:
in an upgrade of Debian itself the libraries are already those of another Python.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway import __version__
from gateway.config import GatewayConfig
from gateway.config_file import DEFAULT_PATH, load_config
from gateway.control.socket import ControlRefused, Json, NoGateway, ask
from gateway.store.files import copy_database, sync_folder

BACKUP_FOLDER = "backups"
KEPT_BACKUPS = 2  # the version before this one may be wanted back, and the one before that
SPARE_BYTES = 512 * 1024 * 1024  # what must be free beside the copy: below it an alarm calls
CALLING_PRIORITIES = ("high", "medium")  # low ones are for awareness
CALLING_STATES = ("active", "latched")  # an acknowledged one is in somebody's hands


class NotNow(Exception):
    """This version can't be replaced now; the message says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)
    parser.add_argument("--anyway", action="store_true", help="even while an alarm calls")


def run(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    try:
        if not arguments.anyway:
            _refuse_while_alarms_call(config.state_directory)
        backup = back_up(config)
    except (NotNow, OSError, sqlite3.Error) as error:
        print(f"ecg-gateway prepare-upgrade: {error}", file=sys.stderr)
        return 1
    if backup is not None:
        print(f"the database is copied to {backup}")
    return 0


def _refuse_while_alarms_call(state_directory: Path) -> None:
    try:
        alarms = ask(state_directory, "alarms")
    except NoGateway:
        return
    except ControlRefused as refused:
        raise NotNow(str(refused)) from refused
    if calling := _calling(alarms):
        raise NotNow(f"alarms call for somebody: {', '.join(calling)}; acknowledge them first")


def _calling(alarms: Json) -> list[str]:
    if not isinstance(alarms, list):
        raise NotNow("the running gateway did not list its alarms")
    return [
        f"{alarm['bed']}: {alarm['kind']}"
        for alarm in alarms
        if isinstance(alarm, Mapping)
        and alarm["priority"] in CALLING_PRIORITIES
        and alarm["state"] in CALLING_STATES
    ]


def back_up(config: GatewayConfig) -> Path | None:
    """Copy the database as it is at one moment, while the gateway goes on writing.

    None where there is no database yet. Raises NotNow, OSError or sqlite3.Error.
    """
    database = config.state_directory / config.store.path
    if not database.exists():
        return None
    folder = config.state_directory / BACKUP_FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    _require_room(database, folder)
    copy = folder / f"{database.stem}-{__version__}{database.suffix}"
    fresh = copy.with_name(copy.name + ".new")
    fresh.unlink(missing_ok=True)
    copy_database(database, fresh)
    os.replace(fresh, copy)
    sync_folder(folder)
    _prune(folder, database)
    return copy


def _require_room(database: Path, folder: Path) -> None:
    wal = database.with_name(database.name + "-wal")
    wanted = database.stat().st_size + (wal.stat().st_size if wal.exists() else 0) + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise NotNow(
            f"a copy of {database} needs {wanted >> 20} MB free with a reserve, and {free >> 20} MB"
            f" are: make room, or remove what is in {folder}"
        )


def _prune(folder: Path, database: Path) -> None:
    copies = folder.glob(f"{database.stem}-*{database.suffix}")
    newest_first = sorted(copies, key=lambda copy: copy.stat().st_mtime, reverse=True)
    for old in newest_first[KEPT_BACKUPS:]:
        old.unlink()
