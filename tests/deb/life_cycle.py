"""What happens to the package from its first installation to its purge, and what must hold then."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.deb.container import CommandFailed, Container
from tests.deb.sensors import SENSOR, Sensor
from tests.end_to_end.processes import wait_until
from tests.runtimes.labelling import Labelling, load_labelling

SERVICE = "ecg-gateway.service"
UNITS = (SERVICE, "ecg-cloud-sync.service")
MOST_EXPOSED = 2.0  # of systemd-analyze security's 10
STATE = "var/lib/ecg-gateway"
CONFIG = "etc/ecg-gateway/gateway.toml"
ANYWAY = "run/ecg-gateway-upgrade-anyway"
SHOWN_BEATS = 20
BEATS_S = 240.0  # an emulated machine imports for a minute
READY_S = 300.0
SILENT_S = 60.0  # the alarm of a silent sensor comes after 10
WATCHDOG_S = 120.0  # WatchdogSec, the time to abort and the start
IDLE_S = 20.0
BUS_CALLS = {  # to whether the gateway's user may make them
    "org.freedesktop.DBus / org.freedesktop.DBus ListNames": True,
    "org.bluez / org.freedesktop.DBus.ObjectManager GetManagedObjects": True,
    "org.bluez /org/bluez org.bluez.AgentManager1 RequestDefaultAgent o /x": False,
    "org.freedesktop.systemd1 / org.freedesktop.DBus.Peer Ping": False,
}
LEFT_OVER = ("etc", "run", "usr", "var/lib", "var/log", "var/cache")
NOT_OURS = ("/var/lib/apt/", "/var/lib/dpkg/", "/var/cache/apt/", "/var/log/", "/etc/apt/")


class LifeCycle:
    """Steps in their order; each asserts what it is about and prints a line with its figures."""

    def __init__(self, container: Container, sensor: Sensor, port: int) -> None:
        self._container = container
        self._run = container.run
        self._sensor = sensor
        self._port = port

    def say(self, step: str, **figures: object) -> None:
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        print(f"{time.strftime('%H:%M:%S')} {step}{': ' if told else ''}{told}", flush=True)

    def add_repository(self) -> None:
        """The README's lines, but for where the repository is."""
        root = self._container.folder
        self._run("install", "-D", "-m644", "/srv/apt/ecg-gateway.gpg", "-t", "/etc/apt/keyrings")
        suite = self._run("sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME")
        (root / "etc/apt/sources.list.d/ecg-gateway.sources").write_text(
            f"Types: deb\nURIs: file:/srv/apt\nSuites: {suite}\nComponents: main\n"
            "Signed-By: /etc/apt/keyrings/ecg-gateway.gpg\n"
        )
        self._run("apt-get", "-q", "update")

    def install(self) -> None:
        begun_s = time.monotonic()
        self._run("apt-get", "-q", "install", "-y", "ecg-gateway", timeout_s=3600.0)
        taken_s = time.monotonic() - begun_s
        self._wait_until_active()
        files = self._run("dpkg", "-L", "ecg-gateway")
        assert "dist-packages" not in files
        size_mb = self._run("du", "-sm", "/usr/lib/ecg-gateway").split()[0]
        assert self._run("systemctl", "is-enabled", UNITS[1], check=False) == "disabled"
        assert self._run("stat", "-c%a %U", "/etc/ecg-gateway/keyring.key") == "600 root"
        self.say(
            "installed", seconds=round(taken_s), MB_with_bytecode=size_mb, version=self.version
        )

    def exposure(self) -> None:
        for unit in UNITS:
            told = self._run("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
            score = float(told.rpartition(": ")[2].split()[0])
            assert score <= MOST_EXPOSED, told
            self.say("exposure", **{unit: score})

    def bus_policy(self) -> None:
        """The gateway may ask BlueZ for what it needs, and nobody for anything else."""
        for call, allowed in BUS_CALLS.items():
            told = self._run(
                *("runuser", "-u", "ecg-gateway", "--", "busctl", "call", "--timeout=10"),
                *call.split(),
                check=False,
            )
            assert ("Access denied" not in told) == allowed, f"{call}: {told}"
        self.say("D-Bus policy", calls=len(BUS_CALLS))

    def reconfigure(self) -> None:
        """An edited file, a paired sensor: beats on the page."""
        paired = self._run(
            "ecg-gatewayctl", "pair", SENSOR, given=self._sensor.root_key + "\n", timeout_s=120.0
        )
        assert "key generation 1" in paired, paired
        (self._container.folder / CONFIG).write_text(self._config())
        self._run("ecg-gateway", "check-config")
        begun_s = time.monotonic()
        self._run("systemctl", "restart", SERVICE)
        ready_s = time.monotonic() - begun_s
        self._wait_for_beats(SHOWN_BEATS)
        beats_s = time.monotonic() - begun_s
        assert '"kind":"beats"' in self._stream(), "no beat in the page's stream"
        self._assert_loopback_only()
        self.say("reconfigured", READY_s=round(ready_s, 1), s_to_20_beats=round(beats_s, 1))

    def label_beats(self, windows: Path) -> Labelling:
        """What the installed classifier says; `windows` lies among the packages."""
        begun_s = time.monotonic()
        command = ["env", "PYTHONPATH=/usr/lib/ecg-gateway:/srv/project", "python3", "-m"]
        command += ["tests.runtimes.labelling", "ai_edge_litert", "64"]
        self._run(*command, f"/srv/packages/{windows.name}", "/root/labelling.npz")
        labelling = load_labelling(self._container.folder / "root/labelling.npz")
        taken_s = time.monotonic() - begun_s
        self.say("labelled", beats=len(labelling.beat_class), seconds=round(taken_s))
        return labelling

    def measure_idle(self) -> None:
        """CPU and memory with one sensor."""
        before_s = self._cpu_s()
        time.sleep(IDLE_S)
        percent = (self._cpu_s() - before_s) / IDLE_S * 100
        status = Path(f"/proc/{self._host_pid()}/status").read_text()
        rss_kb = int(status.partition("VmRSS:")[2].split()[0])
        self.say("one sensor", CPU_percent=round(percent, 1), RSS_MB=rss_kb // 1024)

    def survive_a_hang(self) -> None:
        restarts = self._restarts()
        begun_s = time.monotonic()
        self._run("systemctl", "kill", "--signal=STOP", SERVICE)
        wait_until(lambda: self._restarts() > restarts, WATCHDOG_S, "the watchdog did not bite")
        restarted_s = time.monotonic() - begun_s
        self._wait_until_active()
        self._wait_for_beats(SHOWN_BEATS)
        self.say("watchdog", s_to_restart=round(restarted_s))

    def refuse_during_an_alarm(self) -> None:
        version, pid = self.version, self._show("MainPID")
        self._run("apt-get", "-q", "update")
        self._sensor.fall_silent()
        wait_until(self._calling_alarms, SILENT_S, "no alarm of the silent sensor")
        refused = self._container.attempt("apt-get", "-q", "install", "-y", "ecg-gateway")
        assert refused.returncode != 0
        assert "acknowledge them first" in refused.stdout, refused.stdout
        assert self.version == version, self.version
        assert self._show("MainPID") == pid, "the gateway was restarted"
        self.say("upgrade refused while an alarm calls", version=version)

    def upgrade_anyway(self) -> None:
        self._run("touch", f"/{ANYWAY}")
        self._upgrade()
        assert not (self._container.folder / ANYWAY).exists()
        self._sensor.go_on()
        self._wait_for_beats(SHOWN_BEATS)

    def fail_to_migrate(self) -> None:
        """The next version's migration fails: the database stays, the old version opens it."""
        self._run("touch", f"/{ANYWAY}")  # the recording has alarms of its own
        version, frames, schema = self.version, self._frames(), self._schema()
        self._run("apt-get", "-q", "update")
        told = self._run("apt-get", "-q", "install", "-y", "ecg-gateway", timeout_s=3600.0)
        assert "the service has not started" in told, told
        assert self._show("ActiveState") != "active"
        assert self._schema() == schema
        assert self._frames() >= frames
        self.say("migration failed and was rolled back", version=self.version)
        self._run("touch", f"/{ANYWAY}")
        command = ["apt-get", "-q", "install", "-y", "--allow-downgrades"]
        told = self._run(*command, f"/srv/packages/{self._package(version)}", timeout_s=3600.0)
        assert "going back from" in told, told
        self._wait_until_active()
        self._wait_for_beats(SHOWN_BEATS)
        assert self._frames() >= frames
        self.say("went back", version=self.version)

    def remove(self) -> None:
        self._run("apt-get", "-q", "remove", "-y", "ecg-gateway")
        assert (self._container.folder / STATE / "gateway.sqlite3").exists()
        assert (self._container.folder / CONFIG).read_text() == self._config()
        assert self._run("systemctl", "is-active", SERVICE, check=False) != "active"
        self.say("removed; data and configuration are kept")

    def purge(self) -> None:
        self._run("apt-get", "-q", "purge", "-y", "ecg-gateway")
        found = self._run(
            "find", *(f"/{folder}" for folder in LEFT_OVER), "-xdev", "-name", "*ecg-*", check=False
        )
        left = [path for path in found.splitlines() if not path.startswith(NOT_OURS)]
        assert not left, left
        assert self._container.attempt("getent", "passwd", "ecg-gateway").returncode == 2
        assert self._container.attempt("getent", "group", "ecg-gateway").returncode == 2
        self.say("purged; nothing is left")

    @property
    def version(self) -> str:
        return self._run("dpkg-query", "-W", "-f", "${Version}", "ecg-gateway")

    def _upgrade(self) -> None:
        version, frames = self.version, self._frames()
        self._run("apt-get", "-q", "update")
        begun_s = time.monotonic()
        self._run("apt-get", "-q", "install", "-y", "ecg-gateway", timeout_s=3600.0)
        taken_s = time.monotonic() - begun_s
        self._wait_until_active()
        assert (self._container.folder / CONFIG).read_text() == self._config()
        assert self._frames() >= frames
        (copy,) = (self._container.folder / STATE / "backups").glob("*.sqlite3")
        assert self._frames(copy) > 0
        self.say("upgraded", seconds=round(taken_s), before=version, now=self.version)

    def _config(self) -> str:
        adapters = f'[radio]\nadapters = ["virtual:{self._sensor.address}#1"]\n'
        return f"{adapters}[dashboard]\nport = {self._port}\n[beds]\nauto_admit = true\n"

    def _wait_until_active(self) -> None:
        wait_until(lambda: self._show("ActiveState") == "active", READY_S, self._log())

    def _wait_for_beats(self, count: int) -> None:
        wait_until(lambda: self._beats() >= count, BEATS_S, "no beats on the page")

    def _beats(self) -> int:
        try:
            with urllib.request.urlopen(self._url("healthz"), timeout=10) as answer:
                sensors = json.load(answer)["sensors"]
        except OSError:
            return 0
        return sum(int(sensor["beats"]) for sensor in sensors.values())

    def _stream(self) -> str:
        """The page's stream over some seconds."""
        with urllib.request.urlopen(self._url("stream"), timeout=10) as stream:
            return "".join(stream.readline().decode() for _ in range(30))

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}/{path}"

    def _calling_alarms(self) -> list[dict[str, Any]]:
        alarms = json.loads(self._run("ecg-gatewayctl", "alarms", "--json"))
        return [
            alarm
            for alarm in alarms
            if alarm["priority"] != "low" and alarm["state"] in ("active", "latched")
        ]

    def _assert_loopback_only(self) -> None:
        uid = self._run("id", "-u", "ecg-gateway")
        table = self._run("cat", "/proc/net/tcp", "/proc/net/tcp6")
        lines = [line.split() for line in table.splitlines()]
        listening = [line[1] for line in lines if line[3] == "0A" and line[7] == uid]
        assert listening, "the page does not listen"
        assert all(address.startswith("0100007F:") for address in listening), listening

    def _show(self, name: str) -> str:
        return self._run("systemctl", "show", SERVICE, "--value", "--property", name)

    def _restarts(self) -> int:
        return int(self._show("NRestarts"))

    def _cpu_s(self) -> float:
        """User and system time of the service, children too."""
        fields = Path(f"/proc/{self._host_pid()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # USER_HZ is 100 on every Linux we serve

    def _host_pid(self) -> int:
        """The service's process as the host numbers it."""
        inside = self._show("MainPID")
        for status in Path("/proc").glob("[0-9]*/status"):
            pids = status.read_text().partition("NSpid:")[2].split("\n")[0].split()
            if len(pids) == 2 and pids[1] == inside:
                return int(pids[0])
        raise CommandFailed(f"the service's process {inside} is not to be seen")

    def _frames(self, database: Path | None = None) -> int:
        return int(self._ask("SELECT count(*) FROM frames", database))

    def _schema(self) -> str:
        return str(self._ask("SELECT version_num FROM alembic_version"))

    def _ask(self, question: str, database: Path | None = None) -> object:
        path = database or self._container.folder / STATE / "gateway.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(question).fetchone()[0]

    def _package(self, version: str) -> str:
        return f"ecg-gateway_{version}_{self._run('dpkg', '--print-architecture')}.deb"

    def _log(self) -> str:
        return self._run("journalctl", "--no-pager", "-n30", "-u", SERVICE, check=False)
