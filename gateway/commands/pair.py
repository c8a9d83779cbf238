"""`ecg-gateway pair`: have the running gateway pair a sensor by the text of its label.

With a sensor's name its root key itself goes into the keyring, for sensors whose key somebody has
agreed on beforehand. Label and key are read from a file or from standard input, never from the
command line, where other users of the machine could see them.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from gateway.config_file import DEFAULT_PATH, load_config
from gateway.control.socket import ControlRefused, ask
from gateway.messages import device_name
from gateway.radio.keyring import (
    KeyringError,
    create_sealing_key,
    open_keyring,
    parse_device_name,
)
from gateway.radio.sensor_label import LabelError, parse_label
from gateway.ward.pairing import PairingFailure

EXIT_CODES = {
    PairingFailure.NOT_FOUND: 3,
    PairingFailure.NOT_IN_PAIRING_MODE: 4,
    PairingFailure.WRONG_SECRET: 5,
    PairingFailure.ALREADY_PAIRED: 6,
    PairingFailure.LINK_LOST: 7,
}
MAX_LABEL_CHARACTERS = 512  # of a line; a label has 84, and may be typed with spaces

EPILOG = "exit codes beside 0, 1 and 2: " + ", ".join(
    f"{code} {failure.value}" for failure, code in EXIT_CODES.items()
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "sensor",
        nargs="?",
        help="with a name, as ECG-0000002A, its root key is read instead of its label",
    )
    parser.add_argument(
        "--label-file",
        type=Path,
        help="the text of the label's QR code; otherwise it is read from standard input",
    )
    parser.add_argument(
        "--root-key-file",
        type=Path,
        help="64 hex digits; otherwise they are read from standard input",
    )
    parser.add_argument(
        "--again", action="store_true", help="although it is paired, as after a reset of the sensor"
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)


def run(arguments: argparse.Namespace) -> int:
    try:
        if arguments.sensor is None:
            return _pair_by_label(arguments)
        print(_keep_root_key(arguments))
    except (KeyringError, LabelError, ControlRefused) as error:
        print(f"ecg-gateway pair: {error}", file=sys.stderr)
        return 1
    return 0


def _pair_by_label(arguments: argparse.Namespace) -> int:
    """Raises LabelError or ControlRefused."""
    state_directory = load_config(arguments.config).state_directory
    label = parse_label(_read_label(arguments.label_file))
    news = ask(state_directory, "pair", label=label.text, again=arguments.again)
    try:
        return _follow(state_directory, news)
    except KeyboardInterrupt:
        ask(state_directory, "pair stop")
        print("ecg-gateway pair: stopped", file=sys.stderr)
        return 1


def _follow(state_directory: Path, news: object) -> int:
    """Print each step until the pairing is over; gives the exit code."""
    seen = 0
    while True:
        assert isinstance(news, dict)
        for step in news.get("steps", []):
            print(step, flush=True)
            seen += 1
        if "failure" in news:
            print(f"ecg-gateway pair: {news['message']}", file=sys.stderr)
            return EXIT_CODES.get(PairingFailure(news["failure"]), 1)
        if news["paired"]:
            return 0
        news = ask(state_directory, "pair news", seen=seen)


def _read_label(path: Path | None) -> str:
    """What was pasted is not shown; raises LabelError."""
    try:
        if path is not None:
            return path.read_text("ascii")[:MAX_LABEL_CHARACTERS]
        if sys.stdin.isatty():
            return getpass.getpass("text of the label's QR code: ")
        return sys.stdin.readline(MAX_LABEL_CHARACTERS)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise LabelError(f"the label can't be read: {error}") from error


def _keep_root_key(arguments: argparse.Namespace) -> str:
    """Raises KeyringError."""
    device_id = parse_device_name(arguments.sensor)
    config = load_config(arguments.config)
    if config.keyring.key_file is not None and not config.keyring.key_file.exists():
        create_sealing_key(config.keyring.key_file)
    keyring = open_keyring(config.state_directory, config.keyring)
    generation = keyring.add(device_id, _read_root_key(arguments.root_key_file))
    return f"{device_name(device_id)} is paired, key generation {generation}"


def _read_root_key(path: Path | None) -> bytes:
    try:
        text = sys.stdin.readline() if path is None else path.read_text("ascii")
        return bytes.fromhex(text.strip())
    except (OSError, ValueError) as error:
        raise KeyringError(f"a root key is 64 hex digits: {error}") from error
