"""The publisher against a real broker with mutual TLS, and against brokers that misbehave."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_sync import mqtt_connection as mqtt
from cloud_sync.config import MqttConfig, TlsFiles
from cloud_sync.delivered import Outcome
from cloud_sync.lanes import Lane
from cloud_sync.mqtt import MqttPublisher
from cloud_sync.ports import Answer, Delivered, Envelope, Refused, TryLater
from cloud_sync.tls import tls_context
from cloud_sync.toml_section import ConfigError
from tests.cloud_sync.brokers import (
    DAY,
    NOW,
    Authority,
    Mosquitto,
    Subscriber,
    broker_that,
    free_port,
    read_packet,
    wait_until,
)
from tests.cloud_sync.fakes import Bench, MemoryOutbox, publisher_with

# paho drops the socket of a failed handshake without closing it; the garbage collector does
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
MESSAGE = Envelope("ecg/ward-3/alarm", b'{"id":"a"}', "a")


def publisher_to(port: int, tls: TlsFiles | None, host: str = "localhost") -> MqttPublisher:
    context = None if tls is None else tls_context(tls)
    return publisher_with(MqttConfig(host, port, 60, tls), context)


def answer_of(port: int, tls: TlsFiles | None, host: str = "localhost") -> Answer:
    async def publish() -> Answer:
        publisher = publisher_to(port, tls, host)
        try:
            return await publisher.publish(MESSAGE)
        finally:
            await publisher.close()

    return asyncio.run(publish())


@pytest.mark.broker
def test_delivers_over_mutual_tls(
    broker: Mosquitto, subscriber: Subscriber, authority: Authority
) -> None:
    assert answer_of(broker.port, authority.issue("ward-3")) == Delivered()
    wait_until(lambda: subscriber.ids == ["a"])
    assert subscriber.topics == ["ecg/ward-3/alarm"]


@pytest.mark.broker
def test_a_broker_of_another_authority_gets_nothing(
    broker: Mosquitto, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    ours = authority.issue("ward-3")
    answer = answer_of(broker.port, replace(ours, ca=stranger.ca))
    assert isinstance(answer, TryLater)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.reason


@pytest.mark.broker
def test_a_broker_by_another_name_gets_nothing(broker: Mosquitto, authority: Authority) -> None:
    answer = answer_of(broker.port, authority.issue("ward-3"), host="127.0.0.1")
    assert isinstance(answer, TryLater)
    assert "IP address mismatch" in answer.reason


@pytest.mark.broker
def test_our_expired_certificate_is_told(broker: Mosquitto, authority: Authority) -> None:
    answer = answer_of(broker.port, authority.issue("ward-3-old", valid_until=NOW - DAY))
    assert isinstance(answer, TryLater)
    assert "does it accept our certificate?" in answer.reason


@pytest.mark.broker
def test_our_certificate_of_another_authority_is_told(
    broker: Mosquitto, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    answer = answer_of(broker.port, replace(stranger.issue("ward-3"), ca=authority.ca))
    assert isinstance(answer, TryLater)
    assert "does it accept our certificate?" in answer.reason


def test_files_that_do_not_fit_are_config_errors(authority: Authority, tmp_path: Path) -> None:
    ours, other = authority.issue("ward-3"), authority.issue("ward-4")
    with pytest.raises(ConfigError, match=r"mqtt\.key_file = .*KEY_VALUES_MISMATCH"):
        tls_context(replace(ours, key=other.key))
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"mqtt\.ca_file = "):
        tls_context(replace(ours, ca=nonsense))


@pytest.mark.broker
def test_what_the_broker_will_not_have_is_refused(
    start_broker: Callable[[Sequence[str]], Mosquitto], authority: Authority, tmp_path: Path
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic write ecg/ward-4/#\n")
    broker = start_broker([f"acl_file {rules}"])
    answer = answer_of(broker.port, authority.issue("ward-3"))
    assert answer == Refused("the broker answers: Not authorized")


@pytest.mark.broker
def test_what_is_too_large_for_the_broker_goes_aside(
    start_broker: Callable[[Sequence[str]], Mosquitto], authority: Authority, tmp_path: Path
) -> None:
    broker = start_broker(["max_packet_size 2000"])
    outbox = MemoryOutbox()
    outbox.add(Lane.ALARM, 1, '{"a":"' + "x" * 2000 + '"}')
    outbox.add(Lane.ALARM, 1)

    async def scenario() -> None:
        publisher = publisher_to(broker.port, authority.issue("ward-3"))
        bench = Bench(tmp_path, outbox, publisher)
        await bench.until(lambda: bench.delivery_log.count("alarm", Outcome.DELIVERED) == 1)
        (end,) = bench.delivery_log.refused(10)
        assert end.message_id == outbox.rows[0].message_id
        assert end.reason is not None
        assert "the broker takes 2,000" in end.reason
        await publisher.close()

    asyncio.run(scenario())


@pytest.mark.broker
def test_the_broker_killed_and_started_again_in_mid_stream(
    broker: Mosquitto, authority: Authority, tmp_path: Path
) -> None:
    outbox = MemoryOutbox()
    rows = outbox.add(Lane.SUMMARY, 300)

    async def scenario() -> list[object]:
        publisher = publisher_to(broker.port, authority.issue("ward-3"))
        bench = Bench(tmp_path, outbox, publisher)

        def delivered() -> int:
            return bench.delivery_log.count("summary", Outcome.DELIVERED)

        received: list[object] = []
        for goal in (50, 150, 300):
            broker.start()
            subscriber = await asyncio.to_thread(Subscriber, broker.plain_port)
            await bench.until(lambda goal=goal: delivered() >= goal)
            broker.kill()
            await bench.turn()
            await asyncio.to_thread(subscriber.read_to_the_end)
            received += subscriber.ids
        await publisher.close()
        return received

    broker.kill()
    received = asyncio.run(scenario())
    assert set(received) == {row.message_id for row in rows}
    assert len(received) <= len(rows) + 2 * mqtt.MAX_IN_FLIGHT  # only the unacknowledged, again


@pytest.mark.broker
def test_twenty_of_the_largest_at_once(
    broker: Mosquitto, subscriber: Subscriber, authority: Authority, tmp_path: Path
) -> None:
    outbox = MemoryOutbox()
    rows = outbox.add(Lane.SUMMARY, 2 * mqtt.MAX_IN_FLIGHT, '{"a":"' + "x" * 99_000 + '"}')

    async def scenario() -> None:
        publisher = publisher_to(broker.port, authority.issue("ward-3"))
        bench = Bench(tmp_path, outbox, publisher)
        await bench.until(
            lambda: bench.delivery_log.count("summary", Outcome.DELIVERED) == len(rows)
        )
        await publisher.close()

    asyncio.run(scenario())
    wait_until(lambda: subscriber.ids == [row.message_id for row in rows])


def test_failed_attempts_leave_no_descriptors_behind(authority: Authority) -> None:
    async def slams_the_door(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async def scenario() -> int:
        async with broker_that(slams_the_door) as port:
            plain = publisher_to(port, None)
            sealed = publisher_to(port, authority.issue("ward-3"))
            await plain.publish(MESSAGE)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(20):
                await plain.publish(MESSAGE)
                await sealed.publish(MESSAGE)
            gc.collect()
            return len(os.listdir("/proc/self/fd")) - before

    assert asyncio.run(scenario()) <= 2  # the server's side of the last attempt


PUBLISH = 0x30
CONNACK_V311 = bytes([0x20, 2, 0, 0])
CONNACK_V5 = bytes([0x20, 3, 0, 0, 0])


async def _acknowledge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """PUBACK for each PUBLISH that comes: its packet id follows the topic."""
    while True:
        try:
            kind, publish = await read_packet(reader)
        except asyncio.IncompleteReadError:
            return
        if kind & 0xF0 != PUBLISH:
            continue
        after_topic = 2 + int.from_bytes(publish[:2], "big")
        writer.write(bytes([0x40, 2]) + publish[after_topic : after_topic + 2])
        await writer.drain()


@pytest.mark.parametrize("farewell", [b"", bytes([0x20, 2, 0, 1])], ids=["closes", "says so"])
def test_speaks_3_1_1_to_a_broker_without_mqtt_5(farewell: bytes) -> None:
    levels: list[int] = []

    async def old_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, connect = await read_packet(reader)
        levels.append(connect[6])
        if connect[6] == 5:
            writer.write(farewell)
            return
        writer.write(CONNACK_V311)
        await _acknowledge(reader, writer)

    async def scenario() -> Answer:
        async with broker_that(old_broker) as port:
            publisher = publisher_to(port, None)
            answer = await publisher.publish(MESSAGE)
            await publisher.close()
            return answer

    assert asyncio.run(scenario()) == Delivered()
    assert levels == [5, 4]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        CONNACK_V5 + bytes([0x40, 1, 7]),
        CONNACK_V5 + bytes([0x40, 4, 0, 1, 0xEE, 0]),
        CONNACK_V5 + bytes([0xE0, 1, 0xEE]),
        CONNACK_V5 + bytes([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        bytes([0x20, 5, 0, 0, 9, 9, 9]),
    ],
    ids=["http", "cut puback", "unknown reason", "unknown farewell", "length", "properties"],
)
def test_nonsense_is_an_answer_and_no_crash(
    nonsense: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "CONNACK_TIMEOUT_S", 0.2)  # a cut packet waits for its rest

    async def mad_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(nonsense)
        await writer.drain()
        await reader.read()

    async def scenario() -> Answer:
        async with broker_that(mad_broker) as port:
            publisher = publisher_to(port, None)
            answer = await publisher.publish(MESSAGE)
            await publisher.close()
            return answer

    assert isinstance(asyncio.run(scenario()), TryLater)


def test_a_broker_that_acknowledges_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "PUBACK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(mqtt, "HOUSEKEEPING_INTERVAL_S", 0.05)

    async def silent_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK_V5)
        await reader.read()

    async def scenario() -> Answer:
        async with broker_that(silent_broker) as port:
            return await publisher_to(port, None).publish(MESSAGE)

    assert asyncio.run(scenario()) == TryLater("the broker acknowledges nothing", unanswered=True)


def test_a_clogged_link_is_written_to_when_it_clears() -> None:
    """20 MB fit no socket's buffer; the broker reads on only when all of it is underway."""
    underway = asyncio.Event()
    large = Envelope("ecg/ward-3/waveform", bytes(1_000_000), "large")

    async def busy_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK_V5)
        await underway.wait()
        await _acknowledge(reader, writer)

    async def scenario() -> list[Answer]:
        async with broker_that(busy_broker) as port:
            publisher = publisher_to(port, None)
            answers = asyncio.gather(*[publisher.publish(large) for _ in range(20)])
            await asyncio.wait([answers], timeout=0.2)
            underway.set()
            done = await asyncio.wait_for(answers, 10)
            await publisher.close()
            return done

    assert asyncio.run(scenario()) == [Delivered()] * 20


def test_a_broker_that_does_not_welcome_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNACK_TIMEOUT_S", 0.1)

    async def deaf_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> Answer:
        async with broker_that(deaf_broker) as port:
            return await publisher_to(port, None).publish(MESSAGE)

    assert asyncio.run(scenario()) == TryLater("the broker does not answer")


def test_no_broker_is_an_answer() -> None:
    answer = answer_of(free_port(), None)
    assert isinstance(answer, TryLater)
    assert "Connection refused" in answer.reason
