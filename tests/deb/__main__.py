"""`make test-deb`: the package's life in a clean Debian with systemd as PID 1. Needs root.

    python -m tests.deb PACKAGE.deb [PACKAGE_OF_THE_NEXT_DEBIAN.deb] [--load-s 20]

Installs from a signed repository made for the occasion, plays a virtual sensor to it, and compares
the labels of beats of DS2 (ECG_DATA) with those given here. Another machine's package runs under
emulation, and only as far as its own code goes: maintainer scripts and units are the same files.
With a second package the box becomes the next Debian, and its gateway that package.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.deb.box import Box
from tests.deb.container import Container
from tests.deb.life_cycle import LifeCycle
from tests.deb.sensors import Sensor
from tests.deb.upgrades import Upgrades
from tests.deb.versions import failing_version, migrating_version, previous_version
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


@dataclass(frozen=True, slots=True)
class Package:
    """A .deb by its name: what it is for."""

    path: Path

    @property
    def suite(self) -> str:
        return self._suite[0]

    @property
    def architecture(self) -> str:
        return self.path.stem.rpartition("_")[2]

    @property
    def debian(self) -> Path:
        return ROOTS / f"{self.suite}_{self.architecture}"

    @property
    def radio(self) -> str:
        """Where its gateway finds what reaches a virtual sensor: nspawn's HOST:INSIDE."""
        return f"{self.debian}/radio:/usr/local/lib/python{self._suite[1]}/dist-packages"

    @property
    def _suite(self) -> tuple[str, str]:
        return next(found for mark, found in SUITES.items() if mark in self.path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("next_debian", type=Path, nargs="?", metavar="package_of_the_next_debian")
    parser.add_argument("--load-s", type=float, default=20.0, help="how long CPU is measured")
    arguments = parser.parse_args()
    package = Package(arguments.package.resolve())
    radios = [package.radio]
    if arguments.next_debian is not None:
        radios.append(Package(arguments.next_debian.resolve()).radio)
    with tempfile.TemporaryDirectory(prefix="ecg-gateway-apt-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        packages, repository = folder / "packages", folder / "apt"
        packages.mkdir()
        repository.mkdir()
        shared = [f"{repository}:/srv/apt", f"{packages}:/srv/packages", f"{CPUINFO}:/srv/cpuinfo"]
        shared += [f"{PROJECT}/tests:/srv/project/tests", *radios]
        with Sensor(folder) as sensor, Container(package.debian / "root", shared) as container:
            print(f"{package.path.name}: booted in {container.boot():.1f} s", flush=True)
            box = Box(container, sensor, free_port())
            life, upgrades = LifeCycle(box, arguments.load_s), Upgrades(box)
            if arguments.next_debian is not None:
                live_through_two_debians(life, upgrades, repository, package, arguments.next_debian)
            elif MACHINES[package.architecture] == platform.machine():
                live_through_all(life, upgrades, repository, package, packages)
            else:
                container.pretend_to_be_a_pi(sandboxed=package.suite == "bookworm")
                live_through_one_version(life, repository, package)
            compare_labels(life, packages)
            life.remove()
            life.purge()


def live_through_all(
    life: LifeCycle, upgrades: Upgrades, repository: Path, package: Package, packages: Path
) -> None:
    """From the version before to next ones that migrate or fail to, and back."""
    current = Path(shutil.copy(package.path, packages))
    publish(repository, previous_version(current, packages))
    life.add_repository()
    life.install()
    life.measure_load("no sensor")
    life.exposure()
    life.bus_policy()
    life.reconfigure()
    life.doctor()
    life.measure_load("one sensor")
    life.boot_again()
    life.survive_a_hang()
    life.back_up_and_restore()
    publish(repository, current)
    upgrades.refuse_during_an_alarm()
    version = upgrades.upgrade_in_spite_of_it()
    publish(repository, migrating_version(current, packages))
    upgrades.migrate()
    upgrades.go_back(version)
    publish(repository, failing_version(current, packages))
    upgrades.fail_to_migrate()


def live_through_one_version(life: LifeCycle, repository: Path, package: Package) -> None:
    publish(repository, package.path)
    life.add_repository()
    life.install()
    life.reconfigure()
    life.doctor()


def live_through_two_debians(
    life: LifeCycle, upgrades: Upgrades, repository: Path, package: Package, next_debian: Path
) -> None:
    live_through_one_version(life, repository, package)
    publish(repository, next_debian)
    upgrades.upgrade_debian(package.suite, Package(next_debian).suite)
    life.exposure()
    life.doctor()
    life.measure_load("one sensor")


def compare_labels(life: LifeCycle, packages: Path) -> None:
    """The same bytes as this machine's, whatever the other one is."""
    windows = packages / "windows"
    save_windows(patient_windows(MINUTES) + drawn_windows(), windows)
    found = difference(label("ai_edge_litert", 64, windows), life.label_beats(windows))
    assert found.is_none, found


def publish(repository: Path, package: Path) -> None:
    script = PROJECT / "packaging/repository.sh"
    subprocess.run([script, repository, package], check=True, capture_output=True)


if __name__ == "__main__":
    main()
