"""The served page, over a real socket."""

from __future__ import annotations

import gc
import json
import socket
import time
import urllib.request
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from flask import Flask

from gateway.config import DashboardConfig, ListenAddressRefused
from gateway.dashboard.server import DashboardServer
from gateway.dashboard.stream import MAX_STREAMS
from tests.dashboard.fake_ward import FakeHeart, FakeWard

FRAMES_OF_MINUTES = 400  # half a megabyte: more than one socket should hold


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "ward.local", ""])
def test_any_address_beyond_loopback_is_refused(host: str) -> None:
    with pytest.raises(ListenAddressRefused, match="sign-in and TLS") as refusal:
        DashboardServer(DashboardConfig(host=host, port=0), Flask("page"))
    assert refusal.value.host == host


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_taken_port_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = DashboardConfig(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            DashboardServer(config, Flask("page"))
    gc.collect()  # cheroot leaves the socket that it could not bind to the garbage collector


def test_health_over_a_socket() -> None:
    with FakeWard() as ward, urllib.request.urlopen(ward.server.url + "healthz") as answer:
        assert json.load(answer)["status"] == "ok"
        assert answer.headers["Server"] == "ecg-gateway"


def open_stream(ward: FakeWard) -> socket.socket:
    """A browser that has asked for the stream and has read nothing yet."""
    address = urlsplit(ward.server.url)
    browser = socket.socket()
    browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    browser.connect((address.hostname, address.port))
    browser.sendall(f"GET /stream HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    return browser


def ask(ward: FakeWard) -> bytes:
    with open_stream(ward) as newcomer:
        return newcomer.recv(12)


def test_a_browser_that_reads_nothing_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dashboard.server.SOCKET_TIMEOUT_S", 0.2)
    with FakeWard() as ward, ExitStack() as sleepers:
        bed = ward.add_bed(FakeHeart(72))
        for _ in range(MAX_STREAMS):
            sleeper = sleepers.enter_context(open_stream(ward))
            assert sleeper.recv(12) == b"HTTP/1.1 200"
        assert ask(ward) == b"HTTP/1.1 503"
        for _ in range(FRAMES_OF_MINUTES):
            bed.send_frame(time.time())
        deadline = time.monotonic() + 10
        while (answer := ask(ward)) != b"HTTP/1.1 200":
            assert time.monotonic() < deadline, answer


def test_it_stops_promptly_under_an_open_stream() -> None:
    ward = FakeWard()
    with ward:
        ward.add_bed(FakeHeart(72))
        browser = open_stream(ward)
        assert browser.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
    assert time.monotonic() - began < 3
    browser.close()
