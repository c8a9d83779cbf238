"""The served page, over a real socket."""

from __future__ import annotations

import gc
import json
import socket
import time
import urllib.request
from urllib.parse import urlsplit

import pytest
from flask import Flask

from gateway.config import DashboardConfig
from gateway.dashboard.server import DashboardServer, ListenAddressRefused
from tests.dashboard.fake_ward import FakeHeart, FakeWard


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


def test_it_stops_promptly_under_an_open_stream() -> None:
    ward = FakeWard()
    with ward:
        ward.add_bed(FakeHeart(72))
        address = urlsplit(ward.server.url)
        browser = socket.create_connection((address.hostname, address.port))
        browser.sendall(f"GET /stream HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        assert browser.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
    assert time.monotonic() - began < 3
    browser.close()
