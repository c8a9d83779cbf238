from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.watchdog import ALIVE, READY, Heartbeats, keep_alive, sd_notify, watchdog_interval_s


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The socket on which systemd would listen; both kinds of address."""
    name = f"@ecg-gateway-test-{os.getpid()}"
    address = str(tmp_path / "notify") if request.param == "path" else name
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        listener.setblocking(False)
        yield listener


def test_notifications_reach_systemd(systemd: socket.socket) -> None:
    assert sd_notify(READY)
    assert systemd.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_sent() -> None:
    assert not sd_notify(READY, {})


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval_s: float | None) -> None:
    assert watchdog_interval_s(environ) == interval_s


def test_a_stage_is_late_after_its_time_and_recovers() -> None:
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.expect("recorder", every_s=10)
    heartbeats.expect("radio", every_s=20)
    clock.now_s += 10
    assert heartbeats.late() == []
    clock.now_s += 0.1
    assert heartbeats.late() == ["recorder"]
    heartbeats.beat("recorder")
    assert heartbeats.late() == []


def test_an_unknown_stage_cannot_beat() -> None:
    with pytest.raises(KeyError, match="recorder"):
        Heartbeats().beat("recorder")


def run_for_a_moment(heartbeats: Heartbeats) -> None:
    async def run() -> None:
        task = asyncio.create_task(keep_alive(heartbeats, interval_s=60))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())


def test_systemd_hears_from_a_daemon_that_is_alive(systemd: socket.socket) -> None:
    run_for_a_moment(Heartbeats())
    assert systemd.recv(100) == ALIVE.encode()


def test_systemd_hears_nothing_while_a_stage_is_late(
    systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.expect("recorder", every_s=10)
    clock.now_s += 11
    run_for_a_moment(heartbeats)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    assert caplog.records[0].stages == ["recorder"]
