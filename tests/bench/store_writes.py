"""What the store costs: `python -m tests.bench.store_writes [--device]`.

For each number of beds and length of batch an hour of commits as the recorder makes them: frames
and beats of each batch, a checkpoint and a summary at their intervals, an alarm now and then. All
figures are over the frames' own bytes. "given" is what the process gave the kernel for the disk
(write_bytes of /proc/self/io: whole pages, WAL and folding back included). With `--device`, which
mounts and so wants root, "device" is all that an ext4 on a loop device wrote, its journal too. Each
is measured with a new file of frames, and with one that retention has set by to be written over.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.config import StoreConfig
from gateway.messages import (
    SAMPLES_PER_FRAME,
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
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
    AlarmChanged,
    BedId,
    Checkpoint,
    Entry,
    Found,
    MinuteSummary,
    SessionStarted,
    StoredFrame,
)
from gateway.store.frame_blocks import PAGE_BYTES
from gateway.store.frame_files import FILE_BYTES, FrameFiles, frames_folder
from gateway.store.transactions import StoreWriter
from tests.store.contents import monitored_bed

RATE_HZ = 250
FRAME_S = SAMPLES_PER_FRAME / RATE_HZ
HOUR_S = 3600
CHECKPOINT_BYTES = 28_500  # of the packaged ECG after some minutes: 27 to 30 kB
ALARM_EACH_S = 600  # of each bed: raised, acknowledged, over
LABEL = BeatLabel(BeatClass.NORMAL, 0.03)
IMAGE_BYTES = 512 * 1024 * 1024
SECTOR_BYTES = 512
SECTORS_WRITTEN = 6  # the field of /sys/block/*/stat


def main() -> None:
    parser = argparse.ArgumentParser(description="What the store writes.")
    parser.add_argument("--device", action="store_true", help="measure a loop device, too")
    arguments = parser.parse_args()
    with loop_device() if arguments.device else contextlib.nullcontext() as mounted:
        for beds in (1, 8):
            for batch_s in (5.0, 15.0):
                for spare in (False, True):
                    bench_hour(beds, batch_s, spare, mounted)


def bench_hour(
    beds: int, batch_s: float, spare: bool, device: tuple[Path, str] | None = None
) -> None:
    """Print time and bytes of the commits of an hour."""
    config = StoreConfig()
    where, on_device = (None, None) if device is None else (device[0], device_bytes(device[1]))
    with tempfile.TemporaryDirectory(dir=where) as folder:
        path = Path(folder) / "gateway.sqlite3"
        open_store(path)
        if spare:
            lay_by(FrameFiles(frames_folder(path)))
        writer = StoreWriter(writer_engine(path), time.time)
        beds_of = [Bed(writer, number, config) for number in range(1, beds + 1)]
        device_before = on_device() if on_device else 0
        before, cpu_s, took_ms = bytes_to_disk(), time.process_time(), []
        index_due_s = config.index_interval_s
        for now_s in (batch_s * number for number in range(round(HOUR_S / batch_s))):
            entries = [entry for bed in beds_of for entry in bed.until(now_s + batch_s)]
            begun_s = time.perf_counter()
            writer.take(entries)
            if now_s >= index_due_s or any(isinstance(one, AlarmChanged) for one in entries):
                writer.index()
                index_due_s = now_s + config.index_interval_s
            took_ms.append(1000 * (time.perf_counter() - begun_s))
        writer.index()
        cpu_ms = 1000 * (time.process_time() - cpu_s) / len(took_ms)
        sealed = sum(bed.sequence for bed in beds_of) * FRAME_BYTES
        given = (bytes_to_disk() - before) / sealed
        on_disk = f", device {(on_device() - device_before) / sealed:.2f} ×" if on_device else ""
        writer.close()
    print(
        f"{beds} bed{'s' if beds > 1 else ''}, {batch_s:.0f} s, {'spare' if spare else 'new'} file:"
        f" given {given:.2f} ×{on_disk};"
        f" {sealed / beds / 1e6:.2f} MB of frames a patient-hour; a commit takes"
        f" {statistics.median(took_ms):.1f} ms, {max(took_ms):.0f} ms at most, CPU {cpu_ms:.1f} ms"
    )


def lay_by(files: FrameFiles) -> None:
    """A spare, as after the first month."""
    files.folder.mkdir()
    with files.spare.open("wb") as file:
        for _ in range(FILE_BYTES // PAGE_BYTES):
            file.write(random.randbytes(PAGE_BYTES))
        file.flush()
        os.fsync(file.fileno())


class Bed:
    """One sensor's signal, as the entries that the recorder is given."""

    def __init__(self, writer: StoreWriter, number: int, config: StoreConfig) -> None:
        self.session = SessionId(DeviceId(number), 1, random.randbytes(16))
        started = SessionStarted(self.session, RATE_HZ, 0, 0.0, wall_offset_s=0.0)
        writer.write(monitored_bed(f"Bed {number}", started))
        self.sequence = 0
        self._id = BedId(number)
        self._checkpoint_s = self._checkpoint_due_s = config.checkpoint_interval_s
        self._minute_due_s = 60.0
        self._alarm_due_s = 60.0 * number

    def until(self, end_s: float) -> list[Entry]:
        entries: list[Entry] = []
        while (self.sequence + 1) * FRAME_S <= end_s:
            entries += self._frame()
        if end_s >= self._checkpoint_due_s:
            self._checkpoint_due_s += self._checkpoint_s
            entries.append(Checkpoint(self.session, random.randbytes(CHECKPOINT_BYTES)))
        if end_s >= self._minute_due_s:
            minute_s = int(self._minute_due_s) - 60
            self._minute_due_s += 60.0
            entries.append(
                MinuteSummary(self.session, minute_s, 80, 0, 70.0, 80.2, 91.0, 60.0, 0.0)
            )
        if end_s >= self._alarm_due_s:
            entries.append(self._alarm())
        return entries

    def _frame(self) -> list[Entry]:
        sequence, self.sequence = self.sequence, self.sequence + 1
        sealed, received_s = random.randbytes(FRAME_BYTES), self.sequence * FRAME_S
        beat = Beat(SampleIndex(sequence * SAMPLES_PER_FRAME), 900.0, 748.0, False, LABEL)
        return [
            StoredFrame(self.session, FrameSequence(sequence), sealed, received_s),
            Found(self.session, "0123abcd", (beat,)),
        ]

    def _alarm(self) -> Entry:
        onset_s = self._alarm_due_s
        self._alarm_due_s += ALARM_EACH_S
        kind, priority = AlarmKind.TACHYCARDIA, AlarmPriority.MEDIUM
        alarm = Alarm(kind, priority, onset_s, onset_s, AlarmState.ACTIVE)
        return AlarmChanged(self._id, alarm, self.session)


def bytes_to_disk() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def device_bytes(name: str) -> Callable[[], int]:
    def written() -> int:
        os.sync()
        stat = Path(f"/sys/block/{name}/stat").read_text().split()
        return int(stat[SECTORS_WRITTEN]) * SECTOR_BYTES

    return written


@contextlib.contextmanager
def loop_device() -> Iterator[tuple[Path, str]]:
    """An ext4 of its own on a loop device: where it is mounted, and the device's name."""
    with tempfile.TemporaryDirectory() as folder:
        image, mount = Path(folder) / "image", Path(folder) / "mount"
        mount.mkdir()
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        at_once = "lazy_itable_init=0,lazy_journal_init=0"  # the kernel would do it meanwhile
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", at_once, image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        try:
            source = subprocess.run(
                ["findmnt", "-no", "SOURCE", mount], check=True, capture_output=True, text=True
            )
            yield mount, Path(source.stdout.strip()).name
        finally:
            subprocess.run(["umount", mount], check=True)


if __name__ == "__main__":
    main()
