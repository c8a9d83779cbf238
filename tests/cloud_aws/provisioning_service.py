"""AWS IoT's fleet provisioning, emulated on a broker: certificates from requests, things from both.

The answers' shapes and topics are those of the service's MQTT interface. It asks the template's own
hook, and attaches the new certificate to the thing in moto's registry.
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from cloud_sync.aws.functions.enrolment import handler as hook
from tests.cloud_aws.emulated_account import STACK, EmulatedAccount
from tests.cloud_sync.brokers import Authority

CREATE = "$aws/certificates/create-from-csr/json"
PROVISION = f"$aws/provisioning-templates/{STACK}-enrolment/provision/json"


class ProvisioningService:
    """`caller` is the id of the certificate that a client shows; a broker does not tell it us."""

    def __init__(self, account: EmulatedAccount, authority: Authority, port: int) -> None:
        self.caller = "claim"
        self.requests: list[str] = []
        self.issued: list[str] = []  # certificates' ids
        self.silent = False
        self.wrong_certificate: str | None = None
        self._authority = authority
        self._things = account.client("iot")
        self._tokens: dict[str, str] = {}
        ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "provisioning-service")
        self._client.on_message = lambda _client, _userdata, message: self._answer(message)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(CREATE, 1), (PROVISION, 1)])
        self._client.loop_start()
        assert ready.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _answer(self, message: MQTTMessage) -> None:
        if self.silent:
            return
        asked = json.loads(message.payload)
        made = self._create(asked) if message.topic == CREATE else self._provision(asked)
        verdict = "rejected" if "errorCode" in made else "accepted"
        self._client.publish(f"{message.topic}/{verdict}", json.dumps(made), qos=1)

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(asked["certificateSigningRequest"])
        request = x509.load_pem_x509_csr(asked["certificateSigningRequest"].encode())
        assert request.is_signature_valid
        certificate = self._authority.sign(request)
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        kept = self._things.register_certificate_without_ca(certificatePem=pem)
        token = secrets.token_hex(8)
        self._tokens[token] = kept["certificateArn"]
        self.issued.append(kept["certificateId"])
        return {
            "certificateOwnershipToken": token,
            "certificateId": kept["certificateId"],
            "certificatePem": self.wrong_certificate or pem,
        }

    def _provision(self, asked: dict[str, Any]) -> dict[str, Any]:
        certificate = self._tokens.pop(asked["certificateOwnershipToken"])
        event = {"claimCertificateId": self.caller, "parameters": asked["parameters"]}
        if not hook(event, None)["allowProvisioning"]:
            return {"statusCode": 401, "errorCode": "AccessDenied", "errorMessage": "hook refused"}
        thing = asked["parameters"]["GatewayId"]
        self._things.create_thing(thingName=thing)
        self._things.attach_thing_principal(thingName=thing, principal=certificate)
        return {"thingName": thing, "deviceConfiguration": {}}
