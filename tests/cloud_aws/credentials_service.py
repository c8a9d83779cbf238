"""AWS IoT's credentials provider, emulated.

Who shows a certificate of our authority gets credentials of the role behind the alias, from moto's
STS and in the service's own shape.
"""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cloud_sync.config import TlsFiles
from tests.cloud_aws.emulated_account import EmulatedAccount

ROLE = "arn:aws:iam::123456789012:role/gateway"


class CredentialsService:
    """`things` are the names that the requests gave."""

    def __init__(self, account: EmulatedAccount, server: TlsFiles, alias: str) -> None:
        self.path = f"/role-aliases/{alias}/credentials"
        self.things: list[str | None] = []
        self._tokens = account.client("sts")
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                thing = self.headers["x-amzn-iot-thingname"]
                service.things.append(thing)
                known = self.path == service.path and thing is not None
                body = service.credentials(thing) if known else b'{"message":"Access Denied"}'
                self.send_response(200 if known else 403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                pass

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.certificate, server.key)
        context.load_verify_locations(server.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.endpoint = f"localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def credentials(self, thing: str) -> bytes:
        made = self._tokens.assume_role(RoleArn=ROLE, RoleSessionName=thing)["Credentials"]
        words = {
            "accessKeyId": made["AccessKeyId"],
            "secretAccessKey": made["SecretAccessKey"],
            "sessionToken": made["SessionToken"],
            "expiration": made["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return json.dumps({"credentials": words}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, _request: Any, _address: Any) -> None:
        """A client without a certificate is turned away in the handshake."""
