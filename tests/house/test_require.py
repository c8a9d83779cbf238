"""packaging/require.sh among stand-ins for id, sudo and apt-get that write down their call."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging" / "require.sh"
INSTALL = "apt-get -q install -y --no-install-recommends dbus chromium-driver"


class Machine:
    """A PATH with nothing on it but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        self.program("apt-get", f'echo "apt-get $*" >> {self.calls}')

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def require(self, *packages: str) -> subprocess.CompletedProcess[str]:
        shell = shutil.which("sh")
        assert shell is not None
        return subprocess.run(
            [shell, SCRIPT, *packages],
            env={"PATH": str(self.folder), "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_is_there_is_not_installed(machine: Machine) -> None:
    machine.program("chromium", "")
    machine.program("chromedriver", "")
    machine.program("qemu-aarch64", "")
    done = machine.require("python3-venv", "chromium", "chromium-driver", "qemu-user")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_root_installs_what_is_missing(machine: Machine) -> None:
    machine.program("id", "echo 0")
    assert machine.require("python3-venv", "dbus", "chromium-driver").returncode == 0
    assert machine.calls.read_text().splitlines() == ["apt-get -q update", INSTALL]


def test_sudo_without_a_password_installs_what_is_missing(machine: Machine) -> None:
    machine.program("id", "echo 1000")
    machine.program("sudo", f'echo "sudo" >> {machine.calls}; [ "$1" = -n ] || "$@"')
    assert machine.require("dbus", "chromium-driver").returncode == 0
    assert machine.calls.read_text().splitlines() == [
        "sudo",
        "sudo",
        "apt-get -q update",
        "sudo",
        INSTALL,
    ]


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_others_are_told_the_command(machine: Machine, sudo: str | None) -> None:
    machine.program("id", "echo 1000")
    if sudo is not None:
        machine.program("sudo", sudo)
    done = machine.require("dbus", "chromium-driver")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "    sudo apt-get update && "
        "sudo apt-get install --no-install-recommends dbus chromium-driver\n"
    )
    assert machine.calls.read_text() == ""


def test_a_failed_installation_is_a_failure(machine: Machine) -> None:
    machine.program("id", "echo 0")
    machine.program("apt-get", "exit 100")
    assert machine.require("dbus").returncode == 100
