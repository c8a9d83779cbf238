"""The doctor's look at the machine: Bluetooth, clock, disk and card, by what /sys and /proc tell.

`sysfs` is /sys, or a test's copy of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateway.health.finding import Finding, Verdict
from gateway.health.host_faults import LEAST_FREE_BYTES, clock_is_synchronised

SYSFS = Path("/sys")
LEAST_BLUEZ = (5, 66)  # Debian 12's, the oldest that was tried
COMFORTABLE_FREE_BYTES = 4 * LEAST_FREE_BYTES
BLUETOOTHCTL = ("bluetoothctl", "--version")
ANSWER_S = 10.0
WORN = 9  # of an eMMC's life_time steps: 80 to 90 % of its erase cycles are used


def adapters(names: Sequence[str], sysfs: Path = SYSFS) -> Iterator[Finding]:
    """Each adapter of the configuration."""
    for name in names:
        if not name.startswith("hci"):
            yield Finding("adapter", Verdict.WARN, f"{name} is virtual", "for trials only")
            continue
        folder = sysfs / "class/bluetooth" / name
        if not folder.exists():
            present = sorted(path.name for path in (sysfs / "class/bluetooth").glob("hci?"))
            yield Finding(
                "adapter",
                Verdict.FAIL,
                f"{name} is not there; present: {', '.join(present) or 'none'}",
                "plug it in, or name another one as [radio] adapters; on a Raspberry Pi look for"
                " dtoverlay=disable-bt in /boot/firmware/config.txt",
            )
        elif blocked := _blocked_by(folder):
            yield Finding(
                "adapter", Verdict.FAIL, f"{name} is {blocked}", "rfkill unblock bluetooth"
            )
        else:
            yield Finding("adapter", Verdict.OK, f"{name} is there")


def _blocked_by(folder: Path) -> str | None:
    for switch in folder.glob("rfkill*"):
        for kind, meaning in (("hard", "switched off by hardware"), ("soft", "blocked by rfkill")):
            if _read(switch / kind) == "1":
                return meaning
    return None


def bluez(command: Sequence[str] = BLUETOOTHCTL) -> Finding:
    """BlueZ's version, as its own tool says it without asking the daemon."""
    install = "apt install bluez"
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("BlueZ", Verdict.FAIL, f"it does not answer: {error}", install)
    match = re.search(r"(\d+)\.(\d+)", told)
    if match is None:
        return Finding("BlueZ", Verdict.FAIL, f"it tells no version: {told!r}", install)
    if (int(match[1]), int(match[2])) < LEAST_BLUEZ:
        least = ".".join(map(str, LEAST_BLUEZ))
        return Finding("BlueZ", Verdict.WARN, f"version {match[0]}", f"{least} or later is tried")
    return Finding("BlueZ", Verdict.OK, f"version {match[0]}")


def clock(
    is_set: Callable[[], bool] = clock_is_synchronised, sysfs: Path = SYSFS
) -> Iterator[Finding]:
    """Whether the time is right now, and whether it will be after a power cut without a network."""
    try:
        synchronised = is_set()
    except OSError as error:
        yield Finding(
            "clock", Verdict.WARN, f"the kernel does not tell: {error}", "see timedatectl"
        )
    else:
        if synchronised:
            yield Finding("clock", Verdict.OK, "it is synchronised")
        else:
            to_do = "timedatectl set-ntp true, and a way to a time server"
            yield Finding("clock", Verdict.WARN, "nobody has set it", to_do)
    if any((sysfs / "class/rtc").glob("rtc*")):
        yield Finding("real-time clock", Verdict.OK, "it is there")
    else:
        to_do = "add one, or times are wrong after a power cut until the network is back"
        yield Finding("real-time clock", Verdict.WARN, "there is none", to_do)


def disk(folder: Path) -> Finding:
    """What is free where the database grows."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("disk", Verdict.FAIL, str(error), "start the service once; it makes it")
    what = f"{free >> 20} MB are free in {folder}"
    to_do = "make room, or lower [store] waveform_days"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", Verdict.FAIL, what, to_do)
    if free < COMFORTABLE_FREE_BYTES:
        return Finding("disk", Verdict.WARN, what, to_do)
    return Finding("disk", Verdict.OK, what)


def storage(folder: Path, sysfs: Path = SYSFS) -> Iterator[Finding]:
    """The card, eMMC or disk under `folder`: errors of its file system, and its wear if it tells.

    An SD card tells no wear; an eMMC does (JEDEC JESD84-B51, EXT_CSD).
    """
    try:
        device = folder.stat().st_dev
        writable = not os.statvfs(folder).f_flag & os.ST_RDONLY
    except OSError as error:
        yield Finding("storage", Verdict.FAIL, str(error), "start the service once; it makes it")
        return
    if not writable:
        to_do = "mount it for writing; a card that turned read-only is worn out: replace it"
        yield Finding("storage", Verdict.FAIL, f"{folder} can't be written to", to_do)
    block = sysfs / "dev/block" / f"{os.major(device)}:{os.minor(device)}"
    if not block.exists():
        to_do = "look at the disk's health yourself, say with smartctl"
        yield Finding("storage", Verdict.WARN, f"no block device under {folder}", to_do)
        return
    partition = block.resolve()
    errors = _read(sysfs / "fs/ext4" / partition.name / "errors_count")
    if errors not in (None, "0"):
        to_do = "back up, check with fsck, and replace the card"
        yield Finding("storage", Verdict.FAIL, f"ext4 has met {errors} errors", to_do)
    else:
        yield _wear(partition)


def _wear(partition: Path) -> Finding:
    disk = partition.parent if (partition / "partition").exists() else partition
    life = _read(disk / "device/life_time")
    steps = [int(step, 16) for step in life.split()] if life else []
    if not any(steps):
        return Finding("storage", Verdict.OK, f"{disk.name} has met no error; it tells no wear")
    what = f"{disk.name} has used up to {max(steps) * 10} % of its life"
    if max(steps) >= WORN:
        return Finding("storage", Verdict.FAIL, what, "back up and replace it")
    return Finding("storage", Verdict.OK, what)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
