"""From the daemon's own publisher through a broker and the template's rules into the tables."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest

from cloud_sync.config import MqttConfig
from cloud_sync.envelope import seal_envelope
from cloud_sync.mqtt import MqttPublisher
from cloud_sync.ports import Answer, Delivered, Envelope, Lane, OutboxRow
from cloud_sync.tls import tls_context
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.messages import alarm_facts
from tests.cloud_aws.rule_emulator import RuleEmulator
from tests.cloud_sync.brokers import Authority, Mosquitto, Subscriber, wait_until

pytestmark = pytest.mark.broker


@pytest.fixture
def heard(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.plain_port)
    yield subscriber
    subscriber.close()


@pytest.fixture
def gateway(broker: Mosquitto, authority: Authority) -> MqttConfig:
    return MqttConfig("localhost", broker.port, tls=authority.issue("ward-3"))


def published(config: MqttConfig, *envelopes: Envelope) -> list[Answer]:
    async def publish() -> list[Answer]:
        assert config.tls is not None
        publisher = MqttPublisher(config, "ecg-ward-3", tls_context(config.tls))
        answers = [await publisher.publish(envelope) for envelope in envelopes]
        await publisher.close()
        return answers

    return asyncio.run(publish())


def alarm(message_id: str = "a" * 32, **changed: object) -> Envelope:
    return envelope(Lane.ALARM, message_id, alarm_facts(**changed))


def envelope(lane: Lane, message_id: str, facts: dict[str, object]) -> Envelope:
    created_s = facts.pop("created_s", time.time())
    assert isinstance(created_s, float)
    row = OutboxRow(1, message_id, lane, lane.value, created_s, json.dumps(facts))
    return seal_envelope("ward-3", row)


def test_an_alarm_reaches_table_telephone_and_gateway(
    account: EmulatedAccount, rules: RuleEmulator, gateway: MqttConfig, heard: Subscriber
) -> None:
    assert published(gateway, alarm()) == [Delivered()]
    wait_until(lambda: "ecg/ward-3/ack" in heard.topics)
    (item,) = account.items()
    assert (item["gateway"], item["id"]) == ("ward-3", "a" * 32)
    (notice,) = account.notices()
    assert notice["Subject"] == "asystole, Bed 4"
    assert heard.messages[-1] == {"version": 1, "ids": ["a" * 32], "notified": ["a" * 32]}
