"""Runs in the machine: lists each frame of the store, in the order of its journal.

python -m tests.machine.stored gateway.sqlite3 FILE
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.store.answers import JournalledFrame
from gateway.store.reader import Reader
from tests.machine.frame_ids import FrameId, frame_id, write_frames


def stored_frames(database: Path) -> Iterator[FrameId]:
    reader = Reader(database)
    for sensor in reader.sensors():
        for stored in reader.sessions_of(sensor.device_id):
            for entry in reader.journal_after(stored.session, None):
                if isinstance(entry, JournalledFrame):
                    yield frame_id(entry.frame.sealed)
    reader.close()


if __name__ == "__main__":
    database, listing = map(Path, sys.argv[1:])
    write_frames(stored_frames(database), listing)
