"""`ecg-gateway sensors update`: new firmware for sensors, through the running gateway."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from gateway.config_file import load_config
from gateway.control.socket import ControlRefused, ask
from gateway.control.update_state import IMAGE_NAME, UpdateState
from gateway.radio.firmware_image import ImageRefused, read_image

UPDATE_HELP = (
    "bring a signed firmware image to connected sensors, one after another, while they are"
    " monitored; a transfer that was cut goes on where it was"
)
ENDED = (UpdateState.DONE, UpdateState.FAILED)
LOOK_EACH_S = 1.0


def add_update(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, help="as `python -m firmware.sign` makes it")
    parser.add_argument(
        "--sensor",
        action="append",
        default=[],
        help="its name, as in ECG-0000002A (repeatable; otherwise all that are connected)",
    )
    parser.add_argument("--force", action="store_true", help="even while an alarm calls")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when every sensor runs the image at the end, otherwise 1."""
    state_directory = arguments.state_directory or load_config(arguments.config).state_directory
    try:
        image = read_image(arguments.image)
        _hand_over(image.encode(), state_directory)
        rows: Any = ask(
            state_directory, "sensors update", sensors=arguments.sensor, force=arguments.force
        )
        if not arguments.json:
            print(f"{image.manifest.title}, {image.manifest.size} bytes", flush=True)
        rows = _follow(state_directory, rows, show=not arguments.json)
    except (ControlRefused, ImageRefused, OSError) as error:
        print(f"ecg-gateway sensors update: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("the gateway goes on with the update", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(rows))
    return int(any(row["state"] != UpdateState.DONE for row in rows))


def _hand_over(image: bytes, state_directory: Path) -> None:
    """Where the gateway finds it, whole or not at all; it need not read the caller's own file."""
    path = state_directory / IMAGE_NAME
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _follow(state_directory: Path, rows: Any, show: bool) -> Any:
    """Look until all have ended, and show each change; gives the last rows."""
    shown: dict[str, Any] = {}
    while True:
        for row in rows:
            if show and shown.get(row["sensor"]) != row and row["state"] != UpdateState.WAITS:
                shown[row["sensor"]] = row
                _show(row)
        if all(row["state"] in ENDED for row in rows):
            return rows
        time.sleep(LOOK_EACH_S)
        rows = ask(state_directory, "sensors update-progress")


def _show(row: Any) -> None:
    text = row["message"] or row["state"]
    if row["state"] == UpdateState.SENDS:
        text = f"sends, {100 * row['sent'] // row['size']} %"
    stream = sys.stderr if row["state"] == UpdateState.FAILED else sys.stdout
    print(f"{row['sensor']}: {text}", file=stream, flush=True)
