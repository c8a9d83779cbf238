"""The folder of frame files: one writer appends blocks, readers fetch them by their place.

Files are numbered and closed at `FILE_BYTES`, so that what is old goes by the file. A block is
durable when `append` returns. After a power cut the last file may end in a torn block, which was
never acknowledged: `after` finds where the whole ones end, and the next block goes there.

A block is written over bytes that the file has already, so that `fdatasync` has no metadata to
write: for a place that is only allocated, ext4 puts three blocks into its journal. Therefore a file
is one that retention has set by as a spare, with old blocks in it, which are told by their lower
numbers; a new one is filled with zeros a stretch ahead, where that is less than the journal's part.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway.store.files import sync_folder
from gateway.store.frame_blocks import (
    HEADER_BYTES,
    PAGE_BYTES,
    BlockDamaged,
    Filed,
    block_bytes,
    decode_block,
    encode_block,
)

FILE_BYTES = 16 * 1024 * 1024  # 45 minutes of 8 sensors: the step in which a full disk gets free
STRETCH_BYTES = 256 * 1024  # an SD card takes its zeros in some 25 ms, and an alarm may wait 50
JOURNALLED_BYTES = 3 * PAGE_BYTES  # by ext4, for each block in a place that is only allocated
_SPARE = "spare"
_SUFFIX = ".frames"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a block begins: the file's number and the offset in it."""

    file: int
    offset: int


def frames_folder(database: Path) -> Path:
    """The frame files of a database lie beside it."""
    return database.with_name(f"{database.stem}{_SUFFIX}")


class FrameFiles:
    """Reads blocks. Any thread, and any process that may read the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{_SUFFIX}"

    @property
    def spare(self) -> Path:
        """The next file to be written over, where there is one."""
        return self.folder / _SPARE

    def set_by(self, number: int) -> None:
        """Take the file away; it becomes the spare, unless there is one."""
        if self.spare.exists():
            self.path(number).unlink(missing_ok=True)
        else:
            self.path(number).rename(self.spare)

    def remove(self, number: int) -> None:
        """Take the file away and give its room back, and the spare's."""
        self.spare.unlink(missing_ok=True)
        self.path(number).unlink(missing_ok=True)

    @contextmanager
    def held(self, number: int) -> Iterator[BinaryIO | None]:
        """The file for a reader that takes its time, not to be written over meanwhile.

        None where it was taken away. It may be while it is held, and is read to its end then.
        """
        try:
            file = self.path(number).open("rb")
        except FileNotFoundError:
            yield None
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield file if self._is_still(number, file) else None

    def _is_still(self, number: int, file: BinaryIO) -> bool:
        """Whether it was locked before it could become the spare."""
        try:
            return os.path.samestat(self.path(number).stat(), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False

    def numbers(self) -> list[int]:
        """Those of the files, oldest first."""
        return sorted(int(path.stem) for path in self.folder.glob(f"*{_SUFFIX}"))

    def read(self, place: Place) -> list[Filed]:
        """The block's entries; raises BlockDamaged, or FileNotFoundError where it was removed."""
        with self.path(place.file).open("rb") as file:
            return _read(file.fileno(), place.offset)[0]

    def blocks(self, number: int, offset: int = 0) -> Iterator[tuple[Place, list[Filed], int]]:
        """Every whole block of a file, each with the offset behind it; damaged pages are passed.

        In a file that was a spare old blocks follow the newest: their numbers are lower.
        """
        newest = 0
        with self.path(number).open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            while offset < end:
                try:
                    entries, length = _read(file.fileno(), offset)
                except BlockDamaged:
                    offset += PAGE_BYTES
                    continue
                if entries[0].journal_id <= newest:
                    return
                newest = entries[-1].journal_id
                yield Place(number, offset), entries, offset + length
                offset += length


class FrameAppender:
    """The one writer of the folder. Not for two threads at once."""

    def __init__(self, files: FrameFiles) -> None:
        """Nothing may be appended before `after` was walked through."""
        self._files = files
        self._fd: int | None = None
        self._room = 0  # where the bytes end that the open file has
        self.end = Place(0, 0)  # where the next block goes

    def after(
        self, indexed: Place | None, first_file: int = 0
    ) -> Iterator[tuple[Place, list[Filed]]]:
        """Blocks behind the last indexed one, oldest first; makes ready to append after them.

        Where none is indexed, blocks from `first_file` on.
        """
        begin = indexed or Place(first_file, 0)
        newest = 0
        self.end = begin if indexed is None else Place(begin.file + 1, 0)
        numbers = [number for number in self._files.numbers() if number >= begin.file]
        for number in numbers:
            offset = begin.offset if number == begin.file else 0
            self.end = Place(number + 1, 0)  # unless a whole block in it says where it ends
            for place, entries, end in self._files.blocks(number, offset):
                if entries[0].journal_id <= newest:  # a spare that nothing was written to
                    self.end = Place(number, 0)
                    break
                newest = entries[-1].journal_id
                self.end = Place(number, end)
                if place != indexed:
                    yield place, entries
        self._cut_torn_tail()

    def append(self, entries: Sequence[Filed]) -> Place:
        """Write the block and wait for the disk. Raises OSError; then nothing was appended."""
        block = encode_block(entries)
        if self.end.offset and self.end.offset + len(block) > FILE_BYTES:
            self.close()
            self.end = Place(self.end.file + 1, 0)
        fd = self._open_file()
        if self.end.offset + len(block) > self._room:
            self._make_stretch(fd, len(block))
        _write(fd, block, self.end.offset)
        os.fdatasync(fd)
        place = self.end
        self.end = Place(place.file, place.offset + len(block))
        return place

    def close(self) -> None:
        """Close the file, if one is open, and give back what was not used of it."""
        if self._fd is not None:
            os.ftruncate(self._fd, self.end.offset)
            os.close(self._fd)
            self._fd = None

    def _open_file(self) -> int:
        if self._fd is None:
            self._files.folder.mkdir(mode=0o750, exist_ok=True)
            path = self._files.path(self.end.file)
            if not path.exists() and self._files.spare.exists():
                self._take_spare(path)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._room = os.fstat(self._fd).st_size
            sync_folder(self._files.folder)
        return self._fd

    def _take_spare(self, path: Path) -> None:
        """It becomes this file, unless a backup still reads it."""
        with self._files.spare.open("rb") as spare:
            try:
                fcntl.flock(spare, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._files.spare.unlink()
            else:
                self._files.spare.rename(path)

    def _make_stretch(self, fd: int, block_bytes: int) -> None:
        """Room from here on for this block, and for more like it.

        Zeros go page by page, or Linux would keep them in larger units and take a block for a
        change of the whole.
        """
        end = self.end.offset + max(block_bytes, STRETCH_BYTES)
        if block_bytes < JOURNALLED_BYTES:
            for offset in range(self.end.offset, end, PAGE_BYTES):
                _write(fd, bytes(PAGE_BYTES), offset)
        else:
            os.posix_fallocate(fd, self.end.offset, end - self.end.offset)
        os.fsync(fd)
        self._room = end

    def _cut_torn_tail(self) -> None:
        """What lies behind the last whole block was never acknowledged."""
        path = self._files.path(self.end.file)
        if path.exists() and path.stat().st_size > self.end.offset:
            os.truncate(path, self.end.offset)


def _write(fd: int, content: bytes, offset: int) -> None:
    if os.pwrite(fd, content, offset) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(fd: int, offset: int) -> tuple[list[Filed], int]:
    head = os.pread(fd, HEADER_BYTES, offset)
    length = block_bytes(head)
    return decode_block(os.pread(fd, length, offset)), length
