"""`make test-deb`: the package's life in a clean Debian with systemd as PID 1. Needs root.

    python -m tests.deb PACKAGE.deb

Installs from a signed repository made for the occasion, plays a virtual sensor to it, and compares
the labels of beats of DS2 (ECG_DATA) with those given here. Another machine's package runs under
emulation, and only as far as its own code goes: maintainer scripts and units are the same files.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.deb.container import Container
from tests.deb.life_cycle import LifeCycle
from tests.deb.sensors import Sensor
from tests.deb.versions import previous_version, version_with_a_broken_migration
from tests.end_to_end.processes import free_port
from tests.runtimes.beats import drawn_windows, patient_windows
from tests.runtimes.comparison import difference
from tests.runtimes.labelling import label
from tests.runtimes.windows_file import save_windows

PROJECT = Path(__file__).parents[2]
ROOTS = PROJECT / "build/deb-test"
SUITES = {"~deb12u": ("bookworm", "3.11"), "~deb13u": ("trixie", "3.13")}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
MINUTES = 1  # of each record of DS2
# The runtime reads it, and crashes on that of an x86 (tests/runtimes/arm64.sh).
CPUINFO = PROJECT / "tests/runtimes/raspberry_pi_4.cpuinfo"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    package: Path = parser.parse_args().package.resolve()
    suite, python = next(found for mark, found in SUITES.items() if mark in package.name)
    architecture = package.stem.rpartition("_")[2]
    debian = ROOTS / f"{suite}_{architecture}"
    with tempfile.TemporaryDirectory(prefix="ecg-gateway-apt-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        packages, repository = folder / "packages", folder / "apt"
        packages.mkdir()
        repository.mkdir()
        shutil.copy(package, packages)
        windows = packages / "windows"
        save_windows(patient_windows(MINUTES) + drawn_windows(), windows)
        shared = [f"{repository}:/srv/apt", f"{packages}:/srv/packages", f"{CPUINFO}:/srv/cpuinfo"]
        shared.append(f"{PROJECT}/tests:/srv/project/tests")
        shared.append(f"{debian}/radio:/usr/local/lib/python{python}/dist-packages")
        with Sensor(folder) as sensor, Container(debian / "root", shared) as container:
            print(f"{package.name}: booted in {container.boot():.1f} s", flush=True)
            life = LifeCycle(container, sensor, free_port())
            if MACHINES[architecture] == platform.machine():
                live_through_all(life, repository, package, packages)
            else:
                container.pretend_to_be_a_pi()
                live_through_one_version(life, repository, package)
            compare_labels(life, windows)
            life.remove()
            life.purge()


def live_through_all(life: LifeCycle, repository: Path, package: Path, packages: Path) -> None:
    """From the version before to a next one that fails, and back."""
    publish(repository, previous_version(package, packages))
    life.add_repository()
    life.install()
    life.exposure()
    life.bus_policy()
    life.reconfigure()
    life.measure_idle()
    life.survive_a_hang()
    publish(repository, package)
    life.refuse_during_an_alarm()
    life.upgrade_anyway()
    publish(repository, version_with_a_broken_migration(package, packages))
    life.fail_to_migrate()


def live_through_one_version(life: LifeCycle, repository: Path, package: Path) -> None:
    publish(repository, package)
    life.add_repository()
    life.install()
    life.reconfigure()


def compare_labels(life: LifeCycle, windows: Path) -> None:
    """The same bytes as this machine's, whatever the other one is."""
    found = difference(label("ai_edge_litert", 64, windows), life.label_beats(windows))
    assert found.is_none, found


def publish(repository: Path, package: Path) -> None:
    script = PROJECT / "packaging/repository.sh"
    subprocess.run([script, repository, package], check=True, capture_output=True)


if __name__ == "__main__":
    main()
