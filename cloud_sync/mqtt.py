"""The road to any MQTT broker; the only file that knows paho-mqtt.

paho's own queue and its reconnecting are not used: a client object lives as long as its
connection. When that ends, each message without an acknowledgement is answered `TryLater`, and
the next publish makes a new client. Everything but the dialling runs on the asyncio loop.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from paho.mqtt.client import (
    MQTT_ERR_SUCCESS,
    Client,
    ConnectFlags,
    DisconnectFlags,
    error_string,
)
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud_sync.config import MqttConfig
from cloud_sync.ports import Answer, Delivered, Envelope, Refused, TryLater

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
UNSUPPORTED_PROTOCOL_VERSION = 0x84
MQTT_MAX_PACKET_BYTES = 268_435_460  # what the wire format can say


class _ConnectFailed(Exception):
    """There is no connection; the text is the reason.

    `closed_early` says that the broker was reached and ended it before its CONNACK, or named the
    protocol version: brokers of MQTT 3.1.1 do either to a client that speaks MQTT 5.
    """

    def __init__(self, reason: str, closed_early: bool = False) -> None:
        super().__init__(reason)
        self.closed_early = closed_early


class MqttPublisher:
    """One client id, one connection at a time, made when there is something to publish."""

    def __init__(self, config: MqttConfig, client_id: str, tls: ssl.SSLContext | None) -> None:
        self._config = config
        self._client_id = client_id
        self._tls = tls
        self._connection: _Connection | None = None
        self._dialling = asyncio.Lock()

    async def publish(self, envelope: Envelope) -> Answer:
        """QoS 1: `Delivered` is the broker's PUBACK."""
        try:
            connection = await self._connected()
        except _ConnectFailed as failed:
            return TryLater(str(failed))
        return await connection.publish(envelope)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _connected(self) -> _Connection:
        async with self._dialling:
            if self._connection is None or self._connection.lost is not None:
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> _Connection:
        """MQTT 5 where it is offered: only there does a PUBACK say that a message is refused."""
        try:
            return await self._open(MQTTProtocolVersion.MQTTv5)
        except _ConnectFailed as failed:
            if not failed.closed_early:
                raise
        return await self._open(MQTTProtocolVersion.MQTTv311)

    async def _open(self, protocol: MQTTProtocolVersion) -> _Connection:
        connection = _Connection(self._client_id, protocol, self._tls)
        await connection.open(self._config)
        return connection


class _Connection:
    """One paho client for one connection, driven by the asyncio loop."""

    def __init__(
        self, client_id: str, protocol: MQTTProtocolVersion, tls: ssl.SSLContext | None
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
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False
        )
        self._client.connect_timeout = DIAL_TIMEOUT_S
        self._client.on_log = self._on_log
        self._tls = tls
        if tls is not None:
            self._client.tls_set_context(tls)

    async def open(self, config: MqttConfig) -> None:
        """Dial, shake hands, and wait for the broker's welcome; else raise _ConnectFailed."""
        try:
            await asyncio.to_thread(
                self._client.connect, config.host, config.port, config.keep_alive_s
            )
        except OSError as error:
            raise _ConnectFailed(f"{config.host}:{config.port}: {error}") from error
        try:
            self._attach()
            async with asyncio.timeout(CONNACK_TIMEOUT_S):
                await self._welcome
        except TimeoutError as error:
            raise _ConnectFailed("the broker does not answer") from error
        finally:
            if not self._welcomed:
                self.close("the broker gave no welcome")

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

    def close(self, reason: str = "closed") -> None:
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
        self._client.on_socket_close = lambda _client, _userdata, socket: self._detach(socket)
        socket = self._client.socket()
        if socket is None:
            self._end(f"the connection was lost {self._socket_error}".rstrip())
            return
        self._loop.add_reader(socket, self._read)
        self._keep_house()

    def _detach(self, socket: Any) -> None:
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

    def _keep_house(self) -> None:
        self._client.loop_misc()
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
                _ConnectFailed(
                    f"the broker refuses the connection: {reason}",
                    closed_early=reason.value == UNSUPPORTED_PROTOCOL_VERSION,
                )
            )
        elif getattr(properties, "MaximumQoS", 1) < 1:
            self._welcome.set_exception(_ConnectFailed("the broker acknowledges nothing (QoS 0)"))
        else:
            self._window = asyncio.Semaphore(
                min(MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT))
            )
            self._max_packet_bytes = getattr(
                properties, "MaximumPacketSize", self._max_packet_bytes
            )
            self._welcomed = True
            self._welcome.set_result(None)

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
            answer.set_result(_answer_for(reason))

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

    def _unwelcome(self, reason: str) -> _ConnectFailed:
        """With TLS 1.3 a broker judges our certificate only after the handshake."""
        hint = "; does it accept our certificate?" if self._tls else ""
        return _ConnectFailed(f"before the broker's welcome: {reason}{hint}", closed_early=True)


def _answer_for(reason: ReasonCode) -> Answer:
    """A PUBACK's reason code; MQTT 3.1.1 has only success."""
    if not reason.is_failure:
        return Delivered()
    text = f"the broker answers: {reason}"
    return Refused(text) if reason.value in PERMANENT_REASONS else TryLater(text)
