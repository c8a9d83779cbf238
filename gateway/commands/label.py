"""`ecg-gateway label`: the QR code on a sensor's case, which holds its pairing secret.

The secret is what the firmware prints once, at its first start. It is read from a file or from
standard input, never from the command line, where other users of the machine could see it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from gateway.radio.keyring import KeyringError, parse_device_name
from gateway.radio.noise import PSK_BYTES
from gateway.radio.sensor_label import LabelError, SensorLabel

_SECRET = re.compile(f"[0-9A-Fa-f]{{{2 * PSK_BYTES}}}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sensor", help="its name, as in ECG-0000002A")
    parser.add_argument("--secret-file", type=Path, help="64 hex digits; otherwise standard input")
    parser.add_argument("--out", type=Path, required=True, help="the SVG to write")


def run(arguments: argparse.Namespace) -> int:
    try:
        text = label_text(arguments.sensor, _read_secret(arguments.secret_file))
        write_label(text, arguments.out)
    except (LabelError, KeyringError, OSError) as error:
        print(f"ecg-gateway label: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: print it, put it on the sensor, and delete the file")
    return 0


def label_text(sensor: str, secret: str) -> str:
    """What the code says (docs/protocol.md, 6); raises LabelError or KeyringError."""
    if not _SECRET.fullmatch(secret):
        raise LabelError(f"a pairing secret is {2 * PSK_BYTES} hex digits")
    return SensorLabel(parse_device_name(sensor), bytes.fromhex(secret)).text


def write_label(text: str, path: Path) -> None:
    """Write the code as SVG, readable by its owner alone; raises LabelError."""
    try:
        import segno
    except ImportError as error:
        raise LabelError("the QR code needs segno: pip install 'ecg-gateway[demo]'") from error
    code = segno.make(text, error="m", micro=False)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        code.save(file, kind="svg", scale=4, title=text.split(":")[1])


def _read_secret(path: Path | None) -> str:
    text = sys.stdin.readline() if path is None else path.read_text("ascii")
    return text.strip()
