"""`python -m gateway.simulator`: a ward of virtual ESP32 sensors on a virtual radio."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import signal
import stat
import sys
from pathlib import Path

from bumble.link import LocalLink

from gateway.messages import device_name
from gateway.radio.frame_codec import ROOT_KEY_BYTES
from gateway.radio.noise import PSK_BYTES
from gateway.radio.recording import RecordingError
from gateway.simulator.board import Board
from gateway.simulator.cores import CORES, open_core
from gateway.simulator.ecg_sources import EcgSourceError
from gateway.simulator.flash import Flash
from gateway.simulator.sensor_core import CoreError
from gateway.simulator.sensor_spec import SensorSpec, SpecError, parse_spec
from gateway.simulator.ward import Ward

EXIT_USAGE = 2


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("bumble").setLevel(logging.CRITICAL)  # it warns of packets of dropped links
    try:
        host, port = _loopback(arguments.listen)
        specs = [parse_spec(text) for text in arguments.sensor]
        keys = _read_root_keys(arguments.root_keys, specs)
        secrets = _read_secrets(arguments.pairing_secrets)
        asyncio.run(_run(arguments, host, port, specs, keys, secrets))
    except (SpecError, EcgSourceError, RecordingError, CoreError, OSError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("gateway.simulator", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT; port 0 is any")
    parser.add_argument(
        "--sensor", action="append", required=True, help="DEVICEID:key=value,… (repeatable)"
    )
    parser.add_argument("--root-keys", type=Path, required=True, help="JSON {device id: key}")
    parser.add_argument(
        "--pairing-secrets",
        type=Path,
        help="JSON {device id: secret of its label}; these sensors are new, and can be paired",
    )
    parser.add_argument(
        "--firmware-signer",
        type=bytes.fromhex,
        help="public key in hex: these sensors take firmware updates that it has signed",
    )
    parser.add_argument("--speed", type=_positive, default=1.0, help="times real time")
    parser.add_argument("--state-dir", type=Path, help="keeps boot counters, keys and held frames")
    parser.add_argument("--seed", type=int, default=0, help="of synthetic ECG")
    parser.add_argument(
        "--core", choices=CORES, default="python", help="whose rules: c is the firmware's"
    )
    parser.add_argument("--once", action="store_true", help="play each source once, say done N")
    return parser


async def _run(
    arguments: argparse.Namespace,
    host: str,
    port: int,
    specs: list[SensorSpec],
    keys: dict[int, bytes],
    secrets: dict[int, bytes],
) -> None:
    if arguments.state_dir is not None:
        arguments.state_dir.mkdir(parents=True, exist_ok=True)
    link = LocalLink()  # type: ignore[no-untyped-call]  # Bumble gives it no annotation
    boards = [
        _board(arguments, spec, keys[spec.device_id], secrets.get(spec.device_id), link)
        for spec in specs
    ]
    ward = Ward(link, boards)
    running = asyncio.create_task(
        ward.run(
            host,
            port,
            lambda bound: _say(f"listening on {host}:{bound}"),
            lambda number: _say(f"done {number}"),
        )
    )
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, running.cancel)
    orders = asyncio.create_task(_obey_stdin(ward)) if _has_orders() else None
    if orders is not None:
        orders.add_done_callback(lambda _: running.cancel())
    with contextlib.suppress(asyncio.CancelledError):
        await running
    if orders is not None:
        orders.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await orders


def _board(
    arguments: argparse.Namespace,
    spec: SensorSpec,
    root_key: bytes,
    secret: bytes | None,
    link: LocalLink,
) -> Board:
    flash = Flash(arguments.state_dir, device_name(spec.device_id))
    outbox, boot_core = open_core(arguments.core, spec.ring_frames, arguments.firmware_signer)
    flash.load_frames(outbox)
    return Board(
        spec.device_id,
        root_key,
        lambda rate_hz: spec.open_source(rate_hz, not arguments.once, arguments.seed),
        outbox,
        boot_core,
        flash,
        link,
        spec.mtu,
        arguments.speed,
        secret=secret,
    )


def _has_orders() -> bool:
    """Is standard input a pipe, a socket or a terminal?"""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()


async def _obey_stdin(ward: Ward) -> None:
    """Obey orders, one a line, until `quit` or the end: whoever started the ward is gone then."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = line.decode().strip()
        if order == "quit":
            return
        if order:
            _say(await ward.obey(order))


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _say(line: str) -> None:
    print(line, flush=True)


def _loopback(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host, int(port)
    except ValueError:
        pass
    raise SpecError(f"--listen {address}: a loopback address and a port, as in 127.0.0.1:0")


def _read_root_keys(path: Path, specs: list[SensorSpec]) -> dict[int, bytes]:
    keys = _read_keys(path)
    for spec in specs:
        if len(keys.get(spec.device_id, b"")) != ROOT_KEY_BYTES:
            raise SpecError(f"{path} has no key of {ROOT_KEY_BYTES} bytes for {spec.device_id:08X}")
    return keys


def _read_secrets(path: Path | None) -> dict[int, bytes]:
    secrets = {} if path is None else _read_keys(path)
    if any(len(secret) != PSK_BYTES for secret in secrets.values()):
        raise SpecError(f"{path}: a pairing secret has {PSK_BYTES} bytes")
    return secrets


def _read_keys(path: Path) -> dict[int, bytes]:
    """Keys by device; a file that others may read is refused."""
    if path.stat().st_mode & 0o077:
        raise SpecError(f"{path} may be read by others: chmod 600 {path}")
    try:
        return {
            int(device, 16): bytes.fromhex(key)
            for device, key in json.loads(path.read_text()).items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise SpecError(f"{path} is not JSON of device ids and keys in hex") from error


if __name__ == "__main__":
    sys.exit(main())
