"""One HTTPS request at a time, through the clinic's proxy where there is one. It blocks."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from cloud_sync.config import Proxy
from cloud_sync.traffic import FAILED_HANDSHAKE_BYTES, wire_bytes

TIMEOUT_S = 10.0  # for each step; an alarm that waits is tried again
MAX_ANSWER_BYTES = 64 * 1024  # credentials and SNS answer with 2 KB


class RequestFailed(Exception):
    """No answer, or one that says no; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Https:
    """`tls` is None only for a server on this machine. `spent` is told the wire's bytes."""

    tls: ssl.SSLContext | None
    proxy: Proxy | None
    spent: Callable[[int], None]

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> bytes:
        """The body of a 200; raises RequestFailed for anything else."""
        host = urlsplit(url).netloc
        connection = self._connection(url)
        try:
            connection.connect()
            with socket.socket(fileno=os.dup(connection.sock.fileno())) as meter:
                connection.request(method, _target(url), body, dict(headers))
                response = connection.getresponse()
                answer = response.read(MAX_ANSWER_BYTES)
                self.spent(wire_bytes(meter))  # an answer that is read may have closed its socket
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLError):
                self.spent(FAILED_HANDSHAKE_BYTES)
            raise RequestFailed(f"{host}: {error}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            words = answer[:300].decode("utf-8", "replace")
            raise RequestFailed(f"{host} answers {response.status}: {words}")
        return answer

    def _connection(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        assert parts.hostname is not None, "the configuration was checked"
        at, port = parts.hostname, parts.port
        if self.proxy is not None:
            at, port = self.proxy.host, self.proxy.port
        connection: http.client.HTTPConnection
        if self.tls is None:
            connection = http.client.HTTPConnection(at, port, timeout=TIMEOUT_S)
        else:
            connection = http.client.HTTPSConnection(at, port, timeout=TIMEOUT_S, context=self.tls)
        if self.proxy is not None:
            connection.set_tunnel(parts.hostname, parts.port)
        return connection


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
