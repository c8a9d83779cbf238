"""`ecg-cloud-sync` as systemd runs it, on a gateway's real database and against mosquitto."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud_sync.__main__ import GatewayOutbox, main, single_instance
from cloud_sync.lanes import Lane
from cloud_sync.uploader import MAX_IN_FLIGHT
from gateway.store.database import open_store, writer_engine
from gateway.store.outbox import Lane as GatewayLane
from gateway.store.outbox import outbox_values
from gateway.store.schema import outbox
from tests.cloud_sync.brokers import Authority, Mosquitto, Subscriber, wait_until


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Engine]:
    """A gateway's database, open for writing as in a running gateway."""
    path = tmp_path / "gateway.sqlite3"
    open_store(path)
    engine = writer_engine(path)
    with engine.connect():
        yield engine
    engine.dispose()


def commit(gateway: Engine, lane: GatewayLane, first: int, count: int) -> None:
    with gateway.begin() as transaction:
        for number in range(first, first + count):
            row = outbox_values(lane, "test", "ward-3", 1.0, {"number": number, "lane": lane})
            transaction.execute(outbox.insert(), row)


@pytest.fixture
def config_file(broker: Mosquitto, authority: Authority, tmp_path: Path) -> Path:
    ours = authority.issue("ward-3")
    path = tmp_path / "cloud-sync.toml"
    path.write_text(
        'gateway_id = "ward-3"\n'
        f'outbox = "{tmp_path}/gateway.sqlite3"\n'
        f'state_directory = "{tmp_path}/state"\n'
        "[mqtt]\n"
        'host = "localhost"\n'
        f"port = {broker.port}\n"
        f'ca_file = "{ours.ca}"\n'
        f'certificate_file = "{ours.certificate}"\n'
        f'key_file = "{ours.key}"\n'
    )
    return path


@contextmanager
def daemon(config_file: Path, notify_socket: str = "") -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cloud_sync", "run", "--config", str(config_file)],
        env={**os.environ, "NOTIFY_SOCKET": notify_socket},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def terminate(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(10)


@pytest.mark.broker
def test_restarts_send_nothing_twice(
    gateway: Engine,
    config_file: Path,
    subscriber: Subscriber,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commit(gateway, GatewayLane.SUMMARY, 0, 40)
    commit(gateway, GatewayLane.ALARM, 40, 1)
    with daemon(config_file) as process:
        wait_until(lambda: len(subscriber.messages) == 41)
        assert subscriber.topics[0] == "ecg/ward-3/alarm"
        assert terminate(process) == 0
    with daemon(config_file) as process:
        commit(gateway, GatewayLane.ALARM, 41, 1)
        wait_until(lambda: len(subscriber.messages) == 42)
        commit(gateway, GatewayLane.ALARM, 42, 1)  # noticed while it runs
        wait_until(lambda: len(subscriber.messages) == 43)
        assert terminate(process) == 0
    assert len(set(subscriber.ids)) == 43
    assert main(["status", "--config", str(config_file)]) == 0
    words = capsys.readouterr().out.split()
    assert words[words.index("alarm") :][:5] == ["alarm", "0", "—", "3", "0"]


@pytest.mark.broker
def test_a_kill_repeats_only_what_was_not_acknowledged(
    gateway: Engine, config_file: Path, subscriber: Subscriber
) -> None:
    commit(gateway, GatewayLane.SUMMARY, 0, 300)
    with daemon(config_file) as process:
        wait_until(lambda: len(subscriber.messages) >= 60)
        process.kill()
    with daemon(config_file) as process:
        wait_until(lambda: len(set(subscriber.ids)) == 300)
        assert terminate(process) == 0
    assert len(subscriber.ids) <= 300 + MAX_IN_FLIGHT


@pytest.mark.broker
def test_speaks_to_systemd(gateway: Engine, config_file: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        with daemon(config_file, str(tmp_path / "notify")) as process:
            assert [systemd.recv(99), systemd.recv(99)] == [b"READY=1", b"WATCHDOG=1"]
            assert terminate(process) == 0
        said = b"WATCHDOG=1"
        while said == b"WATCHDOG=1":
            said = systemd.recv(99)
        assert said == b"STOPPING=1"


def test_a_second_instance_is_turned_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config_file = tmp_path / "cloud-sync.toml"
    config_file.write_text(
        f'gateway_id = "ward-3"\nstate_directory = "{tmp_path}"\n'
        '[mqtt]\nhost = "localhost"\ntls = false\n'
    )
    with single_instance(tmp_path / "lock"):
        assert main(["run", "--config", str(config_file)]) == 75
    assert "runs already" in capsys.readouterr().err


def test_the_outbox_tells_a_commit_and_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite3"
    reader = GatewayOutbox(path)
    assert reader.version() is None
    open_store(path)
    engine = writer_engine(path)
    with engine.connect():
        quiet = reader.version()
        assert quiet is not None
        assert reader.version() == quiet
        commit(engine, GatewayLane.ALARM, 0, 2)
        changed = reader.version()
        assert changed != quiet
        assert [row.kind for row in reader.pending(Lane.ALARM, 0, 5)] == ["test"] * 2
        assert reader.pending(Lane.SUMMARY, 0, 5) == []
    engine.dispose()
    (tmp_path / "aside").hardlink_to(path)  # as a damaged file is kept: its inode stays taken
    path.unlink()
    open_store(path)
    engine = writer_engine(path)
    with engine.connect():
        replaced = reader.version()
        assert replaced is not None
        assert changed is not None
        assert replaced.file != changed.file
        assert reader.pending(Lane.ALARM, 0, 5) == []
    engine.dispose()
    reader.close()
