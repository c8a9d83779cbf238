"""AWS IoT's credentials provider with mutual TLS, SNS, and a clinic's HTTP proxy, on loopback."""

from __future__ import annotations

import datetime
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cloud_sync.config import TlsFiles

ROLE_ALIAS = "ecg-gateway"
LIFE_S = 3600


class Service(ThreadingHTTPServer):
    """Remembers what it was asked: (path, headers, body)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, _request: Any, _address: Any) -> None:
        """A client whose certificate was refused is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *_: Any) -> None:
        pass

    def take(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers, body))
        return body

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class CredentialsHandler(_Handler):
    def do_GET(self) -> None:
        self.take()
        if self.path != f"/role-aliases/{ROLE_ALIAS}/credentials":
            self.answer(404, b'{"message": "Role alias does not exist"}')
            return
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=LIFE_S)
        credentials = {
            "accessKeyId": "ASIAEXAMPLE",
            "secretAccessKey": "secret",
            "sessionToken": "token",
            "expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.answer(200, json.dumps({"credentials": credentials}).encode())


class SnsHandler(_Handler):
    def do_POST(self) -> None:
        form = parse_qs(self.take().decode())
        if "Credential=ASIAEXAMPLE/" not in self.headers.get("Authorization", ""):
            self.answer(403, b"<ErrorResponse>SignatureDoesNotMatch</ErrorResponse>")
        elif form["Action"] == ["Publish"]:
            self.answer(200, b"<PublishResponse/>")


class ProxyHandler(_Handler):
    """Opens tunnels and nothing else."""

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, {}, b""))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            near = self.connection
            while True:
                readable, _, _ = select.select([near, far], [], [], 30)
                for side in readable:
                    chunk = side.recv(65536)
                    if not chunk:
                        return
                    (far if side is near else near).sendall(chunk)


def mutual_tls(files: TlsFiles) -> ssl.SSLContext:
    """A server that asks for a certificate of the same authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[Service]:
    service = Service(handler, tls)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        thread.join()
        service.server_close()
