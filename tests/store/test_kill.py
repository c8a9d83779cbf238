"""A writer killed with SIGKILL at any moment: whole batches, and all that it had reported."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.messages import SAMPLES_PER_FRAME, DeviceId, SampleIndex, SessionId
from gateway.store.answers import JournalledFrame
from gateway.store.database import open_store
from gateway.store.reader import Reader

FRAMES_PER_BATCH = 7
KILLS = 4
SESSION = SessionId(DeviceId(7), 1, bytes(16))

# Writes batches for ever, each of 7 frames with a beat in each and a checkpoint, and tells on a
# line of its own the last sequence of each that was reported as committed.
_WRITER = f"""
import itertools, sys, time
from pathlib import Path
from gateway.config import StoreConfig
from gateway.messages import *
from gateway.store.entries import *
from gateway.store.recorder import Recorder
from gateway.store.transactions import StoreWriter
from gateway.store.database import writer_engine

session = SessionId(DeviceId(7), 1, bytes(16))
writer = StoreWriter(writer_engine(Path(sys.argv[1])), time.time)
writer.write([SessionStarted(session, 250, 0, 1.0, 1.0)])
for batch in itertools.count(int(sys.argv[2])):
    sequences = range({FRAMES_PER_BATCH} * batch, {FRAMES_PER_BATCH} * (batch + 1))
    entries = []
    for sequence in sequences:
        entries.append(StoredFrame(session, sequence, sequence.to_bytes(434, "big"), 1.0))
        beat = Beat(SampleIndex(sequence * SAMPLES_PER_FRAME), 1.0, None, False, None)
        entries.append(Found(session, "0123abcd", (beat,)))
    commit = writer.write([*entries, Checkpoint(session, str(batch).encode())])
    print(max(commit.frames[session]), flush=True)
"""


def write_until_killed(path: Path, first_batch: int, lines: int) -> int:
    """The last sequence that the writer reported as committed before it was killed."""
    command = [sys.executable, "-c", _WRITER, str(path), str(first_batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        reported = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        reported += writer.stdout.readlines()
    assert writer.returncode == -signal.SIGKILL
    return max(int(line) for line in reported if line.endswith("\n"))


def stored_batches(path: Path) -> int:
    """How many batches are in the store; each must be whole."""
    reader = Reader(path)
    journal = list(reader.journal_after(SESSION, None))
    sequences = [entry.frame.sequence for entry in journal if isinstance(entry, JournalledFrame)]
    assert sequences == list(range(len(sequences)))
    assert len(sequences) % FRAMES_PER_BATCH == 0
    assert reader.received_ranges(SESSION) == ((0, len(sequences) - 1),)
    beats = reader.beats(SESSION, SampleIndex(0), SampleIndex(2**62))
    assert [stored.beat.r_sample // SAMPLES_PER_FRAME for stored in beats] == sequences
    checkpoint = reader.checkpoint(SESSION)
    assert checkpoint is not None
    assert checkpoint.journal_id == journal[-1].journal_id
    batches = len(sequences) // FRAMES_PER_BATCH
    assert checkpoint.state == str(batches - 1).encode()
    reader.close()
    return batches


@pytest.mark.timeout(120)
def test_a_killed_writer_leaves_whole_batches_and_all_that_it_reported(store: Path) -> None:
    moments = random.Random(20)
    batches = 0
    for _ in range(KILLS):
        reported = write_until_killed(store, batches, moments.randint(1, 40))
        assert open_store(store).damage is None
        batches = stored_batches(store)
        assert batches * FRAMES_PER_BATCH > reported
