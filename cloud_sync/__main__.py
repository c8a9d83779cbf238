"""ecg-cloud-sync run | status | quarantine | provision | renew | escrow: the outbox to a broker."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cloud_sync.config import CloudSyncConfig, load_config
from cloud_sync.daemon import DATABASE_FILE, upload
from cloud_sync.delivered import DeliveryLog
from cloud_sync.escrow_command import escrow
from cloud_sync.lanes import Lane
from cloud_sync.ports import OutboxRow, OutboxVersion
from cloud_sync.provision_command import ENROLMENT_TEMPLATE, add_provision, renew
from cloud_sync.schema import open_database
from cloud_sync.status import road_status, status_json, status_text
from cloud_sync.toml_section import ConfigError
from gateway.store.outbox import Lane as GatewayLane
from gateway.store.outbox import OutboxReader

EX_OK = 0
EX_FAILED = 1
EX_TEMPFAIL = 75  # sysexits.h: another instance runs
EX_CONFIG = 78  # sysexits.h; systemd does not restart on it
PRIMARY_CODE = 0xFF  # SQLite's extended result codes hold the primary one in the low byte
DEFAULT_CONFIG = Path("/etc/ecg-gateway/cloud-sync.toml")
LISTED = 1000  # refused messages that `quarantine list` names


class AnotherInstance(Exception):
    """A second uploader on the same state directory."""


@dataclass(frozen=True, slots=True)
class _OpenOutbox:
    file: int
    watch: sqlite3.Connection
    reader: OutboxReader

    def close(self) -> None:
        self.watch.close()
        self.reader.close()


class GatewayOutbox:
    """The gateway's outbox as the uploader wants it.

    `PRAGMA data_version` tells a commit by another process from shared memory, without reading a
    page: asked once a second, it is cheaper than a watch and, unlike a file's time, exact.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: _OpenOutbox | None = None

    def version(self) -> OutboxVersion | None:
        try:
            opened = self._opened(self._path.stat().st_ino)
            (commit,) = opened.watch.execute("PRAGMA data_version").fetchone()
        except FileNotFoundError:
            return None  # the gateway has never run
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_CANTOPEN:
                raise
            return None  # a WAL database needs its side files, and only the gateway may make them
        return OutboxVersion(opened.file, commit)

    def pending(self, lane: Lane, after_id: int, limit: int) -> Sequence[OutboxRow]:
        if self._open is None:
            return ()
        rows = self._open.reader.pending(GatewayLane(lane), after_id, limit)
        return [
            OutboxRow(row.id, row.message_id, lane, row.kind, row.created_s, row.payload)
            for row in rows
        ]

    def frames(
        self, device: str, boot_id: int, salt: bytes, first: int, last: int
    ) -> Sequence[tuple[int, bytes]]:
        if self._open is None:
            return ()
        return self._open.reader.frames(device, boot_id, salt, first, last)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _opened(self, file: int) -> _OpenOutbox:
        if self._open is None or self._open.file != file:
            self.close()
            uri = f"file:{quote(str(self._path))}?mode=ro"
            self._open = _OpenOutbox(file, sqlite3.connect(uri, uri=True), OutboxReader(self._path))
        return self._open


def run(config: CloudSyncConfig, _options: argparse.Namespace) -> int:
    """Upload until SIGTERM or SIGINT."""
    _make_state_directory(config.state_directory)
    with (
        single_instance(config.state_directory / "lock"),
        closing(GatewayOutbox(config.outbox)) as outbox,
    ):
        asyncio.run(upload(config, outbox))
    return EX_OK


def status(config: CloudSyncConfig, options: argparse.Namespace) -> int:
    """Print what waits, what was delivered, how long the rest will take, and how the link is."""
    with closing(GatewayOutbox(config.outbox)) as outbox:
        told = road_status(config, outbox, time.time())
    print(status_json(told) if options.json else status_text(told))
    return EX_OK


def quarantine(config: CloudSyncConfig, options: argparse.Namespace) -> int:
    """Messages that will never pass as they are: list them, send them again, or give them up."""
    path = config.state_directory / DATABASE_FILE
    if not path.exists():
        print("nothing was ever set aside")
        return EX_OK
    engine = open_database(path)
    try:
        return _quarantine(DeliveryLog(engine), options)
    finally:
        engine.dispose()


def _quarantine(log: DeliveryLog, options: argparse.Namespace) -> int:
    if options.action == "list":
        for end in log.refused(LISTED):
            print(f"{end.message_id}  {end.lane:9} {end.reason}")
        return EX_OK
    if bool(options.ids) == options.all:
        print("ecg-cloud-sync: name messages, or --all", file=sys.stderr)
        return EX_FAILED
    change = log.retry if options.action == "retry" else log.drop
    changed = change(None if options.all else options.ids)
    print(f"{changed} {'will be sent again' if options.action == 'retry' else 'given up'}")
    return EX_OK if changed or options.all else EX_FAILED


def _make_state_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)  # the gateway's group reads there
    except OSError as error:
        raise ConfigError(f'state_directory = "{path}": {error.strerror}') from error


@contextmanager
def single_instance(path: Path) -> Iterator[None]:
    """Two of us would share one client id, and the broker would throw each out in turn."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AnotherInstance(f"{path} is held: ecg-cloud-sync runs already") from error
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ecg-cloud-sync", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command in (run, status, quarantine, renew, escrow):
        subparser = commands.add_parser(command.__name__, help=command.__doc__)
        subparser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
        subparser.set_defaults(command=command, perform=None)
        if command is renew:
            subparser.add_argument("--template", default=ENROLMENT_TEMPLATE)
            ask = subparser.add_mutually_exclusive_group()
            ask.add_argument("--due", action="store_true", help="only tell whether it is: exit 0")
            ask.add_argument("--now", action="store_true", help="whether it is due or not")
        if command is status:
            subparser.add_argument("--json", action="store_true", help="for a program to read")
        if command is quarantine:
            subparser.add_argument("action", choices=("list", "retry", "drop"))
            subparser.add_argument("ids", nargs="*", metavar="ID", help="as `list` names them")
            subparser.add_argument("--all", action="store_true", help="all that were set aside")
    add_provision(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        if chosen.perform is not None:  # before there is a certificate, no configuration is whole
            return int(chosen.perform(chosen))
        config = load_config(chosen.config)
        return int(chosen.command(config, chosen))
    except ConfigError as error:
        print(f"ecg-cloud-sync: {error}", file=sys.stderr)
        return EX_CONFIG
    except AnotherInstance as error:
        print(f"ecg-cloud-sync: {error}", file=sys.stderr)
        return EX_TEMPFAIL


if __name__ == "__main__":
    sys.exit(main())
