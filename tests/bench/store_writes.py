"""What the store costs: `python -m tests.bench.store_writes [--device IMAGE_FOLDER]`.

For each number of beds, batch and layout an hour of commits as the recorder makes them: frames and
beats of each batch, checkpoints, a summary each minute. Two figures, both over the frames' own
bytes: what the process gave the kernel for the disk (write_bytes of /proc/self/io: whole pages, WAL
and folding back included), and, with `--device`, what an ext4 on a loop device wrote, its journal and
all metadata included. The latter mounts, so it wants root.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    BeatClass,
    BeatLabel,
    DeviceId,
    FrameSequence,
    SampleIndex,
    SessionId,
)
from gateway.radio.frame_codec import FRAME_BYTES
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import (
    AddBed,
    Admit,
    AssignSensor,
    Checkpoint,
    Entry,
    Found,
    MinuteSummary,
    SessionStarted,
    StoredFrame,
)
from gateway.store.transactions import StoreWriter

RATE_HZ = 250
FRAMES_PER_COMMIT = 7  # 5.2 s at 250 Hz
COMMITS_PER_MINUTE = 12
CHECKPOINT_BYTES = 20_000
LABEL = BeatLabel(BeatClass.NORMAL, 0.03)


def main() -> None:
    for beds in (1, 8):
        bench_hour(beds)


def bench_hour(beds: int, minutes: int = 60) -> None:
    """Print time and bytes of the commits of an hour."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.sqlite3"
        open_store(path)
        writer = StoreWriter(writer_engine(path), time.time)
        sessions = [admit(writer, number) for number in range(1, beds + 1)]
        before, cpu_s, took_ms = bytes_to_disk(), time.process_time(), []
        for number in range(minutes * COMMITS_PER_MINUTE):
            entries = [entry for session in sessions for entry in five_seconds(session, number)]
            begun_s = time.perf_counter()
            writer.write(entries)
            took_ms.append(1000 * (time.perf_counter() - begun_s))
        cpu_ms = 1000 * (time.process_time() - cpu_s) / len(took_ms)
        written = bytes_to_disk() - before
        writer.close()
    sealed = len(took_ms) * beds * FRAMES_PER_COMMIT * FRAME_BYTES
    print(
        f"{beds} beds: a commit of {FRAMES_PER_COMMIT * beds} frames takes"
        f" {statistics.median(took_ms):.1f} ms (CPU {cpu_ms:.1f} ms) and writes"
        f" {written / len(took_ms) / 1000:.0f} kB, {written / sealed:.1f} × the frames' own bytes"
    )


def admit(writer: StoreWriter, number: int) -> SessionId:
    device_id, bed = DeviceId(number), f"Bed {number}"
    writer.write([AddBed(bed), Admit(bed, 0.0), AssignSensor(device_id, bed, 0.0)])
    session = SessionId(device_id, 1, random.randbytes(16))
    writer.write([SessionStarted(session, RATE_HZ, 0, first_received_s=0.0, wall_offset_s=0.0)])
    return session


def five_seconds(session: SessionId, number: int) -> list[Entry]:
    """What one sensor brings for the commit of that number."""
    first = number * FRAMES_PER_COMMIT
    entries: list[Entry] = []
    for sequence in range(first, first + FRAMES_PER_COMMIT):
        sealed = random.randbytes(FRAME_BYTES)
        entries.append(StoredFrame(session, FrameSequence(sequence), sealed, 5.0 * number))
        r_sample = SampleIndex(sequence * SAMPLES_PER_FRAME)
        entries.append(Found(session, "0123abcd", (Beat(r_sample, 900.0, 748.0, False, LABEL),)))
    if number % COMMITS_PER_MINUTE == 0:
        minute_s = 60 * (number // COMMITS_PER_MINUTE)
        entries.append(Checkpoint(session, random.randbytes(CHECKPOINT_BYTES)))
        entries.append(MinuteSummary(session, minute_s, 80, 0, 70.0, 80.2, 91.0, 60.0, 0.0))
    return entries


def bytes_to_disk() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


if __name__ == "__main__":
    main()
