"""`ecg-gateway pair`: put a sensor's root key into the keyring.

The key is read from a file or from standard input, never from the command line, where other
users of the machine could see it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gateway.config_file import DEFAULT_PATH, load_config
from gateway.messages import device_name
from gateway.radio.keyring import (
    KeyringError,
    create_sealing_key,
    open_keyring,
    parse_device_name,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sensor", help="its name, as in ECG-0000002A")
    parser.add_argument(
        "--root-key-file",
        type=Path,
        help="64 hex digits; otherwise they are read from standard input",
    )
    parser.add_argument("--forget", action="store_true", help="remove the sensor and its keys")
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)


def run(arguments: argparse.Namespace) -> int:
    try:
        print(_pair(arguments))
    except KeyringError as error:
        print(f"ecg-gateway pair: {error}", file=sys.stderr)
        return 1
    return 0


def _pair(arguments: argparse.Namespace) -> str:
    device_id = parse_device_name(arguments.sensor)
    config = load_config(arguments.config)
    if config.keyring.key_file is not None and not config.keyring.key_file.exists():
        create_sealing_key(config.keyring.key_file)
    keyring = open_keyring(config.state_directory, config.keyring)
    if arguments.forget:
        keyring.forget(device_id)
        return f"{device_name(device_id)} is forgotten"
    generation = keyring.add(device_id, _read_root_key(arguments.root_key_file))
    return f"{device_name(device_id)} is paired, key generation {generation}"


def _read_root_key(path: Path | None) -> bytes:
    try:
        text = sys.stdin.readline() if path is None else path.read_text("ascii")
        return bytes.fromhex(text.strip())
    except (OSError, ValueError) as error:
        raise KeyringError(f"a root key is 64 hex digits: {error}") from error
