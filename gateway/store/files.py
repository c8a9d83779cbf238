"""The database's files: connections that only read, and folders that are durable."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

BUSY_TIMEOUT_S = 5.0  # a backup or a person's sqlite3 shell may hold the file for a moment


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection for any thread that can't write."""
    uri = f"file:{quote(str(path))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def reader_engine(path: Path) -> Engine:
    """Connections that can't write, for any thread."""
    return create_engine("sqlite://", creator=lambda: connect_read_only(path), poolclass=QueuePool)


def sync_folder(folder: Path) -> None:
    """A file's name is durable only with its folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
