"""One MQTT connection; the only file that knows paho-mqtt.

paho's own queue and its reconnecting are not used: a client object lives as long as its
connection. When that ends, each message without an acknowledgement is answered `TryLater`.
Everything but the dialling runs on the asyncio loop.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import socks
from paho.mqtt.client import (
    MQTT_ERR_SUCCESS,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    error_string,
)
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud_sync.config import MqttConfig
from cloud_sync.ports import Answer, Delivered, Envelope, Refused, TryLater
from cloud_sync.traffic import FAILED_HANDSHAKE_BYTES, wire_bytes

DIAL_TIMEOUT_S = 10.0  # for the TCP connect, and again for the TLS handshake
CONNACK_TIMEOUT_S = 10.0
PUBACK_TIMEOUT_S = 30.0  # without any: 100 KB take 25 s at 32 kbit/s, a slow mobile link
HOUSEKEEPING_INTERVAL_S = 5.0  # how often paho looks at its keep-alive
MAX_IN_FLIGHT = 20  # paho's default too, so it never queues; fewer where the broker asks for it
PUBLISH_OVERHEAD_BYTES = 10  # fixed header 5, topic length 2, packet id 2, properties 1

# PUBACK reasons (MQTT 5.0, section 3.4.2.1) that a repeat of the same message can't mend:
# not authorized, topic name invalid, packet too large, payload format invalid.
PERMANENT_REASONS = frozenset({0x87, 0x90, 0x95, 0x99})
# DISCONNECT reasons that may be the word on a message: those, and "unspecified", "malformed
# packet", "protocol error". A broker that shuts down or is busy blames nobody.
MESSAGE_AT_FAULT = PERMANENT_REASONS | {0x80, 0x81, 0x82}
NO_MATCHING_SUBSCRIBERS = 0x10
UNSUPPORTED_PROTOCOL_VERSION = 0x84
MAX_INCOMING_BYTES = (
    128 * 1024
)  # AWS IoT Core's own; a request or an acknowledgement is far smaller
MQTT_MAX_PACKET_BYTES = 268_435_460  # what the wire format can say


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClientTerms:
    """What every connection of this client shares.

    `will` is what the broker says for us when we are lost. `incoming` is called with topic and
    payload, `spent` with each count of bytes that went over the wire.
    """

    client_id: str
    will: Envelope
    subscriptions: tuple[str, ...]
    incoming: Callable[[str, bytes], None]
    spent: Callable[[int], None]


class ConnectFailed(Exception):
    """There is no connection; the text is the reason.

    `closed_early` says that the broker was reached and ended it before its CONNACK, or named the
    protocol version: brokers of MQTT 3.1.1 do either to a client that speaks MQTT 5.
    """

    def __init__(self, reason: str, closed_early: bool = False) -> None:
        super().__init__(reason)
        self.closed_early = closed_early


class Connection:
    """One paho client for one connection, driven by the asyncio loop."""

    def __init__(
        self,
        config: MqttConfig,
        terms: ClientTerms,
        mqtt_5: bool,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.lost: str | None = None  # why, once the connection has ended
        self._loop = asyncio.get_running_loop()
        self._welcomed = False
        self._welcome: asyncio.Future[None] = self._loop.create_future()
        self._unanswered: dict[int, asyncio.Future[Answer]] = {}
        self._window = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._max_packet_bytes = MQTT_MAX_PACKET_BYTES
        self._progress_s = self._loop.time()
        self._housekeeping: asyncio.TimerHandle | None = None
        self._socket_error = ""
        self._config = config
        self._terms = terms
        self._tls = tls
        self._metered_bytes = 0
        self._mqtt_5 = mqtt_5
        self._client = self._new_client()

    def _new_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._terms.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._mqtt_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = DIAL_TIMEOUT_S
        client.on_log = self._on_log
        client.will_set(self._terms.will.topic, self._terms.will.payload, qos=1)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if (proxy := self._config.proxy) is not None:
            client.proxy_set(proxy_type=socks.HTTP, proxy_addr=proxy.host, proxy_port=proxy.port)
        return client

    async def open(self) -> None:
        """Dial, shake hands, and wait for the broker's welcome; else raise ConnectFailed."""
        try:
            await asyncio.to_thread(self._dial)
        except (OSError, socks.ProxyError) as error:
            if isinstance(error, ssl.SSLError):
                self._terms.spent(FAILED_HANDSHAKE_BYTES)
            raise ConnectFailed(f"{self._config.host}:{self._config.port}: {error}") from error
        try:
            self._attach()
            async with asyncio.timeout(CONNACK_TIMEOUT_S):
                await self._welcome
        except TimeoutError as error:
            raise ConnectFailed("the broker does not answer") from error
        finally:
            if not self._welcomed:
                self.close("the broker gave no welcome")

    def _dial(self) -> None:
        properties = None
        if self._mqtt_5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
            properties.MaximumPacketSize = MAX_INCOMING_BYTES
        config = self._config
        self._client.connect(config.host, config.port, config.keep_alive_s, properties=properties)

    async def publish(self, envelope: Envelope) -> Answer:
        async with self._window:
            if self.lost is not None:
                return TryLater(self.lost)
            size = len(envelope.topic) + len(envelope.payload) + PUBLISH_OVERHEAD_BYTES
            if size > self._max_packet_bytes:
                return Refused(f"{size:,} bytes; the broker takes {self._max_packet_bytes:,}")
            return await self._send(envelope)

    async def _send(self, envelope: Envelope) -> Answer:
        if not self._unanswered:
            self._progress_s = self._loop.time()
        sent = self._client.publish(envelope.topic, envelope.payload, qos=1)
        if sent.rc != MQTT_ERR_SUCCESS:
            return TryLater(f"not sent: {error_string(sent.rc)}")
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._unanswered[sent.mid] = answer
        self._write_when_possible()
        return await answer

    def close(self, reason: str = "closed", farewell: Envelope | None = None) -> None:
        if farewell is not None and self.lost is None:
            self._client.publish(farewell.topic, farewell.payload, qos=1)
        self._end(reason)
        self._client.disconnect()
        rest = self._client.socket()
        if rest is not None:  # the link is too clogged for a DISCONNECT
            self._detach(rest)
            rest.close()

    def _attach(self) -> None:
        """From here on paho runs on the loop; its callbacks come from `_read` and its like."""
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_socket_close = lambda _client, _userdata, socket: self._detach(socket)
        socket = self._client.socket()
        if socket is None:
            self._end(f"the connection was lost {self._socket_error}".rstrip())
            return
        self._loop.add_reader(socket, self._read)
        self._keep_house()

    def _detach(self, socket: Any) -> None:
        self._measure(socket)
        self._loop.remove_reader(socket)
        self._loop.remove_writer(socket)

    def _read(self) -> None:
        self._client.loop_read()
        while isinstance(tls := self._client.socket(), ssl.SSLSocket) and tls.pending():
            self._client.loop_read()  # what TLS has decrypted no longer wakes the loop
        self._write_when_possible()

    def _write(self) -> None:
        self._client.loop_write()
        self._write_when_possible()

    def _write_when_possible(self) -> None:
        socket = self._client.socket()
        if socket is None:
            return
        if self._client.want_write():
            self._loop.add_writer(socket, self._write)
        else:
            self._loop.remove_writer(socket)

    def _measure(self, socket: Any) -> None:
        """Tell what the wire has carried since the last time."""
        now_bytes = wire_bytes(socket)
        self._terms.spent(now_bytes - self._metered_bytes)
        self._metered_bytes = now_bytes

    def _keep_house(self) -> None:
        self._client.loop_misc()
        if (socket := self._client.socket()) is not None:
            self._measure(socket)
        self._write_when_possible()
        if self._unanswered and self._loop.time() - self._progress_s > PUBACK_TIMEOUT_S:
            self.close("the broker acknowledges nothing")
        if self.lost is None:
            self._housekeeping = self._loop.call_later(HOUSEKEEPING_INTERVAL_S, self._keep_house)

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._welcome.done():
            return
        if reason.is_failure:
            self._welcome.set_exception(
                ConnectFailed(
                    f"the broker refuses the connection: {reason}",
                    closed_early=reason.value == UNSUPPORTED_PROTOCOL_VERSION,
                )
            )
        elif getattr(properties, "MaximumQoS", 1) < 1:
            self._welcome.set_exception(ConnectFailed("the broker acknowledges nothing (QoS 0)"))
        else:
            self._window = asyncio.Semaphore(
                min(MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT))
            )
            self._max_packet_bytes = getattr(
                properties, "MaximumPacketSize", self._max_packet_bytes
            )
            self._welcomed = True
            self._client.subscribe([(topic, 1) for topic in self._terms.subscriptions])
            self._welcome.set_result(None)

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        for topic, reason in zip(self._terms.subscriptions, reasons, strict=False):
            if reason.is_failure:
                _log.warning("the broker refuses the subscription to %s: %s", topic, reason)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # a broker's nonsense
        self._terms.incoming(topic, bytes(message.payload))

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._progress_s = self._loop.time()
        answer = self._unanswered.pop(mid)
        if not answer.done():
            answer.set_result(self._answer_for(reason))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end(f"the broker disconnects: {reason}", reason.value in MESSAGE_AT_FAULT)
        else:
            self._end(f"the connection was lost {self._socket_error}".rstrip())

    def _on_log(self, _client: Client, _userdata: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._socket_error = f"({text})"

    def _end(self, reason: str, message_at_fault: bool = True) -> None:
        if self.lost is not None:
            return
        self.lost = reason
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        for answer in self._unanswered.values():
            if not answer.done():
                answer.set_result(TryLater(reason, unanswered=message_at_fault))
        self._unanswered.clear()
        if not self._welcome.done():
            self._welcome.set_exception(self._unwelcome(reason))

    def _unwelcome(self, reason: str) -> ConnectFailed:
        """With TLS 1.3 a broker judges our certificate only after the handshake."""
        hint = "; does it accept our certificate?" if self._tls else ""
        return ConnectFailed(f"before the broker's welcome: {reason}{hint}", closed_early=True)

    def _answer_for(self, reason: ReasonCode) -> Answer:
        """A PUBACK's reason code; MQTT 3.1.1 has only success."""
        text = f"the broker answers: {reason}"
        if reason.value == NO_MATCHING_SUBSCRIBERS and self._config.needs_subscriber:
            return TryLater(text, lane_only=True)
        if not reason.is_failure:
            return Delivered()
        return Refused(text) if reason.value in PERMANENT_REASONS else TryLater(text)
