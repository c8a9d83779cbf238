"""`ecg-cloud-sync run`: builds the parts, joins them, and ends them in reverse."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import random
import signal
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from cloud_sync.alarm_road import AlarmRoad, NotifiedBy
from cloud_sync.alarm_watch import AlarmWatch
from cloud_sync.announcer import Announcer
from cloud_sync.backoff import delays
from cloud_sync.config import CloudSyncConfig, NoticeConfig, Provider
from cloud_sync.credentials import CredentialsProvider
from cloud_sync.delivered import DeliveryLog
from cloud_sync.envelope import seal_envelope
from cloud_sync.https import Https
from cloud_sync.lanes import Lane
from cloud_sync.link_record import LinkRecord
from cloud_sync.mqtt import MqttPublisher
from cloud_sync.ports import Envelope, FrameOutbox, OutboxRow, OutboxVersion
from cloud_sync.presence import INTERVAL_S, Presence, status_message, status_topic
from cloud_sync.schema import open_database
from cloud_sync.sd_notify import sd_notify
from cloud_sync.sns import SnsNotifier
from cloud_sync.tls import mqtt_tls_context, tls_context
from cloud_sync.uploader import Uploader
from cloud_sync.waveform_choice import WaveformChoice, read_acknowledgement
from cloud_sync.waveform_jobs import WaveformJobs

DATABASE_FILE = "delivered.sqlite3"
EX_SOFTWARE = 70  # sysexits.h: our own fault

_log = logging.getLogger(__name__)


class AllRows:
    """The gateway's outbox with our own waveform jobs as its third lane."""

    def __init__(self, outbox: FrameOutbox, jobs: WaveformJobs) -> None:
        self._outbox = outbox
        self._jobs = jobs

    def version(self) -> OutboxVersion | None:
        version = self._outbox.version()
        if version is None:
            return None
        return OutboxVersion(version.file, version.commit, self._jobs.version)

    def pending(self, lane: Lane, after_id: int, limit: int) -> Sequence[OutboxRow]:
        if lane is Lane.WAVEFORM:
            return self._jobs.pending(after_id, limit)
        return self._outbox.pending(lane, after_id, limit)


class Road:
    """All parts of the road, joined."""

    def __init__(
        self,
        config: CloudSyncConfig,
        outbox: FrameOutbox,
        mqtt_tls: ssl.SSLContext | None,
        stack: ExitStack,
    ) -> None:
        engine = open_database(config.state_directory / DATABASE_FILE)
        stack.callback(engine.dispose)
        self._config = config
        self._outbox = outbox
        self._alarm_road = AlarmRoad(engine)
        self._jobs = WaveformJobs(engine, time.time)
        self._choice = WaveformChoice(config.waveforms, self._jobs, time.time)
        self._link = LinkRecord(engine, _local_day, time.time)
        topics = {"request": self._choice.requested}
        if config.provider is Provider.AWS:
            topics["ack"] = self._acknowledged
        self._incoming = {f"ecg/{config.gateway_id}/{name}": take for name, take in topics.items()}
        self._publisher = MqttPublisher(
            config.mqtt,
            mqtt_tls,
            client_id=config.gateway_id,
            subscriptions=tuple(self._incoming),
            status=self._status,
            incoming=self._take,
            spent=self._link.spent,
        )
        self._uploader = Uploader(
            AllRows(outbox, self._jobs),
            self._publisher,
            DeliveryLog(engine),
            seal=self._seal,
            open_lanes=self._open_lanes,
            acknowledged_lanes={Lane.ALARM} if config.provider is Provider.AWS else set(),
            new_backoff=_delays,
            monotonic=time.monotonic,
            unix_time=time.time,
        )
        self._watch = AlarmWatch(
            config.gateway_id,
            outbox,
            self._alarm_road,
            self._notifier(config.notices) if config.notices is not None else None,
            new_backoff=_delays,
            monotonic=time.monotonic,
            unix_time=time.time,
        )
        self._announcer = Announcer(
            self._publisher,
            open_lanes=self._open_lanes,
            idle=lambda: self._uploader.idle,
            new_backoff=_delays,
            monotonic=time.monotonic,
        )

    async def run(self, stop: asyncio.Event) -> None:
        try:
            await self._uploader.run(stop, self._each_turn)
        finally:
            self._watch.cancel()
            self._announcer.cancel()
            await self._publisher.close()
            self._link.note("stopped")

    def _each_turn(self) -> None:
        sd_notify(os.environ, "WATCHDOG=1")
        self._watch.look()
        self._jobs.look()
        self._announcer.look()
        self._link.note(self._link_words())

    def _link_words(self) -> str:
        if self._publisher.connected:
            return "connected"
        if len(self._open_lanes()) < len(Lane):
            return "resting"
        return f"not connected: {self._uploader.in_trouble or 'connecting'}"

    def _open_lanes(self) -> Sequence[Lane]:
        return self._config.link.lanes(_minute_of_day(), self._link.bytes_today)

    def _seal(self, row: OutboxRow) -> Envelope:
        envelope = seal_envelope(self._config.gateway_id, row, self._outbox.frames)
        self._choice.passing(row)
        return envelope

    def _status(self, presence: Presence) -> Envelope:
        gateway_id = self._config.gateway_id
        next_within_s = INTERVAL_S
        if presence is Presence.RESTING:
            next_within_s += self._config.link.rest_s(_minute_of_day())
        payload = status_message(gateway_id, presence, time.time(), next_within_s)
        return Envelope(status_topic(gateway_id), payload, "")

    def _take(self, topic: str, payload: bytes) -> None:
        if (take := self._incoming.get(topic)) is not None:
            take(payload)

    def _acknowledged(self, payload: bytes) -> None:
        acknowledgement = read_acknowledgement(payload)
        if acknowledgement is not None:
            self._uploader.acknowledged(acknowledgement.ids)
            self._watch.acknowledged(acknowledgement.ids)
            if acknowledgement.notified:
                self._alarm_road.notified(acknowledgement.notified, NotifiedBy.CLOUD, time.time())

    def _notifier(self, notices: NoticeConfig) -> SnsNotifier:
        """SNS shows a public certificate, the credentials provider wants ours."""
        mqtt = self._config.mqtt
        provider_tls = None if mqtt.tls is None else tls_context(mqtt.tls)
        public = ssl.create_default_context() if notices.endpoint.startswith("https:") else None
        provider = CredentialsProvider(
            Https(provider_tls, mqtt.proxy, self._link.spent),
            notices.credentials_endpoint,
            notices.role_alias,
            self._config.gateway_id,
            time.time,
        )
        sns = Https(public, mqtt.proxy, self._link.spent)
        return SnsNotifier(notices, sns, provider, time.time)


async def upload(config: CloudSyncConfig, outbox: FrameOutbox) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_process)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    mqtt = config.mqtt
    tls = None if mqtt.tls is None else mqtt_tls_context(mqtt.tls, mqtt.port)
    with ExitStack() as stack:
        road = Road(config, outbox, tls, stack)
        sd_notify(os.environ, "READY=1")
        _log.info("started gateway=%s broker=%s:%s", config.gateway_id, mqtt.host, mqtt.port)
        try:
            await road.run(stop)
        finally:
            sd_notify(os.environ, "STOPPING=1")
    _log.info("stopped")


def _end_process(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A fault of our own in a callback: systemd starts us again, from what is on disk."""
    _log.critical("%s", context["message"], exc_info=context.get("exception"))
    os._exit(EX_SOFTWARE)


def _delays(first_s: float = 1.0, longest_s: float = 60.0) -> Iterator[float]:
    return delays(random.random, first_s, longest_s)


def _minute_of_day() -> int:
    now = datetime.datetime.now()
    return 60 * now.hour + now.minute


def _local_day() -> str:
    return datetime.date.today().isoformat()
