"""`ecg-gateway backup | restore`: the passphrase is asked for, or read from a file."""

from __future__ import annotations

import argparse
import getpass
import os
import socket
import sys
from pathlib import Path

from gateway.config_file import DEFAULT_PATH, load_config
from gateway.control.socket import SOCKET_NAME
from gateway.store import backup
from gateway.store.backup import BackupRefused

CREDENTIAL = "backup-passphrase"  # systemd's, for a timer that backs up at night
SHORTEST_PASSPHRASE = 12
_MEGABYTE = 1_000_000


def add_backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup; must not exist")
    parser.add_argument("--verify", action="store_true", help="read it again when it is written")
    parser.add_argument(
        "--without-waveforms",
        action="store_true",
        help="beats, alarms and minutes alone",
    )
    _add_common(parser)


def add_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the backup")
    parser.add_argument("--check", action="store_true", help="read and check it; change nothing")
    parser.add_argument(
        "--undo", action="store_true", help="bring back the state of before the last restore"
    )
    _add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Gives the exit code: 0 done, 1 it could not be done, with the reason on stderr."""
    action = _back_up if arguments.command == "backup" else _restore
    try:
        action(arguments)
    except (BackupRefused, OSError) as error:
        print(f"ecg-gateway {arguments.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)
    parser.add_argument("--state-directory", type=Path, help="instead of the configuration's")
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        help=f'its first line; without it, systemd\'s credential "{CREDENTIAL}", or a prompt',
    )


def _back_up(arguments: argparse.Namespace) -> None:
    passphrase = _passphrase(arguments.passphrase_file, anew=True)
    database, with_waveforms = _database(arguments), not arguments.without_waveforms
    backup.back_up(database, arguments.file, passphrase, with_waveforms, _progress)
    if arguments.verify:
        backup.check(arguments.file, passphrase, _progress)
    megabytes = arguments.file.stat().st_size / _MEGABYTE
    checked = ", read again and found whole" if arguments.verify else ""
    print(f"{arguments.file}: {megabytes:.1f} MB{checked}")


def _restore(arguments: argparse.Namespace) -> None:
    database = _database(arguments)
    if arguments.undo:
        _refuse_while_running(database.parent)
        print(f"done; what had been restored is in {backup.undo_restore(database)}")
        return
    if arguments.file is None:
        raise BackupRefused("which FILE?")
    if not arguments.check:
        _refuse_while_running(database.parent)
    passphrase = _passphrase(arguments.passphrase_file, anew=False)
    if arguments.check:
        backup.check(arguments.file, passphrase, _progress)
        print(f"{arguments.file} is whole")
    else:
        aside = backup.restore(arguments.file, database, passphrase, _progress)
        print(f"restored; the state of before is in {aside}, `restore --undo` brings it back")


def _database(arguments: argparse.Namespace) -> Path:
    config = load_config(arguments.config)
    directory: Path = arguments.state_directory or config.state_directory
    return directory / config.store.path


def _refuse_while_running(state_directory: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(state_directory / SOCKET_NAME))
        except (FileNotFoundError, ConnectionRefusedError):
            return
    raise BackupRefused("the gateway is running; stop it first: systemctl stop ecg-gateway")


def _passphrase(file: Path | None, anew: bool) -> str:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if file is None and credentials is not None and (Path(credentials) / CREDENTIAL).exists():
        file = Path(credentials) / CREDENTIAL
    if file is not None:
        passphrase = file.read_text().partition("\n")[0]
    else:
        passphrase = getpass.getpass("Passphrase: ")
        if anew and getpass.getpass("Once more: ") != passphrase:
            raise BackupRefused("the two passphrases differ")
    if anew and len(passphrase) < SHORTEST_PASSPHRASE:
        raise BackupRefused(f"a passphrase has {SHORTEST_PASSPHRASE} characters or more")
    return passphrase


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\r" if done < total else "\n"
        print(f"{done / _MEGABYTE:.0f} of {total / _MEGABYTE:.0f} MB", end=end, file=sys.stderr)
