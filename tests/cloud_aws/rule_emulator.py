"""Plays the template's rules: from a broker's topics to the functions, and their answers back.

It reads each rule's topic filter, SQL and actions from the template, subscribes to the broker with
mutual TLS, runs the very handlers that the template names against moto, twice again where they
fail, and puts what fails for good where the template says. What it can't play it refuses.

    python -m tests.cloud_aws.rule_emulator HOST PORT CA CERTIFICATE KEY

prints the endpoint of its account and runs until it is told to end.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion

from cloud_sync.config import TlsFiles
from cloud_sync.tls import tls_context
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.iot_data import IotData
from tests.cloud_aws.rule_sql import RuleSql, parse_sql, substitute
from tests.cloud_aws.template import resources_of

SUBSCRIBED_WITHIN_S = 10.0
ACKNOWLEDGEMENTS = "AWS_ENDPOINT_URL_IOT_DATA_PLANE"

Selected = dict[str, str] | bytes


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    sql: RuleSql
    actions: Sequence[Callable[[str, Selected], None]]
    keep_what_failed: Callable[[dict[str, Any]], None]


class RuleEmulator:
    """The rules of one account behind one broker. While it runs it owns this process's AWS names
    in `os.environ`, as Lambda does."""

    def __init__(
        self, account: EmulatedAccount, host: str, port: int, tls: TlsFiles | None
    ) -> None:
        self._account = account
        self.acknowledging = True  # False: the functions' answers get lost
        self._iot_data = IotData(self._publish)
        self._before = dict(os.environ)
        os.environ.update(account.environment | {ACKNOWLEDGEMENTS: self._iot_data.endpoint})
        rules = resources_of(account.template, "AWS::IoT::TopicRule")
        self._rules = [self._rule(name, rule) for name, rule in rules.items()]
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self.played = 0
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()
        self._client = self._connect(host, port, tls)

    def run(self, logical_id: str, event: object = None) -> Any:
        """Call one function of the template now, as its schedule or its API would."""
        return self._handler(logical_id)(event, None)

    def inject(self, topic: str, payload: bytes) -> None:
        """Play a message as if the broker had brought it."""
        self._waiting.put((topic, payload))
        self.settle()

    def settle(self) -> None:
        """Until every message that has come was played."""
        self._waiting.join()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._waiting.put(None)
        self._worker.join()
        self._iot_data.close()
        os.environ.clear()
        os.environ.update(self._before)

    def _connect(self, host: str, port: int, tls: TlsFiles | None) -> Client:
        subscribed = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, "rules-engine", clean_session=False)
        if tls is not None:
            client.tls_set_context(tls_context(tls))
        client.on_message = lambda _client, _userdata, message: self._take(message)
        client.on_connect = lambda *_: client.subscribe(
            [(rule.sql.topic_filter, 1) for rule in self._rules]
        )
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect(host, port)
        client.loop_start()
        if not subscribed.wait(SUBSCRIBED_WITHIN_S):
            raise TimeoutError(f"{host}:{port} gave no subscription")
        return client

    def _publish(self, topic: str, payload: bytes) -> None:
        if self.acknowledging:
            self._client.publish(topic, payload, qos=1)

    def _take(self, message: MQTTMessage) -> None:
        self._waiting.put((message.topic, message.payload))

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            for rule in self._rules:
                if topic_matches_sub(rule.sql.topic_filter, message[0]):
                    _play(rule, *message)
            self.played += 1
            self._waiting.task_done()

    def _rule(self, name: str, properties: dict[str, Any]) -> _Rule:
        payload = properties["TopicRulePayload"]
        actions = [self._action(*action) for each in payload["Actions"] for action in each.items()]
        error_queue = payload["ErrorAction"]["Sqs"]["QueueUrl"]
        return _Rule(name, parse_sql(payload["Sql"]), actions, self._to_queue(error_queue))

    def _action(self, kind: str, words: dict[str, Any]) -> Callable[[str, Selected], None]:
        if kind == "Lambda":
            return self._lambda_action(words["FunctionArn"]["Fn::GetAtt"][0])
        if kind == "S3":
            return self._s3_action(words)
        raise ValueError(f"the template has an action {kind}, which no AWS rule here plays")

    def _lambda_action(self, logical_id: str) -> Callable[[str, Selected], None]:
        """AWS calls without waiting, tries again where the function fails, then keeps the event."""
        handler = self._handler(logical_id)
        (again,) = [
            config
            for config in resources_of(
                self._account.template, "AWS::Lambda::EventInvokeConfig"
            ).values()
            if config["FunctionName"] == {"Ref": logical_id}
        ]
        destination = again["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
        keep = self._to_queue({"Ref": destination})

        def call(_topic: str, event: Selected) -> None:
            for _ in range(1 + again["MaximumRetryAttempts"]):
                try:
                    handler(event, None)
                    return
                except Exception as error:  # whatever it is, Lambda tries again
                    failure = repr(error)
            keep({"requestPayload": event, "responsePayload": failure})

        return call

    def _s3_action(self, words: dict[str, Any]) -> Callable[[str, Selected], None]:
        bucket = self._account.resolve(words["BucketName"])
        storage = self._account.client("s3")

        def put(topic: str, body: Selected) -> None:
            storage.put_object(Bucket=bucket, Key=substitute(words["Key"], topic), Body=body)

        return put

    def _handler(self, logical_id: str) -> Callable[[Any, Any], Any]:
        functions = resources_of(self._account.template, "AWS::Lambda::Function")
        module, _, name = functions[logical_id]["Handler"].rpartition(".")
        handler: Callable[[Any, Any], Any] = getattr(importlib.import_module(module), name)
        return handler

    def _to_queue(self, reference: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        url = self._account.resolve(reference)
        queues = self._account.client("sqs")
        return lambda words: queues.send_message(QueueUrl=url, MessageBody=json.dumps(words))


def _play(rule: _Rule, topic: str, payload: bytes) -> None:
    selected = rule.sql.select(topic, payload)
    for action in rule.actions:
        try:
            action(topic, selected)
        except Exception as error:  # any failure of an action is the error action's
            original = base64.b64encode(payload).decode()
            rule.keep_what_failed(
                {
                    "ruleName": rule.name,
                    "topic": topic,
                    "base64OriginalPayload": original,
                    "failures": [{"errorMessage": repr(error)}],
                }
            )


def main(host: str, port: str, ca: str, certificate: str, key: str) -> None:
    account = EmulatedAccount()
    emulator = RuleEmulator(
        account, host, int(port), TlsFiles(Path(ca), Path(certificate), Path(key))
    )
    print(account.endpoint, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    emulator.close()
    account.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
