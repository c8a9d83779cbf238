"""`make test-deb`: the package's life in a clean Debian with systemd as PID 1. Needs root.

    python -m tests.deb PACKAGE.deb

Installs from a signed repository made for the occasion, and plays a virtual sensor to it.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from tests.deb.container import Container
from tests.deb.life_cycle import LifeCycle
from tests.deb.sensors import Sensor
from tests.deb.versions import previous_version, version_with_a_broken_migration
from tests.end_to_end.processes import free_port

PROJECT = Path(__file__).parents[2]
ROOTS = PROJECT / "build/deb-test"
SUITES = {"~deb12u": ("bookworm", "3.11"), "~deb13u": ("trixie", "3.13")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    package: Path = parser.parse_args().package.resolve()
    (suite, python) = next(found for mark, found in SUITES.items() if mark in package.name)
    architecture = package.stem.rpartition("_")[2]
    debian = ROOTS / f"{suite}_{architecture}"
    with tempfile.TemporaryDirectory(prefix="ecg-gateway-apt-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        packages, repository = folder / "packages", folder / "apt"
        packages.mkdir()
        older = previous_version(package, packages)
        newer = version_with_a_broken_migration(package, packages)
        (packages / package.name).hardlink_to(package)
        publish(repository, older)
        shared = [f"{repository}:/srv/apt", f"{packages}:/srv/packages"]
        shared.append(f"{debian}/radio:/usr/local/lib/python{python}/dist-packages")
        with Sensor(folder) as sensor, Container(debian / "root", shared) as container:
            print(f"{package.name}: booted in {container.boot():.1f} s", flush=True)
            life = LifeCycle(container, sensor, free_port())
            life.add_repository()
            life.install()
            life.exposure()
            life.reconfigure()
            life.measure_idle()
            life.survive_a_hang()
            publish(repository, package)
            life.refuse_during_an_alarm()
            life.upgrade_anyway()
            publish(repository, newer)
            life.fail_to_migrate()
            life.remove()
            life.purge()


def publish(repository: Path, package: Path) -> None:
    script = PROJECT / "packaging/repository.sh"
    subprocess.run([script, repository, package], check=True, capture_output=True)


if __name__ == "__main__":
    main()
