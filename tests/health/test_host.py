"""The doctor's look at a machine, by copies of what /sys tells."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.health import host
from gateway.health.finding import Finding, Verdict
from gateway.health.host_faults import LEAST_FREE_BYTES


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def verdicts(findings: list[Finding]) -> list[Verdict]:
    return [found.verdict for found in findings]


def block_device(sysfs: Path, folder: Path, name: str) -> Path:
    """As /sys shows a partition of `name` below `folder`."""
    device = folder.stat().st_dev
    partition = sysfs / "devices" / name / f"{name}p2"
    write(partition / "partition", "2\n")
    link = sysfs / "dev/block" / f"{os.major(device)}:{os.minor(device)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(partition)
    return partition


def test_an_adapter_that_is_there(tmp_path: Path) -> None:
    write(tmp_path / "class/bluetooth/hci0/rfkill0/soft", "0\n")
    assert verdicts(list(host.adapters(["hci0"], tmp_path))) == [Verdict.OK]


def test_a_missing_adapter_names_those_that_are_there(tmp_path: Path) -> None:
    write(tmp_path / "class/bluetooth/hci0/address")
    (found,) = host.adapters(["hci1"], tmp_path)
    assert found.verdict is Verdict.FAIL
    assert found.what == "hci1 is not there; present: hci0"


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_blocked_adapter(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "class/bluetooth/hci0/rfkill0" / kind, "1\n")
    (found,) = host.adapters(["hci0"], tmp_path)
    assert (found.verdict, found.to_do) == (Verdict.FAIL, "rfkill unblock bluetooth")


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("bluetoothctl: 5.66", Verdict.OK),
        ("bluetoothctl: 5.82", Verdict.OK),
        ("bluetoothctl: 5.55", Verdict.WARN),
        ("nothing", Verdict.FAIL),
    ],
)
def test_the_version_of_bluez(told: str, verdict: Verdict) -> None:
    assert host.bluez(("echo", told)).verdict is verdict


def test_bluez_that_is_not_installed() -> None:
    found = host.bluez(("no-such-bluetoothctl", "--version"))
    assert (found.verdict, found.to_do) == (Verdict.FAIL, "apt install bluez")


@pytest.mark.parametrize(("is_set", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN)])
def test_the_clock(tmp_path: Path, is_set: bool, verdict: Verdict) -> None:
    assert verdicts(list(host.clock(lambda: is_set, tmp_path))) == [verdict, Verdict.WARN]


def test_a_kernel_that_does_not_tell_is_a_warning(tmp_path: Path) -> None:
    def refused() -> bool:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "class/rtc/rtc0").mkdir(parents=True)
    assert verdicts(list(host.clock(refused, tmp_path))) == [Verdict.WARN, Verdict.OK]


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        (LEAST_FREE_BYTES - 1, Verdict.FAIL),
        (LEAST_FREE_BYTES, Verdict.WARN),
        (host.COMFORTABLE_FREE_BYTES, Verdict.OK),
    ],
)
def test_the_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Verdict
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert host.disk(tmp_path).verdict is verdict


def test_a_card_without_errors_tells_no_wear(tmp_path: Path) -> None:
    partition = block_device(tmp_path, tmp_path, "mmcblk0")
    write(tmp_path / "fs/ext4" / partition.name / "errors_count", "0\n")
    (found,) = host.storage(tmp_path, tmp_path)
    assert (found.verdict, found.what) == (
        Verdict.OK,
        "mmcblk0 has met no error; it tells no wear",
    )


def test_a_file_system_with_errors(tmp_path: Path) -> None:
    partition = block_device(tmp_path, tmp_path, "mmcblk0")
    write(tmp_path / "fs/ext4" / partition.name / "errors_count", "3\n")
    (found,) = host.storage(tmp_path, tmp_path)
    assert (found.verdict, found.what) == (Verdict.FAIL, "ext4 has met 3 errors")


@pytest.mark.parametrize(
    ("life_time", "verdict"), [("0x01 0x08", Verdict.OK), ("0x02 0x09", Verdict.FAIL)]
)
def test_the_wear_of_an_emmc(tmp_path: Path, life_time: str, verdict: Verdict) -> None:
    partition = block_device(tmp_path, tmp_path, "mmcblk0")
    write(partition.parent / "device/life_time", life_time + "\n")
    assert verdicts(list(host.storage(tmp_path, tmp_path))) == [verdict]


def test_what_stands_on_no_block_device_is_a_warning(tmp_path: Path) -> None:
    assert verdicts(list(host.storage(tmp_path, tmp_path))) == [Verdict.WARN]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert host.disk(missing).verdict is Verdict.FAIL
    assert verdicts(list(host.storage(missing, tmp_path))) == [Verdict.FAIL]
