"""The radio: every adapter of the configuration, and a link to each sensor that is heard."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config import RadioConfig
from gateway.counters import Counters
from gateway.messages import device_name
from gateway.radio.ble_link import CLOSED, BleLink
from gateway.radio.ble_placement import MAX_HEARD, Placement, Verdict
from gateway.radio.ble_retries import RadioError, retry_delay_s
from gateway.radio.bleak_port import Adapter, Advertisement, is_sensor_name, radio_call
from gateway.radio.bluez_watch import watching_bluez
from gateway.radio.silence import SilenceTimer
from gateway.radio.source import LinkListener

log = logging.getLogger(__name__)

AFTER_DISCONNECT_S = 0.5  # BlueZ needs it before the next Connect
ADAPTER_SILENCE_S = 90.0  # no advertisement and no frame: restart the scanner
VIRTUAL_PREFIX = "virtual:"


def sensor_name(heard: Advertisement) -> str:
    """The device's name. It advertises the 8 hex digits alone: no more fits in 31 bytes."""
    if heard.local_name and is_sensor_name(heard.local_name):
        return device_name(int(heard.local_name, 16))
    return link_name(heard.address)


def link_name(address: str) -> str:
    """The last two bytes of an address: enough for a log, too little to follow a person."""
    return "".join(address.split(":")[-2:])


@asynccontextmanager
async def open_adapter(name: str) -> AsyncIterator[Adapter]:
    """A Linux adapter (hci0), or one of a simulator (virtual:HOST:PORT); raises RadioError."""
    if not name.startswith(VIRTUAL_PREFIX):
        adapter = Adapter(name)
        async with watching_bluez(name, adapter.lost.set):
            yield adapter
        return
    from gateway.simulator.virtual_adapter import VirtualAdapter  # only the demo has Bumble

    async with radio_call():
        virtual = await VirtualAdapter.open(name.removeprefix(VIRTUAL_PREFIX))
    try:
        yield Adapter(name, virtual.scanner_backend, virtual.client_backend, virtual.lost)
    finally:
        await virtual.close()


class BleSource:
    """A Source over Bluetooth LE."""

    def __init__(self, config: RadioConfig, counters: Counters) -> None:
        self._config = config
        self._placement = Placement(config)
        self.counters = counters

    def look_again(self) -> None:
        """Connect at once to sensors whose links were closed: one of them is about to be paired."""
        self._placement.look_again()

    async def run(self, listener: LinkListener) -> None:
        async with asyncio.TaskGroup() as adapters:
            for name in self._config.adapters:
                radio = _AdapterRadio(name, self._placement, self.counters, listener)
                adapters.create_task(radio.run())


class _AdapterRadio:
    """One adapter: a scanner that runs all the time, and the links that it leads to."""

    def __init__(
        self, name: str, placement: Placement, counters: Counters, listener: LinkListener
    ) -> None:
        self._name = name
        self._placement = placement
        self._counters = counters
        self._listener = listener
        self._one_connect = asyncio.Lock()  # BlueZ refuses a second Connect at the same time
        self._attempts: Counter[str] = Counter()  # that failed, by address

    async def run(self) -> None:
        attempt = 0
        async with asyncio.TaskGroup() as links:
            while True:
                try:
                    await self._scan(links)
                    attempt, delay_s = 0, AFTER_DISCONNECT_S
                    log.warning("adapter %s is lost or silent; it is opened anew", self._name)
                except RadioError as error:
                    attempt += 1
                    delay_s = retry_delay_s(error.failure, attempt, random.random())
                    log.warning("adapter %s: %s; again in %.1f s", self._name, error, delay_s)
                self._counters.add("ecg_scanner_restarts_total", adapter=self._name)
                await asyncio.sleep(delay_s)

    async def _scan(self, links: asyncio.TaskGroup) -> None:
        """Scan until the adapter is lost or silent; raises RadioError."""
        async with open_adapter(self._name) as adapter:
            silence = SilenceTimer(ADAPTER_SILENCE_S, adapter.lost.set)

            def on_heard(heard: Advertisement) -> None:
                silence.heard()
                if self._is_ours(heard):
                    name = link_name(heard.address)
                    client = adapter.client(heard)
                    link = BleLink(client, name, self._name, self._counters, silence.heard)
                    links.create_task(self._keep(link, heard.address))

            try:
                async with adapter.scanning(on_heard):
                    await adapter.lost.wait()
            finally:
                silence.cancel()

    def _is_ours(self, heard: Advertisement) -> bool:
        """Claim the sensor for this adapter, if it is free and there is room."""
        name = sensor_name(heard)
        now_s = asyncio.get_running_loop().time()
        verdict = self._placement.claim(heard.address, name, self._name, now_s)
        if verdict is Verdict.REFUSED:
            self._counters.add("ecg_sensors_refused_total", adapter=self._name)
            log.error(
                "%s is not connected: adapter %s is at its limit of sensors; add an adapter, or"
                " raise radio.max_sensors_per_adapter if the hardware carries more",
                name,
                self._name,
            )
        return verdict is Verdict.GRANTED

    async def _keep(self, link: BleLink, address: str) -> None:
        """Connect and serve once. Each further attempt starts from a fresh advertisement."""
        try:
            async with self._one_connect:
                status = await link.open()
            self._attempts.pop(address, None)
            self._counters.add("ecg_links_total", adapter=self._name)
            log.info("sensor %s connected through %s", link.name, link.adapter)
            reason = await link.serve(self._listener, status)
            self._counters.add("ecg_link_ends_total", reason=reason)
            log.info("sensor %s of %s: link ended, %s", link.name, link.adapter, reason)
            if reason == CLOSED:
                self._placement.shun(address, asyncio.get_running_loop().time())
            await asyncio.sleep(AFTER_DISCONNECT_S)
        except RadioError as error:
            await asyncio.sleep(self._count_failure(link, address, error))
        finally:
            self._placement.release(address)

    def _count_failure(self, link: BleLink, address: str, error: RadioError) -> float:
        """Log a failed attempt; returns how long to wait before the next."""
        if len(self._attempts) >= MAX_HEARD:
            self._attempts.clear()
        self._attempts[address] += 1
        self._counters.add("ecg_connect_failures_total", failure=error.failure)
        delay_s = retry_delay_s(error.failure, self._attempts[address], random.random())
        log.info("sensor %s through %s: %s; waits %.1f s", link.name, self._name, error, delay_s)
        return delay_s
