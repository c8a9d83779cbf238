"""The database's files: connections that only read, whole copies, and folders that are durable.

Of the standard library alone: an upgrade of Debian itself copies the database while the other
libraries are those of another Python.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

BUSY_TIMEOUT_S = 5.0  # a backup or a person's sqlite3 shell may hold the file for a moment


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection for any thread that can't write."""
    uri = f"file:{quote(str(path))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def copy_database(database: Path, copy: Path) -> None:
    """Write it as it is at one moment into one file, while the gateway goes on writing.

    `copy` must not exist. What it holds is durable afterwards; its name is with its folder.
    """
    with closing(connect_read_only(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL beside it


def sync_folder(folder: Path) -> None:
    """A file's name is durable only with its folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
