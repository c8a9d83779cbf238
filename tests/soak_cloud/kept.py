"""A process that is started again whenever it has ended, as systemd does it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

RESTART_S = 0.5  # a daemon that can't start, say on a full disk, tries twice a second
STOP_S = 60.0


class Kept:
    """`log` gets what it says; `deaths` are those of its own."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._command = [sys.executable, "-m", *arguments]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before_s = 0.0
        self.deaths = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def tend(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self.deaths += 1
            self._process = None
            self._not_before_s = time.monotonic() + RESTART_S
        if self._process is None and time.monotonic() >= self._not_before_s:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """In order, with all that it still has to write."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(STOP_S)
            self._process = None
