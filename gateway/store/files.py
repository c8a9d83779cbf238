"""What the database's files need of the operating system and of SQLite."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

BUSY_TIMEOUT_S = 5.0  # a backup or a person's sqlite3 shell may hold the file for a moment


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection for any thread that can't write."""
    uri = f"file:{quote(str(path))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def sync_folder(folder: Path) -> None:
    """A file's name is durable only with its folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
