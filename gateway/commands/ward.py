"""`ecg-gateway sensors | beds | alarms`: ask the running gateway, and print its answer."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.commands.text_table import text_table
from gateway.commands.update import UPDATE_HELP, add_update
from gateway.config_file import DEFAULT_PATH, load_config
from gateway.control.socket import ControlRefused, Json, ask
from gateway.ward.bed_limits import KEY_OF

LIMITS_HELP = (
    "show a bed's alarm limits, or give its patient limits of their own; they end with the "
    "discharge, and the next patient starts from the house's"
)
ASKED = ("bed", "sensor", "kind", "seconds", "reset", *KEY_OF)  # what a command carries


RETIRED = (
    "Its keys are destroyed: beats, alarms and summaries stay, the stored waveforms of it can't be"
    " opened any more, and it is not heard until it is paired again."
)


def add_sensors(parser: argparse.ArgumentParser) -> None:
    _add_gateway(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    rotate = actions.add_parser("rotate-key", help="give a connected sensor another root key")
    rotate.add_argument("sensor", help="its name, as in ECG-0000002A")
    retire = actions.add_parser("retire", help="destroy a sensor's keys", description=RETIRED)
    retire.add_argument("sensor", help="its name, as in ECG-0000002A")
    retire.add_argument("--yes", action="store_true", help="do not ask")
    add_update(actions.add_parser("update", help=UPDATE_HELP, description=UPDATE_HELP))


def add_beds(parser: argparse.ArgumentParser) -> None:
    _add_gateway(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    meanings = {
        "add": "a new, vacant bed",
        "admit": "a patient comes: a new stay begins",
        "discharge": "the patient leaves: the stay ends, and no one else sees its data",
        "standby": "the patient is away: nothing alarms",
        "resume": "the patient is back",
    }
    for action, meaning in meanings.items():
        actions.add_parser(action, help=meaning, description=meaning).add_argument("bed")
    assign = actions.add_parser("assign", help="a sensor watches this bed from now on")
    assign.add_argument("sensor", help="its name, as in ECG-0000002A")
    assign.add_argument("bed")
    _add_limits(actions.add_parser("limits", help=LIMITS_HELP, description=LIMITS_HELP))
    release = actions.add_parser("release", help="a sensor watches no bed any more")
    release.add_argument("sensor", help="its name, as in ECG-0000002A")


def _add_limits(limits: argparse.ArgumentParser) -> None:
    limits.add_argument("bed")
    meanings = {
        "rate_low": ("BPM", "bradycardia is a heart rate below this"),
        "rate_high": ("BPM", "tachycardia is one above this"),
        "extreme_low": ("BPM", "extreme bradycardia, a high alarm"),
        "extreme_high": ("BPM", "extreme tachycardia, a high alarm"),
        "asystole": ("SECONDS", "without a beat are an asystole"),
        "pause": ("SECONDS", "between two beats are a pause"),
        "ventricular_beats": ("PER_MINUTE", "that are frequent"),
        "burden": ("PERCENT", "abnormal beats in a minute that call somebody"),
    }
    for name, (unit, meaning) in meanings.items():
        option = f"--{name.replace('_', '-')}"
        limits.add_argument(option, type=float, metavar=unit, help=meaning)
    limits.add_argument("--reset", action="store_true", help="the house's limits apply again")


def add_alarms(parser: argparse.ArgumentParser) -> None:
    _add_gateway(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    acknowledge = actions.add_parser("acknowledge", help="somebody has seen it and sees to it")
    acknowledge.add_argument("bed")
    acknowledge.add_argument("kind", nargs="?", help="of the alarm; otherwise all of the bed")
    pause = actions.add_parser("pause", help="silence what sounds; a new lethal alarm sounds anew")
    pause.add_argument("bed", nargs="?", help="otherwise all beds")
    pause.add_argument("--seconds", type=float, default=120.0, help="120 at most; 0 ends it")


def run(arguments: argparse.Namespace) -> int:
    """Ask for `command [action]`, with what else was given."""
    state_directory = arguments.state_directory or load_config(arguments.config).state_directory
    action = getattr(arguments, "action", None)
    command = arguments.command if action is None else f"{arguments.command} {action}"
    asked = {name: value for name, value in vars(arguments).items() if name in ASKED}
    if action == "retire" and not arguments.yes and not _confirmed(arguments.sensor):
        print("ecg-gateway: nothing has changed", file=sys.stderr)
        return 1
    try:
        answer = ask(state_directory, command, **asked)
    except ControlRefused as refused:
        print(f"ecg-gateway: {refused}", file=sys.stderr)
        return 1
    _print(command, answer, arguments.json)
    return 0


def _confirmed(sensor: str) -> bool:
    print(RETIRED)
    print(f'Type "{sensor}" to retire it: ', end="", flush=True)
    return sys.stdin.readline().strip() == sensor


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="of the gateway")
    parser.add_argument("--state-directory", type=Path, help="of the gateway, instead of --config")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def _print(command: str, answer: Json, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer))
    elif isinstance(answer, list):
        print(_table(answer) if answer else f"no {command}")
    elif command == "alarms acknowledge":
        print(f"{answer} acknowledged")
    elif command == "alarms pause" and isinstance(answer, int | float):
        print(f"silent until {time.strftime('%H:%M:%S', time.localtime(answer))}")
    else:
        print(answer if isinstance(answer, str) else "done")


def _table(rows: Sequence[Json]) -> str:
    objects = [row for row in rows if isinstance(row, dict)]
    lines = [list(objects[0])] + [[_cell(*pair) for pair in row.items()] for row in objects]
    return text_table(lines)


def _cell(name: str, value: Json) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in ("onset_s", "raised_s") and isinstance(value, int | float):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
    return str(value)
