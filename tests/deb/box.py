"""The gateway in a container, as a test asks it: by apt, systemd, its page and its files."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.store.frame_blocks import FiledFrame
from gateway.store.frame_files import FrameFiles, frames_folder
from tests.deb.container import CommandFailed, Container
from tests.deb.sensors import Sensor
from tests.end_to_end.processes import wait_until

SERVICE = "ecg-gateway.service"
STATE = "var/lib/ecg-gateway"
CONFIG = "etc/ecg-gateway/gateway.toml"
ANYWAY = "run/ecg-gateway-upgrade-anyway"
SHOWN_BEATS = 20
APT_S = 3600.0  # emulated, and with a slow mirror
BEATS_S = 240.0  # an emulated machine imports for a minute
READY_S = 300.0
SILENT_S = 60.0  # the alarm of a silent sensor comes after 10


def say(step: str, **figures: object) -> None:
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
    print(f"{time.strftime('%H:%M:%S')} {step}{': ' if told else ''}{told}", flush=True)


class Box:
    """What stands at the bedside: a Debian, the package in it, and a sensor of its own."""

    def __init__(self, container: Container, sensor: Sensor, port: int) -> None:
        self.container = container
        self.run = container.run
        self.sensor = sensor
        self._port = port

    def apt(self, *words: str) -> str:
        return self.run("apt-get", "-q", "-y", *words, timeout_s=APT_S)

    @property
    def version(self) -> str:
        return self.run("dpkg-query", "-W", "-f", "${Version}", "ecg-gateway")

    @property
    def state(self) -> Path:
        return self.container.folder / STATE

    @property
    def database(self) -> Path:
        return self.state / "gateway.sqlite3"

    @property
    def config(self) -> Path:
        return self.container.folder / CONFIG

    @property
    def edited_config(self) -> str:
        adapters = f'[radio]\nadapters = ["virtual:{self.sensor.address}#1"]\n'
        return f"{adapters}[dashboard]\nport = {self._port}\n[beds]\nauto_admit = true\n"

    def show(self, name: str) -> str:
        return self.run("systemctl", "show", SERVICE, "--value", "--property", name)

    def log(self) -> str:
        return self.run("journalctl", "--no-pager", "-n30", "-u", SERVICE, check=False)

    def wait_until_active(self) -> None:
        wait_until(lambda: self.show("ActiveState") == "active", READY_S, self.log)

    def wait_for_beats(self, count: int) -> None:
        wait_until(lambda: self._beats() >= count, BEATS_S, self.log)

    def _beats(self) -> int:
        try:
            with urllib.request.urlopen(self.url("healthz"), timeout=10) as answer:
                sensors = json.load(answer)["sensors"]
        except OSError:
            return 0
        return sum(int(sensor["beats"]) for sensor in sensors.values())

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}/{path}"

    def fall_silent(self) -> None:
        """An alarm calls then, until the sensor goes on."""
        self.sensor.fall_silent()
        wait_until(self._calling_alarms, SILENT_S, "no alarm of the silent sensor")

    def _calling_alarms(self) -> list[dict[str, Any]]:
        alarms = json.loads(self.run("ecg-gatewayctl", "alarms", "--json"))
        return [
            alarm
            for alarm in alarms
            if alarm["priority"] != "low" and alarm["state"] in ("active", "latched")
        ]

    def frames(self) -> set[tuple[int, int]]:
        """Session's row and sequence of each stored frame, which its sensor has forgotten."""
        files = FrameFiles(frames_folder(self.database))
        return {
            (entry.session_row, entry.sequence)
            for number in files.numbers()
            for _, entries, _ in files.blocks(number)
            for entry in entries
            if isinstance(entry, FiledFrame)
        }

    def beats_in(self, database: Path) -> int:
        return int(str(_ask(database, "SELECT count(*) FROM beats")))

    @property
    def schema(self) -> str:
        return str(_ask(self.database, "SELECT version_num FROM alembic_version"))

    def cpu_percent(self, over_s: float) -> float:
        """User and system time of the service."""
        before_s = self._cpu_s()
        time.sleep(over_s)
        return (self._cpu_s() - before_s) / over_s * 100

    def _cpu_s(self) -> float:
        fields = (self._process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # USER_HZ is 100 on every Linux we serve

    def memory_mb(self) -> int:
        status = (self._process / "status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    @property
    def _process(self) -> Path:
        """The service's process in the host's /proc."""
        inside = self.show("MainPID")
        for status in Path("/proc").glob("[0-9]*/status"):
            pids = status.read_text().partition("NSpid:")[2].split("\n")[0].split()
            if len(pids) == 2 and pids[1] == inside:
                return status.parent
        raise CommandFailed(f"the service's process {inside} is not to be seen")


def _ask(database: Path, question: str) -> object:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchone()[0]
