"""The gateway and the virtual sensors as processes of their own, as a user runs them."""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from gateway.messages import DeviceId
from gateway.radio.keyring import Keyring, create_sealing_key

AUTO_ADMIT = {"auto_admit": True}
ANSWER_S = 60.0  # importing takes long on a busy machine
LOOK_EACH_S = 0.1
Found = TypeVar("Found")


class LineReader:
    """A process's output, line by line, without blocking it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: queue.Queue[str | None] = queue.Queue()  # None: there are no more
        assert process.stdout is not None
        self._stream = process.stdout
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def close(self) -> None:
        """The process has ended."""
        self._thread.join()
        self._stream.close()

    def wait_for(self, prefix: str, timeout_s: float = ANSWER_S) -> str:
        """The next line that starts so; others are dropped. Raises queue.Empty or EOFError."""
        while (line := self.lines.get(timeout=timeout_s)) is not None:
            if line.startswith(prefix):
                return line
        raise EOFError(f"the process ended before it said {prefix!r}")


class Simulator:
    """`python -m gateway.simulator`."""

    def __init__(
        self,
        specs: Sequence[str],
        keys: Path,
        speed: float,
        port: int = 0,
        secrets: Path | None = None,
        options: Sequence[str] = ("--once",),
    ) -> None:
        command = [sys.executable, "-m", "gateway.simulator", "--root-keys", str(keys)]
        command += ["--speed", str(speed), "--listen", f"127.0.0.1:{port}", *options]
        command += ["--core", os.environ.get("ECG_SIMULATOR_CORE", "python")]
        if secrets is not None:
            command += ["--pairing-secrets", str(secrets)]
        for spec in specs:
            command += ["--sensor", spec]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._output = LineReader(self.process)
        self.address = self._output.wait_for("listening on ").removeprefix("listening on ")

    def order(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def sensors(self) -> list[Mapping[str, object]]:
        self.order("stat")
        stat = json.loads(self._output.wait_for("{"))
        return list(stat["sensors"])

    def wait_until(self, holds: Callable[[Mapping], bool], timeout_s: float) -> None:
        """It holds for each sensor."""
        wait_until(lambda: all(map(holds, self.sensors())), timeout_s, self.sensors)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(ANSWER_S)
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._output.close()


class Gateway:
    """`ecg-gateway run`, which can be killed and started again on the same state."""

    def __init__(
        self, folder: Path, adapters: Sequence[str], **tables: Mapping[str, object]
    ) -> None:
        """With its keyring and state in `folder`; `tables` add to the configuration or replace."""
        self.folder = folder
        self.port = free_port()  # of its page
        self._config = folder / "gateway.toml"
        usual: dict[str, Mapping[str, object]] = {
            "radio": {"adapters": list(adapters)},
            "store": {"commit_interval_s": 0.2},
            "keyring": {"key_file": str(folder / "keyring-key")},
            "dashboard": {"port": self.port},
        }
        lines = [f"state_directory = {json.dumps(str(folder / 'state'))}"]
        for name, table in (usual | tables).items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(it)}" for key, it in table.items())]
        self._config.write_text("\n".join(lines))
        self.process: subprocess.Popen[str] | None = None

    @property
    def store(self) -> Path:
        return self.folder / "state" / "gateway.sqlite3"

    def start(self) -> None:
        with (self.folder / "gateway.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", str(self._config)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._output = LineReader(self.process)
        try:
            self._output.wait_for("The page is at ", timeout_s=2 * ANSWER_S)
        except EOFError as error:
            raise RuntimeError((self.folder / "gateway.log").read_text()[-2000:]) from error

    def kill(self) -> None:
        """As a power cut would, without a chance to write anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As systemd would; gives the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(ANSWER_S)
        self._output.close()
        return code


def wait_until(
    look: Callable[[], Found], timeout_s: float, otherwise: str | Callable[[], object]
) -> Found:
    """The first true answer of another process; AssertionError where none comes in time.

    The error says `otherwise`, or what that gives when it is called at the end.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline_s, otherwise() if callable(otherwise) else otherwise
        time.sleep(LOOK_EACH_S)
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def pair(folder: Path, sensors: int) -> Path:
    """Root keys for sensors 1 to `sensors`, in the gateway's keyring and in a file."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    keyring = Keyring(state / "keyring", create_sealing_key(folder / "keyring-key"))
    path = folder / "root-keys.json"
    for number, key in new_keys(path, sensors).items():
        keyring.add(DeviceId(number), key)
    return path


def new_keys(path: Path, sensors: int) -> dict[int, bytes]:
    """A secret for each of sensors 1 to `sensors`, in a file as the simulator reads it."""
    keys = {number: secrets.token_bytes(32) for number in range(1, sensors + 1)}
    path.touch(mode=0o600)
    path.write_text(json.dumps({f"{number:08X}": key.hex() for number, key in keys.items()}))
    return keys
