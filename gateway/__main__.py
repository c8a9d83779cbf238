"""The command line: each command adds its arguments and gives back what runs it.

Only the chosen command's modules are imported, so that `check-config` needs no numpy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from gateway import __version__
from gateway.config_file import DEFAULT_PATH, ConfigError, load_config

OK = 0
FAILURE = 1
USAGE = 2
CONFIG = 78  # EX_CONFIG of sysexits.h; the unit does not restart on it

EXIT_CODES = f"""\
exit codes:
  {OK:<3} done
  {FAILURE:<3} it could not be done; the reason is on stderr
  {USAGE:<3} wrong arguments
  {CONFIG:<3} wrong configuration; every fault of the file is on stderr
"""

Run = Callable[[argparse.Namespace], int]
Build = Callable[[argparse.ArgumentParser], Run]


def _check_config(parser: argparse.ArgumentParser) -> Run:
    parser.add_argument("file", type=Path, nargs="?", default=DEFAULT_PATH, metavar="FILE")

    def run(arguments: argparse.Namespace) -> int:
        load_config(arguments.file)
        print("ok")
        return OK

    return run


def _run(parser: argparse.ArgumentParser) -> Run:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)

    def run(arguments: argparse.Namespace) -> int:
        from gateway.start import run_daemon

        return run_daemon(load_config(arguments.config))

    return run


def _of(module: str, add_arguments: str = "add_arguments") -> Build:
    """A command of `gateway.commands.<module>`: that function adds its arguments, `run` runs it."""

    def build(parser: argparse.ArgumentParser) -> Run:
        command = import_module(f"gateway.commands.{module}")
        getattr(command, add_arguments)(parser)
        run: Run = command.run
        return run

    return build


COMMANDS: dict[str, tuple[str, Build]] = {
    "run": ("run the gateway; the unit's way, or in a terminal until Ctrl-C", _run),
    "demo": ("run the gateway with virtual sensors on this machine", _of("demo")),
    "analyse": (
        "find beats, rhythm and alarms in WFDB records, as fast as it goes",
        _of("analyse"),
    ),
    "pair": ("pair a sensor by the text of its label's QR code", _of("pair")),
    "label": ("make the QR code with a sensor's pairing secret", _of("label")),
    "keys": ("print the sensors' root keys, for a pipe into their escrow", _of("keys")),
    "sensors": (
        "list the running gateway's sensors; rotate-key, retire, update",
        _of("ward", "add_sensors"),
    ),
    "beds": (
        "list beds; add, admit, discharge, standby, resume, assign, release",
        _of("ward", "add_beds"),
    ),
    "alarms": (
        "list open alarms; acknowledge them or pause their sound",
        _of("ward", "add_alarms"),
    ),
    "model": (
        "show, verify, install or roll back the beat classifier",
        _of("model"),
    ),
    "backup": (
        "write all that is stored into one encrypted file, while the gateway runs",
        _of("backup", "add_backup"),
    ),
    "restore": (
        "put a backup in place of what is stored, which is kept aside",
        _of("backup", "add_restore"),
    ),
    "doctor": ("check adapter, clock, disk, keys and model, and say what to do", _of("doctor")),
    "prepare-upgrade": (
        "copy the database, unless an alarm calls; the package asks",
        _of("prepare_upgrade"),
    ),
    "check-config": (f"check a configuration file ({DEFAULT_PATH})", _check_config),
}


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(
        prog="ecg-gateway",
        description="A bedside ECG gateway. Not a certified medical device.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (meaning, build) in COMMANDS.items():
        command = subparsers.add_parser(name, help=meaning, description=meaning)
        if argv[:1] == [name]:
            command.set_defaults(run=build(command))
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return CONFIG


if __name__ == "__main__":
    sys.exit(main())
