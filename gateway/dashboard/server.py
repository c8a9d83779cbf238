"""Serves the application with cheroot, in threads, on loopback alone."""

from __future__ import annotations

import socket
import threading

from cheroot import wsgi
from flask import Flask

from gateway.config import LOOPBACK_HOSTS, DashboardConfig, ListenAddressRefused
from gateway.dashboard.stream import MAX_STREAMS

REQUEST_THREADS = 4  # for pages and the API, beside a thread for each stream
MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024  # no request has a body
SOCKET_TIMEOUT_S = 10  # a browser that takes nothing for so long is gone
SEND_BUFFER_BYTES = 64 * 1024  # seconds of a ward's stream; the system's own would hold minutes
SHUTDOWN_TIMEOUT_S = 3


class DashboardServer:
    """Binds at once, so that a taken port is an error at start; serves from `start` to `stop`."""

    def __init__(self, config: DashboardConfig, app: Flask) -> None:
        """Raises ListenAddressRefused, or OSError where the address cannot be bound."""
        if config.host not in LOOPBACK_HOSTS:
            raise ListenAddressRefused(config.host)
        self._server = wsgi.Server(
            (config.host, config.port),
            app,
            numthreads=MAX_STREAMS + REQUEST_THREADS,
            server_name="ecg-gateway",
            timeout=SOCKET_TIMEOUT_S,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        self._server.max_request_header_size = MAX_HEADER_BYTES
        self._server.max_request_body_size = MAX_BODY_BYTES
        self._server.prepare()
        listener = self._server.socket
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._thread = threading.Thread(target=self._server.serve, name="dashboard")

    @property
    def url(self) -> str:
        host, port = self._server.bind_addr[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close every connection; call LiveView.close first, so that no stream waits."""
        self._server.stop()
        self._thread.join()
