"""A user-mode Linux kernel as a plain process: the host's files as root, a card, a serial line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

from tests.machine.card import Card
from tests.machine.kernel import KERNEL, PROJECT

MEMORY_MEGABYTES = 1024  # the smallest Pi that the gateway is for
NICE = "10"  # the host has other work
BOOT_S = 120.0  # it takes 2 s on a quiet host
COMMAND_S = 180.0
_MARK = "@@ "

_GROUP = 2  # field of /proc/PID/stat behind the command: proc(5)
_WAITED = 1  # field of /proc/PID/schedstat, in ns: sched-stats.rst of the kernel


class MachineError(Exception):
    """A command in the machine failed, or the machine has gone; the message holds its output."""


class Machine:
    """One boot of the machine. `folder / "shared"` is where it may write on the host."""

    def __init__(self, folder: Path, card: Card, serial_line: socket.socket | None = None) -> None:
        self.shared = folder / "shared"
        self._card = card
        self._serial_line = serial_line  # /dev/ttyS0
        self._one_command = asyncio.Lock()

    async def boot(self) -> float:
        """Returns how long it took, in s; raises MachineError."""
        self.shared.mkdir(exist_ok=True)
        begun_s = time.monotonic()
        lines = [self._serial_line.fileno()] if self._serial_line else []
        self._process = await asyncio.create_subprocess_exec(
            *("nice", "-n", NICE, str(KERNEL / "linux"), f"mem={MEMORY_MEGABYTES}M", "quiet"),
            *("rootfstype=hostfs", "rootflags=/", "ro", "panic=-1"),
            *("con=null", "con0=fd:0,fd:1", "ssl=null"),
            *(f"ssl0=fd:{line}" for line in lines),
            *(f"init={PROJECT}/tests/machine/init.sh", f"PROJECT={PROJECT}"),
            *(f"SHARED={self.shared}", f"CARD={self._card.folder}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | self._card.environment(),
            pass_fds=lines,
            start_new_session=True,  # the kernel's processes on the host die with it, in one group
        )
        await self._until_mark(BOOT_S)
        return time.monotonic() - begun_s

    async def run(self, command: str, timeout_s: float = COMMAND_S) -> str:
        """The output of a shell command, on one line, as root; raises MachineError."""
        async with self._one_command:
            assert self._process.stdin is not None
            line = f"{{ {command}; }} 2>&1; status=$?; echo; echo '{_MARK}'$status\n"
            self._process.stdin.write(line.encode())
            lines = await self._until_mark(timeout_s)
        output = "\n".join(lines[:-1]).strip()
        if lines[-1] != f"{_MARK}0":
            raise MachineError(f"{command}: {lines[-1]}\n{output}")
        return output

    async def spawn(self, name: str, command: str) -> int:
        """Start a process that goes on, its output in /run/NAME.log; returns its pid."""
        output = f"</dev/null >>/run/{name}.log 2>&1"
        return int(await self.run(f"{{ exec {command}; }} {output} & echo $!; disown"))

    async def freeze(self) -> None:
        """Stop the kernel where it is; `thaw` lets it go on, or `cut_power` ends it there."""
        self._process.send_signal(signal.SIGSTOP)
        while Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2][0] != "T":
            await asyncio.sleep(0)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def cut_power(self) -> None:
        """All at once, as when the plug is pulled."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def withheld_s(self) -> float:
        """How long it could have run, but the host's processors were others': a guest's steal time.

        One of its processes runs at a time, so their waits add up. Those that ended are left out.
        """
        waited_ns = 0
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if int(fields[_GROUP]) == self._process.pid:
                    waited_ns += int((process / "schedstat").read_text().split()[_WAITED])
        return waited_ns / 1e9

    async def _until_mark(self, timeout_s: float) -> list[str]:
        assert self._process.stdout is not None
        lines: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while not lines or not lines[-1].startswith(_MARK):
                    if not (line := await self._process.stdout.readline()):
                        raise MachineError("the machine has gone:\n" + "\n".join(lines))
                    lines.append(line.decode(errors="replace").rstrip("\r\n"))
        except TimeoutError:
            raise MachineError(f"no end within {timeout_s:g} s:\n" + "\n".join(lines)) from None
        return lines


def python(module: str) -> str:
    """The command that runs a module of this project in the machine."""
    return f"{sys.executable} -m {module}"
