"""Backups: the database and the frame files, sealed, taken while the gateway runs.

The database is copied by SQLite's own online backup, the frame files up to what that copy's index
knows; what is younger than the last entry into the index, a minute at most, is in the next backup.
Files go in newest first, for retention takes the oldest meanwhile: what the copy of the index names
and the backup lacks is then always older than all that it has, and reads as removed.
A restore checks everything before it touches anything, and sets the state of before aside.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from gateway.store.database import SIDE_FILES, stamp
from gateway.store.files import connect_read_only, copy_database, sync_folder
from gateway.store.frame_blocks import HEADER_BYTES, BlockDamaged, block_bytes
from gateway.store.frame_files import FrameFiles, Place, frames_folder
from gateway.store.sealed_stream import OpeningReader, SealingWriter, StreamRefused

DATABASE = "database.sqlite3"
MANIFEST = "manifest.json"
FRAMES = "frames"
COPIED_AT_ONCE = 1024 * 1024
_MEMBER = re.compile(rf"{re.escape(DATABASE)}|{MANIFEST}|{FRAMES}/\d{{8}}\.frames")
_BEFORE_RESTORE, _UNDONE = "before-restore-", "undone-restore-"

Progress = Callable[[int, int], None]


class BackupRefused(Exception):
    """It can't be done; the message is for the person who asked for it."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A file of the backup: the first `length` bytes of what `opened` gives, None if it is gone."""

    name: str
    length: int
    opened: Callable[[], AbstractContextManager[BinaryIO | None]]


def back_up(
    database: Path,
    target: Path,
    passphrase: str,
    with_waveforms: bool = True,
    progress: Progress = lambda done, total: None,
) -> None:
    """Write the backup. `progress` is told bytes done and in all. Raises BackupRefused, OSError."""
    if not database.exists():
        raise BackupRefused(f"there is no database {database}")
    if target.exists():
        raise BackupRefused(f"{target} exists; nothing is overwritten")
    part = target.with_name(f"{target.name}.part")
    with tempfile.TemporaryDirectory(prefix="backup-", dir=database.parent) as folder:
        copy = Path(folder) / DATABASE
        copy_database(database, copy)
        members = [_Member(DATABASE, copy.stat().st_size, lambda: copy.open("rb"))]
        if with_waveforms:
            members += _frame_members(database, copy)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            _write(SealingWriter(file, passphrase), members, progress)
            file.flush()
            os.fsync(file.fileno())
    part.rename(target)
    sync_folder(target.parent)


def check(source: Path, passphrase: str, progress: Progress = lambda done, total: None) -> None:
    """Read all of the backup; raises BackupRefused where it is not as it was written."""
    for _ in _verified_members(source, passphrase, progress):
        continue


def restore(
    source: Path,
    database: Path,
    passphrase: str,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Put the backup in place; the gateway must not be running. Gives where the state of before is.

    Raises BackupRefused or OSError; then nothing was changed.
    """
    with tempfile.TemporaryDirectory(prefix="restore-", dir=database.parent) as name:
        folder = Path(name)
        (folder / FRAMES).mkdir(mode=0o750)
        for member, content in _verified_members(source, passphrase, progress):
            if member != MANIFEST:
                _write_file(folder / member, content)
        _check_database(folder / DATABASE)
        return _exchange(database, folder / DATABASE, folder / FRAMES, _BEFORE_RESTORE)


def undo_restore(database: Path) -> Path:
    """Bring back the state of before the newest restore; gives where the restored one is now."""
    kept = sorted(database.parent.glob(f"{_BEFORE_RESTORE}*"))
    if not kept:
        raise BackupRefused("nothing was restored here")
    frames = kept[-1] / frames_folder(database).name
    frames.mkdir(exist_ok=True)
    aside = _exchange(database, kept[-1] / database.name, frames, _UNDONE)
    for left in kept[-1].iterdir():
        left.rename(database.parent / left.name)
    kept[-1].rmdir()
    return aside


def _frame_members(database: Path, copy: Path) -> Iterator[_Member]:
    with closing(connect_read_only(copy)) as connection:
        row = connection.execute(
            'SELECT file, "offset" FROM frame_runs ORDER BY journal_id DESC LIMIT 1'
        ).fetchone()
    if row is None:
        return
    files, newest = FrameFiles(frames_folder(database)), Place(*row)
    for number in reversed([each for each in files.numbers() if each <= newest.file]):
        with files.held(number) as file:
            if file is not None:
                name = f"{FRAMES}/{files.path(number).name}"
                yield _Member(name, _length(file, number, newest), partial(files.held, number))


def _length(file: BinaryIO, number: int, newest: Place) -> int:
    """Without what is being written behind the newest block."""
    if number < newest.file:
        return os.fstat(file.fileno()).st_size
    try:
        return newest.offset + block_bytes(os.pread(file.fileno(), HEADER_BYTES, newest.offset))
    except BlockDamaged:
        return newest.offset


def _write(sealed: SealingWriter, members: list[_Member], progress: Progress) -> None:
    total = sum(member.length for member in members)
    done, digests = 0, {}
    with tarfile.open(fileobj=sealed, mode="w|") as tar:
        for member in members:
            with member.opened() as file:
                if file is None:
                    total -= member.length
                    continue
                digests[member.name] = _add(tar, member, file)
            done += member.length
            progress(done, total)
        manifest = json.dumps(digests).encode()
        head = tarfile.TarInfo(MANIFEST)
        head.size = len(manifest)
        tar.addfile(head, io.BytesIO(manifest))
    sealed.finish()


def _add(tar: tarfile.TarFile, member: _Member, file: BinaryIO) -> str:
    """Gives the digest of what went in."""
    head = tarfile.TarInfo(member.name)
    head.size = member.length
    counted = _Counted(file)
    tar.addfile(head, counted)
    return counted.digest.hexdigest()


def _verified_members(
    source: Path, passphrase: str, progress: Progress
) -> Iterator[tuple[str, _Counted]]:
    """Each member, to be read before the next; at the end the manifest must agree with all."""
    total = source.stat().st_size
    try:
        with source.open("rb") as file, OpeningReader(file, passphrase) as opened:
            digests, manifest = {}, None
            with tarfile.open(fileobj=opened, mode="r|") as tar:
                for head in tar:
                    content = tar.extractfile(head)
                    if content is None or not _MEMBER.fullmatch(head.name):
                        raise BackupRefused(f"a backup holds no {head.name!r}")
                    if head.name == MANIFEST:
                        manifest = json.load(content)
                        continue
                    counted = _Counted(content)
                    yield head.name, counted
                    while counted.read(COPIED_AT_ONCE):
                        continue
                    digests[head.name] = counted.digest.hexdigest()
                    progress(file.tell(), total)
            opened.expect_end()
    except (StreamRefused, tarfile.TarError, ValueError) as error:
        raise BackupRefused(f"{source}: {error}") from error
    if manifest != digests:
        raise BackupRefused(f"{source}: its checksums do not agree")


class _Counted(io.RawIOBase):
    """A file whose bytes are summed up as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def _write_file(path: Path, content: _Counted) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as file:
        while part := content.read(COPIED_AT_ONCE):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _check_database(path: Path) -> None:
    if not path.exists():
        raise BackupRefused("the backup holds no database")
    with closing(connect_read_only(path)) as connection:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise BackupRefused(f"the backup's database is damaged: {verdict}")


def _exchange(database: Path, new_database: Path, new_frames: Path, prefix: str) -> Path:
    """Set the present state aside and put the new one in its place."""
    frames = frames_folder(database)
    aside = database.with_name(f"{prefix}{stamp()}")
    aside.mkdir(mode=0o700)
    for suffix in SIDE_FILES:
        part = database.with_name(database.name + suffix)
        if part.exists():
            part.rename(aside / part.name)
    if frames.exists():
        frames.rename(aside / frames.name)
    new_frames.rename(frames)
    new_database.rename(database)
    sync_folder(database.parent)
    return aside
