"""How a box gets its certificate, and a new one before that ends: AWS IoT's fleet provisioning.

The box makes its key itself and sends a request for a certificate, over a connection with a claim
certificate (a new box) or with its own (renewal). Key and certificate lie in one PEM file, so a
power cut leaves the old pair or the new one, never half of each.
"""

from __future__ import annotations

import json
import os
import queue
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud_sync.certificates import certificate_request, key_pem, new_key, validity

ANSWER_TIMEOUT_S = 20.0  # AWS gives its hook 5 s; the rest is for a slow link
RENEW_BEFORE_S = 30 * 86_400.0
RENEW_AFTER_S = 365 * 86_400.0  # AWS's own certificates last until 2049; a key should not
CREATE = "$aws/certificates/create-from-csr/json"

Words = dict[str, Any]


class ProvisioningFailed(Exception):
    """No certificate; the text says why and what may mend it."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Where to ask, as whom, for what. `code` is empty for a renewal."""

    host: str
    port: int
    client_id: str
    template: str
    gateway_id: str
    code: str = ""


def provision(enrolment: Enrolment, tls: ssl.SSLContext, identity: Path) -> str:
    """Ask for a certificate and write it to `identity` with its key; the thing's name.

    Raises ProvisioningFailed, and then `identity` is as it was.
    """
    key = new_key()
    with _Exchange(enrolment, tls) as exchange:
        request = certificate_request(key, enrolment.gateway_id)
        made = exchange.ask(CREATE, {"certificateSigningRequest": request})
        certificate = _text(made, "certificatePem")
        asked = {
            "certificateOwnershipToken": _text(made, "certificateOwnershipToken"),
            "parameters": {"GatewayId": enrolment.gateway_id, "EnrolmentCode": enrolment.code},
        }
        topic = f"$aws/provisioning-templates/{enrolment.template}/provision/json"
        thing = _text(exchange.ask(topic, asked), "thingName")
    _write_identity(identity, certificate + "\n" + key_pem(key))
    return thing


def is_due(identity: Path, now_s: float) -> bool:
    """Whether the certificate ends within a month, or its key is a year old.

    Raises NotACertificate, or OSError where the file can't be read.
    """
    lasts = validity(identity.read_text("ascii"))
    return now_s > min(lasts.not_after_s - RENEW_BEFORE_S, lasts.not_before_s + RENEW_AFTER_S)


def _write_identity(identity: Path, pem: str) -> None:
    """Whole or not at all, for the owner alone, and only a pair that fits."""
    fresh = identity.with_name(identity.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(fresh)
        fresh.replace(identity)
    except ssl.SSLError as error:
        fresh.unlink()
        raise ProvisioningFailed(f"the certificate is not for our key ({error.reason})") from error
    except OSError as error:
        raise ProvisioningFailed(f"{fresh}: {error.strerror}") from error


class _Exchange:
    """One connection; each question has its accepted and its rejected topic."""

    def __init__(self, enrolment: Enrolment, tls: ssl.SSLContext) -> None:
        self._host, self._port = enrolment.host, enrolment.port
        self._news: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client = Client(
            CallbackAPIVersion.VERSION2, enrolment.client_id, reconnect_on_failure=False
        )
        self._client.tls_set_context(tls)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = lambda *_: self._news.put(("subscribed", b""))
        self._client.on_message = self._on_message

    def __enter__(self) -> _Exchange:
        try:
            self._client.connect(self._host, self._port)
        except OSError as error:
            raise ProvisioningFailed(f"{self._host}:{self._port}: {error}") from error
        self._client.loop_start()
        try:
            self._await("connected", "the connection")
        except ProvisioningFailed:
            self._client.loop_stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def ask(self, topic: str, words: Words) -> Words:
        """Publish the question once its answers are subscribed to; raises ProvisioningFailed."""
        self._client.subscribe([(f"{topic}/accepted", 1), (f"{topic}/rejected", 1)])
        self._await("subscribed", f"the subscription to {topic}/accepted")
        self._client.publish(topic, json.dumps(words).encode(), qos=1)
        return _answer(self._await(topic, topic))

    def _await(self, news: str, subject: str) -> tuple[str, bytes]:
        try:
            name, payload = self._news.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty as error:
            raise ProvisioningFailed(
                f"no answer to {subject} in {ANSWER_TIMEOUT_S:.0f} s"
            ) from error
        if not name.startswith(news):
            raise ProvisioningFailed(f"{subject}: {name}")
        return name, payload

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        refused = f"the broker refuses us: {reason}"
        self._news.put((refused if reason.is_failure else "connected", b""))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        """AWS has no other word for what a policy forbids."""
        ended = (
            "the broker ended the connection; does it accept our certificate, and its policy this?"
        )
        self._news.put((ended, b""))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._news.put((message.topic, bytes(message.payload)))


def _answer(news: tuple[str, bytes]) -> Words:
    topic, payload = news
    try:
        words = json.loads(payload)
    except ValueError as error:
        raise ProvisioningFailed(f"{topic} is no JSON") from error
    if not isinstance(words, dict):
        raise ProvisioningFailed(f"{topic} is no JSON object")
    if topic.endswith("/rejected"):
        raise ProvisioningFailed(
            f"rejected: {words.get('errorCode')}: {words.get('errorMessage')}; "
            "is the gateway's enrolment open, and its code unused?"
        )
    return words


def _text(words: Words, name: str) -> str:
    value = words.get(name)
    if not isinstance(value, str) or not value:
        raise ProvisioningFailed(f"the answer has no {name}")
    return value
