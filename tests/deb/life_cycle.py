"""What happens to the package from its first installation to its purge, and what must hold then."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

from tests.deb.box import SERVICE, SHOWN_BEATS, Box, say
from tests.deb.sensors import SENSOR
from tests.end_to_end.processes import wait_until
from tests.runtimes.labelling import Labelling, load_labelling

UNITS = (SERVICE, "ecg-cloud-sync.service")
MOST_EXPOSED = 2.0  # of systemd-analyze security's 10
WATCHDOG_S = 120.0  # WatchdogSec, the time to abort and the start
BUS_CALLS = {  # to whether the gateway's user may make them
    "org.freedesktop.DBus / org.freedesktop.DBus ListNames": True,
    "org.bluez / org.freedesktop.DBus.ObjectManager GetManagedObjects": True,
    "org.bluez /org/bluez org.bluez.AgentManager1 RequestDefaultAgent o /x": False,
    "org.freedesktop.systemd1 / org.freedesktop.DBus.Peer Ping": False,
}
# A container has no adapter, disk or clock of its own, and no cloud; the rest must be well.
WELL = {"configuration", "BlueZ", "permissions", "key", "model", "service"}
LEFT_OVER = ("etc", "run", "usr", "var/lib", "var/log", "var/cache")
NOT_OURS = ("/var/lib/apt/", "/var/lib/dpkg/", "/var/cache/apt/", "/var/log/", "/etc/apt/")


class LifeCycle:
    """Steps in their order; each asserts what it is about and prints a line with its figures."""

    def __init__(self, box: Box, load_s: float) -> None:
        """`load_s`: over how long CPU is measured."""
        self._box = box
        self._load_s = load_s
        self._run = box.run

    def add_repository(self) -> None:
        """The README's lines, but for where the repository is."""
        root = self._box.container.folder
        self._run("install", "-D", "-m644", "/srv/apt/ecg-gateway.gpg", "-t", "/etc/apt/keyrings")
        suite = self._run("sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME")
        (root / "etc/apt/sources.list.d/ecg-gateway.sources").write_text(
            f"Types: deb\nURIs: file:/srv/apt\nSuites: {suite}\nComponents: main\n"
            "Signed-By: /etc/apt/keyrings/ecg-gateway.gpg\n"
        )
        self._box.apt("update")

    def install(self) -> None:
        """What else it needs comes first: how long that takes is the mirror's affair."""
        self._box.apt("satisfy", self._dependencies())
        begun_s = time.monotonic()
        self._box.apt("install", "ecg-gateway")
        taken_s = time.monotonic() - begun_s
        self._box.wait_until_active()
        files = self._run("dpkg", "-L", "ecg-gateway")
        assert "dist-packages" not in files
        size_mb = self._run("du", "-sm", "/usr/lib/ecg-gateway").split()[0]
        assert self._run("systemctl", "is-enabled", UNITS[1], check=False) == "disabled"
        assert self._run("stat", "-c%a %U", "/etc/ecg-gateway/keyring.key") == "600 root"
        say(
            "installed",
            seconds=round(taken_s),
            MB_with_bytecode=size_mb,
            version=self._box.version,
        )

    def _dependencies(self) -> str:
        told = self._run("apt-cache", "show", "ecg-gateway")
        (depends,) = [line for line in told.splitlines() if line.startswith("Depends: ")]
        return depends.removeprefix("Depends: ")

    def exposure(self) -> None:
        for unit in UNITS:
            told = self._run("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
            score = float(told.rpartition(": ")[2].split()[0])
            assert score <= MOST_EXPOSED, told
            say("exposure", **{unit: score})

    def bus_policy(self) -> None:
        """The gateway may ask BlueZ for what it needs, and nobody for anything else."""
        for call, allowed in BUS_CALLS.items():
            told = self._run(
                *("runuser", "-u", "ecg-gateway", "--", "busctl", "call", "--timeout=10"),
                *call.split(),
                check=False,
            )
            assert ("Access denied" not in told) == allowed, f"{call}: {told}"
        say("D-Bus policy", calls=len(BUS_CALLS))

    def reconfigure(self) -> None:
        """An edited file, a paired sensor: beats on the page."""
        box = self._box
        paired = self._run("ecg-gatewayctl", "pair", SENSOR, given=box.sensor.root_key + "\n")
        assert "key generation 1" in paired, paired
        box.config.write_text(box.edited_config)
        self._run("ecg-gateway", "check-config")
        begun_s = time.monotonic()
        self._run("systemctl", "restart", SERVICE)
        ready_s = time.monotonic() - begun_s
        box.wait_for_beats(1)
        beat_s = time.monotonic() - begun_s
        box.wait_for_beats(SHOWN_BEATS)
        assert '"kind":"beats"' in self._stream(), "no beat in the page's stream"
        self._assert_loopback_only()
        say("reconfigured", READY_s=round(ready_s, 1), s_to_first_beat=round(beat_s, 1))

    def doctor(self) -> None:
        """It finds nothing wrong with a box in service, but what a container is."""
        findings = json.loads(self._run("sh", "-c", "ecg-gateway doctor --json 2>/dev/null"))
        ill = [found for found in findings if found["check"] in WELL and found["verdict"] != "ok"]
        assert not ill, ill
        missing = WELL - {found["check"] for found in findings}
        assert not missing, missing
        say("doctor", findings=len(findings))

    def label_beats(self, windows: Path) -> Labelling:
        """What the installed classifier says; `windows` lies among the packages."""
        begun_s = time.monotonic()
        command = ["env", "PYTHONPATH=/usr/lib/ecg-gateway:/srv/project", "python3", "-m"]
        command += ["tests.runtimes.labelling", "ai_edge_litert", "64"]
        self._run(*command, f"/srv/packages/{windows.name}", "/root/labelling.npz")
        labelling = load_labelling(self._box.container.folder / "root/labelling.npz")
        taken_s = time.monotonic() - begun_s
        say("labelled", beats=len(labelling.beat_class), seconds=round(taken_s))
        return labelling

    def measure_load(self, with_what: str) -> None:
        percent = round(self._box.cpu_percent(self._load_s), 2)
        say(with_what, CPU_percent=percent, RSS_MB=self._box.memory_mb())

    def boot_again(self) -> None:
        """The services start by themselves; the kernel's own boot is not in the figures."""
        self._box.container.halt()
        begun_s = time.monotonic()
        self._box.container.boot()
        self._box.wait_until_active()
        ready_s = time.monotonic() - begun_s
        self._box.wait_for_beats(1)
        beat_s = time.monotonic() - begun_s
        say("booted again", READY_s=round(ready_s, 1), s_to_first_beat=round(beat_s, 1))

    def survive_a_hang(self) -> None:
        restarts = self._restarts()
        begun_s = time.monotonic()
        self._run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", SERVICE)
        wait_until(lambda: self._restarts() > restarts, WATCHDOG_S, "the watchdog did not bite")
        restarted_s = time.monotonic() - begun_s
        self._box.wait_until_active()
        self._box.wait_for_beats(SHOWN_BEATS)
        say("watchdog", s_to_restart=round(restarted_s))

    def back_up_and_restore(self) -> None:
        """By the daemon's user, whose files they must be. A backup lacks the minute before it."""
        box = self._box
        (box.state / "passphrase").write_text("a passphrase of this trial\n")
        words = ["/var/lib/ecg-gateway/ecg.backup"]
        words += ["--passphrase-file", "/var/lib/ecg-gateway/passphrase"]
        told = self._run("ecg-gatewayctl", "backup", *words, "--verify")
        assert "found whole" in told, told
        self._run("systemctl", "stop", SERVICE)
        told = self._run("ecg-gatewayctl", "restore", *words)
        assert "restored" in told, told
        assert box.beats_in(box.database) > 0
        self._run("systemctl", "start", SERVICE)
        box.wait_for_beats(SHOWN_BEATS)
        say("backed up and restored", frames=len(box.frames()))

    def remove(self) -> None:
        self._box.apt("remove", "ecg-gateway")
        assert self._box.database.exists()
        assert self._box.config.read_text() == self._box.edited_config
        assert self._run("systemctl", "is-active", SERVICE, check=False) != "active"
        say("removed; data and configuration are kept")

    def purge(self) -> None:
        self._box.apt("purge", "ecg-gateway")
        found = self._run(
            "find", *(f"/{folder}" for folder in LEFT_OVER), "-xdev", "-name", "*ecg-*", check=False
        )
        left = [path for path in found.splitlines() if not path.startswith(NOT_OURS)]
        assert not left, left
        for base in ("passwd", "group"):
            assert self._box.container.attempt("getent", base, "ecg-gateway").returncode == 2
        say("purged; nothing is left")

    def _stream(self) -> str:
        """The page's stream over some seconds."""
        with urllib.request.urlopen(self._box.url("stream"), timeout=10) as stream:
            return "".join(stream.readline().decode() for _ in range(30))

    def _assert_loopback_only(self) -> None:
        uid = self._run("id", "-u", "ecg-gateway")
        table = self._run("cat", "/proc/net/tcp", "/proc/net/tcp6")
        lines = [line.split() for line in table.splitlines()]
        listening = [line[1] for line in lines if line[3] == "0A" and line[7] == uid]
        assert listening, "the page does not listen"
        assert all(address.startswith("0100007F:") for address in listening), listening

    def _restarts(self) -> int:
        return int(self._box.show("NRestarts"))
