"""ecg-cloud-sync run | status | provision | renew: takes the gateway's outbox to an MQTT broker."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import random
import signal
import sqlite3
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cloud_sync.backoff import delays
from cloud_sync.config import CloudSyncConfig, ConfigError, load_config
from cloud_sync.delivered import DeliveryLog, Outcome
from cloud_sync.mqtt import MqttPublisher
from cloud_sync.ports import Lane, Outbox, OutboxRow, OutboxVersion
from cloud_sync.provision_command import add_commands
from cloud_sync.sd_notify import sd_notify
from cloud_sync.tls import tls_context
from cloud_sync.uploader import Uploader
from gateway.store.outbox import Lane as GatewayLane
from gateway.store.outbox import OutboxReader

EX_OK = 0
EX_SOFTWARE = 70  # sysexits.h: our own fault
EX_TEMPFAIL = 75  # sysexits.h: another instance runs
EX_CONFIG = 78  # sysexits.h; systemd does not restart on it
PRIMARY_CODE = 0xFF  # SQLite's extended result codes hold the primary one in the low byte
DELIVERED_FILE = "delivered.sqlite3"
DEFAULT_CONFIG = Path("/etc/ecg-gateway/cloud-sync.toml")
STATUS_PAGE = 500  # rows that `status` holds at a time
STATUS_REFUSED = 10  # refused messages that `status` names

_log = logging.getLogger("cloud_sync")


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


def run(config: CloudSyncConfig) -> int:
    """Upload until SIGTERM or SIGINT."""
    tls = None if config.mqtt.tls is None else tls_context(config.mqtt.tls)
    _make_state_directory(config.state_directory)
    with (
        single_instance(config.state_directory / "lock"),
        closing(DeliveryLog(config.state_directory / DELIVERED_FILE)) as delivery_log,
        closing(GatewayOutbox(config.outbox)) as outbox,
    ):
        asyncio.run(_upload(config, tls, outbox, delivery_log))
    return EX_OK


async def _upload(
    config: CloudSyncConfig,
    tls: ssl.SSLContext | None,
    outbox: Outbox,
    delivery_log: DeliveryLog,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_process)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    publisher = MqttPublisher(config.mqtt, f"ecg-{config.gateway_id}", tls)
    uploader = Uploader(
        config.gateway_id,
        outbox,
        publisher,
        delivery_log,
        new_backoff=lambda: delays(random.random),
        monotonic=time.monotonic,
        unix_time=time.time,
    )
    sd_notify(os.environ, "READY=1")
    broker = config.mqtt
    _log.info("started gateway=%s broker=%s:%s", config.gateway_id, broker.host, broker.port)
    try:
        await uploader.run(stop, lambda: sd_notify(os.environ, "WATCHDOG=1"))
    finally:
        sd_notify(os.environ, "STOPPING=1")
        await publisher.close()
    _log.info("stopped")


def _end_process(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A fault of our own in a callback: systemd starts us again, from what is on disk."""
    _log.critical("%s", context["message"], exc_info=context.get("exception"))
    os._exit(EX_SOFTWARE)


def status(config: CloudSyncConfig) -> int:
    """Print what waits, what was delivered, and what was set aside and why."""
    log_file = config.state_directory / DELIVERED_FILE
    if not log_file.exists():
        print(f"{log_file} is not there: nothing was delivered yet")
        return EX_OK
    with (
        closing(DeliveryLog(log_file)) as delivery_log,
        closing(GatewayOutbox(config.outbox)) as outbox,
    ):
        if outbox.version() is None:
            print(
                f"{config.outbox} is not open: the gateway does not run, its rows are not counted"
            )
        print(f"{'lane':10}{'waiting':>9}{'oldest':>10}{'delivered':>11}{'set aside':>11}")
        for lane in Lane:
            waiting = list(_waiting(lane, outbox, delivery_log))
            oldest = f"{time.time() - min(waiting):.0f} s" if waiting else "—"
            delivered = delivery_log.count(lane, Outcome.DELIVERED)
            refused = delivery_log.count(lane, Outcome.REFUSED)
            print(f"{lane:10}{len(waiting):9}{oldest:>10}{delivered:11}{refused:11}")
        for end in delivery_log.refused(STATUS_REFUSED):
            print(f"set aside: {end.lane} {end.message_id}: {end.reason}")
    return EX_OK


def _waiting(lane: Lane, outbox: Outbox, delivery_log: DeliveryLog) -> Iterator[float]:
    """When each row that is neither delivered nor set aside was made, in Unix time."""
    after_id = 0
    while rows := outbox.pending(lane, after_id, STATUS_PAGE):
        after_id = rows[-1].id
        settled = delivery_log.settled(row.message_id for row in rows)
        yield from (row.created_s for row in rows if row.message_id not in settled)


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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="ecg-cloud-sync", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command in (run, status):
        subparser = commands.add_parser(command.__name__, help=command.__doc__)
        subparser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
        subparser.set_defaults(command=command, perform=None)
    add_commands(commands)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        if chosen.perform is not None:
            return int(chosen.perform(chosen))
        config = load_config(chosen.config)
        return int(chosen.command(config))
    except ConfigError as error:
        print(f"ecg-cloud-sync: {error}", file=sys.stderr)
        return EX_CONFIG
    except AnotherInstance as error:
        print(f"ecg-cloud-sync: {error}", file=sys.stderr)
        return EX_TEMPFAIL


if __name__ == "__main__":
    sys.exit(main())
