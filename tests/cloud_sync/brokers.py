"""A real mosquitto with mutual TLS, its certificates, a subscriber, and brokers that misbehave."""

from __future__ import annotations

import asyncio
import datetime
import getpass
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from cloud_sync.config import TlsFiles

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Authority:
    """A certificate authority of the test's own; every file lies in `directory`."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            self._unsigned(subject, subject, self._key.public_key(), NOW + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = self._write(f"{name}.crt", self._certificate)

    def issue(
        self, name: str, host: str = "localhost", valid_until: datetime.datetime = NOW + DAY
    ) -> TlsFiles:
        """PEM files of a certificate for `host`, and this authority's own."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._unsigned(subject, self._certificate.subject, key.public_key(), valid_until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return TlsFiles(
            self.ca,
            self._write(f"{self._name}-{name}.crt", certificate),
            self._write(f"{self._name}-{name}.key", key),
        )

    def sign(self, request: x509.CertificateSigningRequest) -> x509.Certificate:
        """The certificate that somebody else's key asks for."""
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        issuer = self._certificate.subject
        unsigned = self._unsigned(request.subject, issuer, key, NOW + DAY)
        return unsigned.sign(self._key, hashes.SHA256())

    def revoke(self, files: TlsFiles) -> Path:
        """A list of revoked certificates with this one alone."""
        revoked = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(revoked.serial_number)
            .revocation_date(NOW - DAY)
            .build()
        )
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(NOW - DAY)
            .next_update(NOW + DAY)
            .add_revoked_certificate(entry)
            .sign(self._key, hashes.SHA256())
        )
        path = self._directory / f"{self._name}.crl"
        path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        return path

    @staticmethod
    def _unsigned(
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePublicKey,
        valid_until: datetime.datetime,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(valid_until)
        )

    def _write(self, name: str, item: x509.Certificate | ec.EllipticCurvePrivateKey) -> Path:
        path = self._directory / name
        if isinstance(item, x509.Certificate):
            path.write_bytes(item.public_bytes(serialization.Encoding.PEM))
        else:
            path.write_bytes(
                item.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        return path


@dataclass
class Mosquitto:
    """One broker: TLS with client certificates for us, plain for the test's own subscriber."""

    directory: Path
    server: TlsFiles
    options: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.port = free_port()
        self.plain_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.directory / "mosquitto.conf"
        config.write_text(
            "\n".join(
                [
                    "per_listener_settings false",
                    "allow_anonymous true",
                    f"user {getpass.getuser()}",  # started as root it would become another
                    f"listener {self.plain_port} 127.0.0.1",
                    f"listener {self.port} 127.0.0.1",
                    f"cafile {self.server.ca}",
                    f"certfile {self.server.certificate}",
                    f"keyfile {self.server.key}",
                    "require_certificate true",
                    *self.options,
                ]
            )
        )
        self._process = subprocess.Popen(
            [str(MOSQUITTO), "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: accepts(self.plain_port) and accepts(self.port))

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


class Subscriber:
    """Everything that the broker passes on, in order. QoS 0: it never has to answer."""

    def __init__(self, port: int) -> None:
        self.messages: list[dict[str, object]] = []
        self.topics: list[str] = []
        self.statuses: list[dict[str, object]] = []
        self._subscribed = threading.Event()
        self._ended = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self._client.on_disconnect = lambda *_: self._ended.set()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _userdata, message: self._take(message)
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("ecg/#", qos=0)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    @property
    def ids(self) -> list[object]:
        return [message["id"] for message in self.messages]

    def read_to_the_end(self) -> None:
        """Once the broker is dead: what it had sent is still to be read."""
        assert self._ended.wait(10)
        self.close()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, message: MQTTMessage) -> None:
        if message.topic.endswith("/status"):
            self.statuses.append(json.loads(message.payload))
            return
        self.topics.append(message.topic)
        self.messages.append(json.loads(message.payload))


@asynccontextmanager
async def broker_that(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """The port of a server that treats each connection as `behave` says, then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One MQTT control packet: its first byte, and what follows the remaining length."""
    (kind,) = await reader.readexactly(1)
    length = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind, await reader.readexactly(length)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
