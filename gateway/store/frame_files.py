"""The folder of frame files: one writer appends blocks, readers fetch them by their place.

Files are numbered and closed at `FILE_BYTES`, so that what is old goes by deleting a file. A block
is durable when `append` returns. After a power cut the last file may end in a torn block, which
was never acknowledged: `after` finds where the whole ones end, and the next block goes there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
ALLOCATED_BYTES = 1024 * 1024  # at a time: a file that grows with each block costs 1.3 × the writes
_SUFFIX = ".frames"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a block begins: the file's number and the offset in it."""

    file: int
    offset: int


@dataclass(frozen=True, slots=True)
class FrameFile:
    number: int
    bytes_on_disk: int


def frames_folder(database: Path) -> Path:
    """The frame files of a database lie beside it."""
    return database.with_name(f"{database.stem}{_SUFFIX}")


class FrameFiles:
    """Reads blocks. Any thread, and any process that may read the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{_SUFFIX}"

    def files(self) -> list[FrameFile]:
        """Oldest first; `bytes_on_disk` counts what the file system keeps for them."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            try:
                found.append(FrameFile(int(path.stem), 512 * path.stat().st_blocks))
            except FileNotFoundError:  # retention took it between the two looks
                continue
        return sorted(found, key=lambda file: file.number)

    def read(self, place: Place) -> list[Filed]:
        """The block's entries; raises BlockDamaged, or FileNotFoundError where it was removed."""
        with self.path(place.file).open("rb") as file:
            return _read(file.fileno(), place.offset)[0]

    def blocks(self, number: int, offset: int = 0) -> Iterator[tuple[Place, list[Filed], int]]:
        """Every whole block of a file, each with the offset behind it; damaged pages are passed."""
        with self.path(number).open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            while offset < end:
                try:
                    entries, length = _read(file.fileno(), offset)
                except BlockDamaged:
                    offset += PAGE_BYTES
                    continue
                yield Place(number, offset), entries, offset + length
                offset += length


class FrameAppender:
    """The one writer of the folder. Not for two threads at once."""

    def __init__(self, files: FrameFiles) -> None:
        """Nothing may be appended before `after` was walked through."""
        self._files = files
        self._fd: int | None = None
        self._allocated = 0
        self.end = Place(0, 0)  # where the next block goes

    def after(
        self, indexed: Place | None, first_file: int = 0
    ) -> Iterator[tuple[Place, list[Filed]]]:
        """Blocks behind the last indexed one, oldest first; makes ready to append after them.

        Where none is indexed, blocks from `first_file` on.
        """
        begin = indexed or Place(first_file, 0)
        self.end = begin if indexed is None else Place(begin.file + 1, 0)
        numbers = [file.number for file in self._files.files() if file.number >= begin.file]
        for number in numbers:
            offset = begin.offset if number == begin.file else 0
            self.end = Place(number + 1, 0)  # unless a whole block in it says where it ends
            for place, entries, end in self._files.blocks(number, offset):
                self.end = Place(number, end)
                if place != indexed:
                    yield place, entries
        self._cut_torn_tail()

    def append(self, entries: Sequence[Filed]) -> Place:
        """Write the block and wait for the disk. Raises OSError; then nothing was appended."""
        block = encode_block(entries)
        if self.end.offset and self.end.offset + len(block) > FILE_BYTES:
            self._close_file()
            self.end = Place(self.end.file + 1, 0)
        fd = self._open_file()
        if self.end.offset + len(block) > self._allocated:
            self._allocate(fd, max(len(block), ALLOCATED_BYTES))
        written = os.pwrite(fd, block, self.end.offset)
        if written < len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(fd)
        place = self.end
        self.end = Place(place.file, place.offset + len(block))
        return place

    def close(self) -> None:
        """Give back what was allocated and not used."""
        if self._fd is not None:
            self._close_file()

    def _open_file(self) -> int:
        if self._fd is None:
            self._files.folder.mkdir(mode=0o750, exist_ok=True)
            path = self._files.path(self.end.file)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._allocated = os.fstat(self._fd).st_size
            sync_folder(self._files.folder)
        return self._fd

    def _allocate(self, fd: int, length: int) -> None:
        os.posix_fallocate(fd, self.end.offset, length)
        os.fsync(fd)
        self._allocated = self.end.offset + length

    def _close_file(self) -> None:
        assert self._fd is not None, "a file is closed once"
        os.ftruncate(self._fd, self.end.offset)
        os.close(self._fd)
        self._fd = None

    def _cut_torn_tail(self) -> None:
        """What lies behind the last whole block was never acknowledged."""
        path = self._files.path(self.end.file)
        if path.exists() and path.stat().st_size > self.end.offset:
            os.truncate(path, self.end.offset)


def _read(fd: int, offset: int) -> tuple[list[Filed], int]:
    head = os.pread(fd, HEADER_BYTES, offset)
    length = block_bytes(head)
    return decode_block(os.pread(fd, length, offset)), length
