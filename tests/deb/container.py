"""A throw-away Debian with systemd as PID 1: an overlay on a clean root, in systemd-nspawn."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.end_to_end.processes import wait_until

BOOT_S = 120.0  # arm64 under emulation takes a minute
HALT_S = 60.0
# Its manager speaks of a running system by this socket.
MANAGER = "run/systemd/private"

# In place of ecg-gatewayctl, which hands the key over as a credential.
EMULATED_COMMAND = Path("opt/emulated/ecg-gatewayctl")
KEY, CREDENTIALS = "/etc/ecg-gateway/keyring.key", "/run/emulated"
EMULATED = f"""[Service]
Environment=QEMU_CPU=cortex-a72 CREDENTIALS_DIRECTORY={CREDENTIALS}
PrivateNetwork=no
LoadCredential=
ExecStartPre=+-install -D -o ecg-gateway -m 400 {KEY} {CREDENTIALS}/keyring-key
"""
# The /proc that a sandbox has of its own would show the host's processor again.
SANDBOXED = "BindReadOnlyPaths=/srv/cpuinfo:/proc/cpuinfo\n"
# systemd 257 makes no mount namespace under qemu-user: "Invalid argument", whatever it is to hold.
UNSANDBOXED = """ImportCredential=
PrivateDevices=no
PrivateTmp=no
PrivateUsers=no
ProcSubset=all
ProtectControlGroups=no
ProtectHome=no
ProtectKernelLogs=no
ProtectKernelModules=no
ProtectKernelTunables=no
ProtectProc=default
ProtectSystem=no
ReadWritePaths=
"""


class CommandFailed(AssertionError):
    """A command in the container ended with another status than 0."""


class Container:
    """Runs from `with` to its end, as root; whatever was written inside is gone then.

    It shares the host's network, so that a simulator on the host's loopback can be reached, and
    its control groups: two containers at once would signal each other's services.
    """

    def __init__(self, root: Path, shared: Sequence[str]) -> None:
        """`shared` are nspawn's own HOST:INSIDE pairs, read-only inside."""
        self._root = root
        self._shared = shared
        self._temporary = tempfile.TemporaryDirectory(prefix="ecg-gateway-deb-")
        self.folder = Path(self._temporary.name) / "merged"

    def __enter__(self) -> Container:
        layers = [self.folder, self.folder.with_name("upper"), self.folder.with_name("work")]
        for layer in layers:
            layer.mkdir()
        options = f"lowerdir={self._root},upperdir={layers[1]},workdir={layers[2]}"
        _run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.folder)])
        return self

    def boot(self) -> float:
        """Start it; give the seconds until systemd answered."""
        begun_s = time.monotonic()
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.folder}"]
        command += ["--register=no", "--keep-unit", "--console=read-only"]
        # The gateway asks whether the clock is set; nspawn would forbid the question.
        command += ["--system-call-filter=adjtimex clock_adjtime"]
        for pair in ("/etc/hosts", "/etc/resolv.conf", *self._shared):
            command.append(f"--bind-ro={pair}")
        with self.folder.with_name("console.log").open("wb") as console:
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )
        self._leader = wait_until(self._find_leader, BOOT_S, "systemd did not start")
        self.run("systemctl", "is-system-running", "--wait", check=False)
        return time.monotonic() - begun_s

    def pretend_to_be_a_pi(self, sandboxed: bool) -> None:
        """Under emulation: a processor whose int8 kernels come out right, and its /proc/cpuinfo.

        qemu-user has neither network namespaces nor systemd's credentials, and for systemd 257 no
        sandbox at all.
        """
        self.run("mount", "--bind", "/srv/cpuinfo", "/proc/cpuinfo")
        drop_in = self.folder / "etc/systemd/system/service.d/emulated.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(EMULATED + (SANDBOXED if sandboxed else UNSANDBOXED))
        command = self.folder / EMULATED_COMMAND
        command.parent.mkdir()
        command.write_text(
            "#!/bin/sh\nexec runuser -u ecg-gateway -- env "
            f'CREDENTIALS_DIRECTORY={CREDENTIALS} ecg-gateway "$@"\n'
        )
        command.chmod(0o755)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "restart", "systemd-journald")  # what became of it at boot or not

    def run(
        self, *command: str, check: bool = True, given: str = "", timeout_s: float = 600.0
    ) -> str:
        """What the command printed, errors too; raises CommandFailed if it is to be checked."""
        done = self.attempt(*command, given=given, timeout_s=timeout_s)
        if check and done.returncode:
            raise CommandFailed(f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}")
        return done.stdout.strip()

    def attempt(
        self, *command: str, given: str = "", timeout_s: float = 600.0
    ) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-t", self._leader, "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        environment = [f"PATH=/{EMULATED_COMMAND.parent}:/usr/sbin:/usr/bin:/sbin:/bin"]
        environment += ["HOME=/root", "LC_ALL=C.UTF-8"]
        environment += ["DEBIAN_FRONTEND=noninteractive", "QEMU_CPU=cortex-a72"]
        return subprocess.run(
            [*enter, "env", "-i", *environment, *command],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )

    def halt(self) -> None:
        """Shut it down in order; what was written stays, and it can be booted again."""
        # The signal by which nspawn would ask for it is another one under qemu-user.
        self.attempt("systemctl", "poweroff")
        try:
            self._nspawn.wait(HALT_S)
        except subprocess.TimeoutExpired:
            self._kill()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if hasattr(self, "_leader"):
            self.halt()
        elif hasattr(self, "_nspawn") and self._nspawn.poll() is None:
            self._kill()
        _run(["umount", str(self.folder)])
        self._temporary.cleanup()

    def _kill(self) -> None:
        """All inside end with PID 1, and nspawn too; nspawn's own end would leave them behind."""
        for pid in self._children():
            os.kill(int(pid), signal.SIGKILL)
        self._nspawn.wait()

    def _find_leader(self) -> str | None:
        assert self._nspawn.poll() is None, self.folder.with_name("console.log").read_text()
        pids = self._children()
        return pids[0] if pids and Path(f"/proc/{pids[0]}/root/{MANAGER}").exists() else None

    def _children(self) -> list[str]:
        """nspawn's only child is the container's PID 1."""
        pid = self._nspawn.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)
