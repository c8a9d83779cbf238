"""`ecg-gateway keys`: the sensors' root keys as JSON, for a pipe into their escrow.

    ecg-gateway keys | ecg-cloud-sync escrow

Whoever reads them opens every frame of these sensors, so they never go to a terminal or a log.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gateway.config_file import DEFAULT_PATH, load_config
from gateway.messages import device_name
from gateway.radio.keyring import Keyring, KeyringError, open_keyring


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)


def run(arguments: argparse.Namespace) -> int:
    if sys.stdout.isatty():
        print(
            "ecg-gateway keys: not to a terminal; `ecg-gateway keys | ecg-cloud-sync escrow`",
            file=sys.stderr,
        )
        return 1
    config = load_config(arguments.config)
    try:
        keyring = open_keyring(config.state_directory, config.keyring)
    except KeyringError as error:
        print(f"ecg-gateway keys: {error}", file=sys.stderr)
        return 1
    print(root_keys_json(keyring))
    return 0


def root_keys_json(keyring: Keyring) -> str:
    """{sensor's name: [64 hex digits, oldest generation first]}."""
    return json.dumps(
        {
            device_name(device): [key.hex() for key in reversed(keyring.root_keys(device))]
            for device in keyring.devices()
        }
    )
