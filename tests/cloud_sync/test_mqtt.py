"""The publisher against a real broker with mutual TLS, and against brokers that misbehave."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_sync import mqtt_connection as mqtt
from cloud_sync.config import MqttConfig, Proxy, TlsFiles
from cloud_sync.delivered import Outcome
from cloud_sync.lanes import Lane
from cloud_sync.mqtt import MqttPublisher
from cloud_sync.ports import Answer, Delivered, Envelope, Refused, TryLater
from cloud_sync.presence import Presence
from cloud_sync.tls import mqtt_tls_context, tls_context
from cloud_sync.toml_section import ConfigError
from tests.cloud_sync.aws_services import ProxyHandler, mutual_tls, serving
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


def test_nothing_overtakes_what_was_lost_with_the_connection() -> None:
    connections: list[int] = []

    async def closes_the_first_two(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connections.append(len(connections))
        if len(connections) <= 2:  # MQTT 5, then 3.1.1
            return
        await read_packet(reader)
        writer.write(CONNACK_V5)
        await _acknowledge(reader, writer)

    async def scenario() -> tuple[list[Answer], Answer]:
        async with broker_that(closes_the_first_two) as port:
            publisher = publisher_to(port, None)
            together = await asyncio.gather(*(publisher.publish(MESSAGE) for _ in range(3)))
            later = await publisher.publish(MESSAGE)
            await publisher.close()
            return together, later

    together, later = asyncio.run(scenario())
    assert all(isinstance(answer, TryLater) for answer in together)
    assert later == Delivered()
    assert len(connections) == 3


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


@pytest.mark.broker
def test_birth_life_and_farewell(broker: Mosquitto, subscriber: Subscriber) -> None:
    async def scenario() -> None:
        publisher = publisher_to(broker.plain_port, None, "127.0.0.1")
        assert await publisher.announce() == Delivered()
        assert await publisher.announce() == Delivered()
        await publisher.close(Presence.RESTING)

    asyncio.run(scenario())
    wait_until(lambda: len(subscriber.statuses) == 3)
    assert [status["reason"] for status in subscriber.statuses] == ["connected", "alive", "resting"]
    assert subscriber.statuses[-1]["state"] == "offline"


@pytest.mark.broker
def test_the_broker_speaks_for_us_when_we_are_lost(
    broker: Mosquitto, subscriber: Subscriber
) -> None:
    code = (
        "import asyncio, os\n"
        "from cloud_sync.config import MqttConfig\n"
        "from tests.cloud_sync.fakes import publisher_with\n"
        "async def lost():\n"
        f"    await publisher_with(MqttConfig('127.0.0.1', {broker.plain_port}), None).announce()\n"
        "    os._exit(1)\n"
        "asyncio.run(lost())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    wait_until(lambda: len(subscriber.statuses) == 2)
    assert subscriber.statuses[1]["reason"] == "lost"


@pytest.mark.broker
def test_what_the_cloud_says_comes_in(broker: Mosquitto) -> None:
    heard: list[tuple[str, bytes]] = []
    spent: list[int] = []

    async def scenario() -> None:
        config = MqttConfig("127.0.0.1", broker.plain_port)
        publisher = publisher_with(
            config, None, lambda topic, payload: heard.append((topic, payload)), spent.append
        )
        await publisher.announce()
        for topic, payload in (("ack", b"1"), ("request", b"2"), ("other", b"3")):
            await publisher.publish(Envelope(f"ecg/ward-3/{topic}", payload, ""))
        while len(heard) < 2:
            await asyncio.sleep(0.01)
        await publisher.close()

    asyncio.run(scenario())
    assert sorted(heard) == [("ecg/ward-3/ack", b"1"), ("ecg/ward-3/request", b"2")]
    assert sum(spent) > 500  # some twenty packets with their headers


@pytest.mark.broker
@pytest.mark.parametrize("needs_subscriber", [True, False])
def test_a_message_that_nobody_hears(broker: Mosquitto, needs_subscriber: bool) -> None:
    async def scenario() -> Answer:
        config = MqttConfig("127.0.0.1", broker.plain_port, needs_subscriber=needs_subscriber)
        publisher = publisher_with(config, None)
        answer = await publisher.publish(MESSAGE)
        await publisher.close()
        return answer

    unheard = TryLater("the broker answers: No matching subscribers", lane_only=True)
    assert asyncio.run(scenario()) == (unheard if needs_subscriber else Delivered())


@pytest.mark.broker
def test_through_the_clinics_proxy(broker: Mosquitto, authority: Authority) -> None:
    async def scenario(proxy: Proxy) -> Answer:
        ours = authority.issue("ward-3")
        config = MqttConfig("localhost", broker.port, 60, ours, proxy)
        publisher = publisher_with(config, tls_context(ours))
        answer = await publisher.publish(MESSAGE)
        await publisher.close()
        return answer

    with serving(ProxyHandler) as proxy:
        assert asyncio.run(scenario(Proxy("127.0.0.1", proxy.port))) == Delivered()
        assert [path for path, _, _ in proxy.asked] == [f"localhost:{broker.port}"]
    gone = asyncio.run(scenario(Proxy("127.0.0.1", free_port())))
    assert isinstance(gone, TryLater)
    assert "proxy" in gone.reason.lower()


@pytest.mark.parametrize(("port", "protocol"), [(443, "x-amzn-mqtt-ca"), (8883, None)])
def test_the_port_of_https_is_told_that_this_is_mqtt(
    authority: Authority, port: int, protocol: str | None
) -> None:
    server = mutual_tls(authority.issue("broker"))
    server.set_alpn_protocols(["http/1.1", "x-amzn-mqtt-ca"])
    near, far = socket.socketpair()
    ours = mqtt_tls_context(authority.issue("ward-3"), port)
    with ThreadPoolExecutor() as pool, near, far:
        shaking = pool.submit(server.wrap_socket, far, server_side=True)
        with ours.wrap_socket(near, server_hostname="localhost"), shaking.result() as met:
            assert met.selected_alpn_protocol() == protocol


@pytest.mark.broker
def test_our_revoked_certificate_is_told(
    start_broker: Callable[[Sequence[str]], Mosquitto], authority: Authority
) -> None:
    ours = authority.issue("ward-3-revoked")
    broker = start_broker([f"crlfile {authority.revoke(ours)}"])
    assert answer_of(broker.port, authority.issue("ward-3")) == Delivered()
    answer = answer_of(broker.port, ours)
    assert isinstance(answer, TryLater)
    assert "does it accept our certificate?" in answer.reason


@pytest.mark.broker
def test_no_certificate_no_connection(broker: Mosquitto, authority: Authority) -> None:
    """The configuration has no way to say this; a context without our certificate is refused."""

    async def scenario() -> Answer:
        ours = authority.issue("ward-3")
        context = ssl.create_default_context(cafile=str(ours.ca))
        return await publisher_with(
            MqttConfig("localhost", broker.port, 60, ours), context
        ).publish(MESSAGE)

    answer = asyncio.run(scenario())
    assert isinstance(answer, TryLater)
    assert "does it accept our certificate?" in answer.reason
