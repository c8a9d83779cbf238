"""The machine's memory card: an ext4 image behind a volatile write cache that a power cut loses.

The machine mounts the image through a loop device: what ext4 has written and not flushed is in the
machine's own memory, and goes with it. What it is just handing over is in the cache that card.c
keeps, of which a cut leaves any part.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.machine.kernel import KERNEL

MEGABYTES = 512
SECTOR_BYTES = 512  # what a card writes whole
TORN_SHARE = 0.1  # of the kept writes end at a sector within
_RECORD = struct.Struct("=QQ")  # offset and length; the bytes from before follow

# Raspberry Pi OS makes its root so (pi-gen, export-image); the journal is ext4's own default.
_FEATURES = "^64bit,^huge_file"


@dataclass(frozen=True, slots=True)
class LostCache:
    """What a power cut found in the card's cache, in writes."""

    held: int
    lost: int
    torn: int


class Card:
    """An image in a folder of its own; `environment` puts the cache before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._image = folder / "card.ext4"
        self._cache = folder / "cache"

    def format(self) -> None:
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(MEGABYTES << 20)
        self._cache.touch()
        mkfs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin") or "mkfs.ext4"
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        command = [mkfs, "-q", "-F", "-O", _FEATURES, "-E", lazy, str(self._image)]
        subprocess.run(command, check=True)

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(KERNEL / "card.so"),
            "CARD_IMAGE": str(self._image),
            "CARD_CACHE": str(self._cache),
        }

    def mount(self, place: str) -> str:
        """The command that mounts it in the machine, as Raspberry Pi OS mounts its root."""
        load = f"modprobe -d {KERNEL} loop"
        return f"{load} && mount -t ext4 -o loop,noatime /run/card/{self._image.name} {place}"

    def is_taking_writes(self) -> bool:
        """The cache holds what was not flushed."""
        return self._cache.stat().st_size > 0

    def lose_power(self, draw: random.Random) -> LostCache:
        """Of the writes in the cache lose any, and tear others.

        The share of them that had reached the medium is drawn anew for each cut.
        """
        reached_share = draw.random()
        lost = torn = 0
        with self._image.open("r+b") as image:
            written = []
            for offset, before in reversed(self._records()):
                image.seek(offset)
                written.append((offset, image.read(len(before))))
                image.seek(offset)
                image.write(before)
            for offset, content in reversed(written):
                length = len(content)
                if draw.random() >= reached_share:
                    lost += 1
                    continue
                if draw.random() < TORN_SHARE:
                    torn += 1
                    length = SECTOR_BYTES * draw.randrange(length // SECTOR_BYTES)
                image.seek(offset)
                image.write(content[:length])
        self._cache.write_bytes(b"")
        return LostCache(len(written), lost, torn)

    def _records(self) -> list[tuple[int, bytes]]:
        records, content, at = [], self._cache.read_bytes(), 0
        while at + _RECORD.size <= len(content):
            offset, length = _RECORD.unpack_from(content, at)
            at += _RECORD.size
            if len(content) < at + length:  # the kernel was killed before the write itself
                break
            records.append((offset, content[at : at + length]))
            at += length
        return records
