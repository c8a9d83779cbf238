"""The road to any MQTT broker: one client id, and one connection at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from cloud_sync.config import MqttConfig
from cloud_sync.mqtt_connection import ClientTerms, ConnectFailed, Connection
from cloud_sync.ports import Answer, Envelope, TryLater
from cloud_sync.presence import Presence


class MqttPublisher:
    """A connection is made when there is something to say, and begins with a birth message."""

    def __init__(
        self,
        config: MqttConfig,
        tls: ssl.SSLContext | None,
        *,
        client_id: str,
        subscriptions: tuple[str, ...],
        status: Callable[[Presence], Envelope],
        incoming: Callable[[str, bytes], None],
        spent: Callable[[int], None],
    ) -> None:
        self._config = config
        self._tls = tls
        self._client_id = client_id
        self._subscriptions = subscriptions
        self._status = status
        self._incoming = incoming
        self._spent = spent
        self._connection: Connection | None = None
        self._dialling = asyncio.Lock()
        self._dials = 0
        self._failure = ""  # of the last dial
        self._birth: asyncio.Task[Answer] | None = None

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.lost is None

    def publish(self, envelope: Envelope) -> Coroutine[Any, Any, Answer]:
        """QoS 1: `Delivered` is the broker's PUBACK.

        It goes on the connection that there is when it is handed over, or on the next one where
        there is none; on a later one it would overtake what was lost on the way before it.
        """
        return self._publish(envelope, self._dials + (not self.connected))

    async def announce(self) -> Answer:
        """A new connection says by itself that we live."""
        if self.connected:
            return await self.publish(self._status(Presence.ALIVE))
        try:
            await self._connected(self._dials + 1)
        except ConnectFailed as failed:
            return TryLater(str(failed))
        assert self._birth is not None
        return await self._birth

    async def close(self, farewell: Presence = Presence.STOPPED) -> None:
        if self._connection is not None:
            self._connection.close(farewell=self._status(farewell))
        if self._birth is not None:
            await self._birth

    async def _publish(self, envelope: Envelope, dial: int) -> Answer:
        try:
            connection = await self._connected(dial)
        except ConnectFailed as failed:
            return TryLater(str(failed))
        return await connection.publish(envelope)

    async def _connected(self, dial: int) -> Connection:
        """The connection that this dial, counted from 1, has made; nobody dials twice at once."""
        async with self._dialling:
            if self._dials < dial:
                self._connection = await self._dial()
                birth = self._connection.publish(self._status(Presence.CONNECTED))
                self._birth = asyncio.create_task(birth)
            if self._connection is None or self._dials > dial:
                raise ConnectFailed(self._failure or "the connection was lost")
            return self._connection

    async def _dial(self) -> Connection:
        self._dials += 1
        self._connection, self._failure = None, ""
        try:
            return await self._connect()
        except ConnectFailed as failed:
            self._failure = str(failed)
            raise

    async def _connect(self) -> Connection:
        """MQTT 5 where it is offered: only there does a PUBACK say that a message is refused."""
        try:
            return await self._open(mqtt_5=True)
        except ConnectFailed as failed:
            if not failed.closed_early:
                raise
        return await self._open(mqtt_5=False)

    async def _open(self, mqtt_5: bool) -> Connection:
        terms = ClientTerms(
            self._client_id,
            self._status(Presence.LOST),
            self._subscriptions,
            self._incoming,
            self._spent,
        )
        connection = Connection(self._config, terms, mqtt_5, self._tls)
        await connection.open()
        return connection
