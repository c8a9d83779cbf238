"""The command line: each command adds its arguments and gives back what runs it.

Only the chosen command's modules are imported, so that `check-config` needs no numpy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway import __version__, ward_commands
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


def _demo(parser: argparse.ArgumentParser) -> Run:
    from gateway import demo

    demo.add_arguments(parser)
    return demo.run


def _analyse(parser: argparse.ArgumentParser) -> Run:
    from gateway import analyse

    analyse.add_arguments(parser)
    return analyse.run


def _pair(parser: argparse.ArgumentParser) -> Run:
    from gateway import pair

    pair.add_arguments(parser)
    return pair.run


def _label(parser: argparse.ArgumentParser) -> Run:
    from gateway import label

    label.add_arguments(parser)
    return label.run


def _model(parser: argparse.ArgumentParser) -> Run:
    from gateway import model_commands

    model_commands.add_arguments(parser)
    return model_commands.run


def _backup(parser: argparse.ArgumentParser) -> Run:
    from gateway import backup_commands

    backup_commands.add_backup(parser)
    return backup_commands.run


def _restore(parser: argparse.ArgumentParser) -> Run:
    from gateway import backup_commands

    backup_commands.add_restore(parser)
    return backup_commands.run


def _doctor(parser: argparse.ArgumentParser) -> Run:
    from gateway import doctor

    doctor.add_arguments(parser)
    return doctor.run


def _prepare_upgrade(parser: argparse.ArgumentParser) -> Run:
    from gateway import prepare_upgrade

    prepare_upgrade.add_arguments(parser)
    return prepare_upgrade.run


def _ward(add_arguments: Callable[[argparse.ArgumentParser], None]) -> Build:
    def build(parser: argparse.ArgumentParser) -> Run:
        add_arguments(parser)
        return ward_commands.run

    return build


COMMANDS: dict[str, tuple[str, Build]] = {
    "run": ("run the gateway; the unit's way, or in a terminal until Ctrl-C", _run),
    "demo": ("run the gateway with virtual sensors on this machine", _demo),
    "analyse": ("find beats, rhythm and alarms in WFDB records, as fast as it goes", _analyse),
    "pair": ("put a sensor's root key into the keyring", _pair),
    "label": ("make the QR code with a sensor's pairing secret", _label),
    "sensors": ("list the running gateway's sensors", _ward(ward_commands.add_sensors)),
    "beds": (
        "list beds; add, admit, discharge, standby, resume, assign, release",
        _ward(ward_commands.add_beds),
    ),
    "alarms": (
        "list open alarms; acknowledge them or pause their sound",
        _ward(ward_commands.add_alarms),
    ),
    "model": ("show, verify, install or roll back the beat classifier", _model),
    "backup": ("write all that is stored into one encrypted file, while the gateway runs", _backup),
    "restore": ("put a backup in place of what is stored, which is kept aside", _restore),
    "doctor": ("check adapter, clock, disk, keys and model, and say what to do", _doctor),
    "prepare-upgrade": (
        "copy the database, unless an alarm calls; the package asks",
        _prepare_upgrade,
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
