"""bleak's own BlueZ backend, unmodified, between the gateway and a virtual sensor."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from dbus_fast import DBusError

from gateway.radio import ble, ble_link
from gateway.radio.ble import BleSource
from gateway.radio.ble_retries import RadioFailure
from tests.radio.fake_bluez import FakeBlueZ, private_bus
from tests.simulated_ward import FakeGateway, SimulatedWard, gateway_on

pytestmark = pytest.mark.skipif(
    shutil.which("dbus-daemon") is None, reason="needs dbus-daemon: apt-get install dbus-daemon"
)

Scenario = Callable[[FakeBlueZ, SimulatedWard, BleSource, FakeGateway], Awaitable[None]]


@pytest.fixture
def on_bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    async def play(scenario: Scenario) -> None:
        ward = SimulatedWard()
        ward.add(1, mtu=247, speed=10)
        async with ward.open(), private_bus(tmp_path) as bus_address:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
            ward_address = ward.adapter.removeprefix(ble.VIRTUAL_PREFIX)
            async with (
                FakeBlueZ.running(bus_address, ward_address) as bluez,
                gateway_on(["hci0"]) as (source, gateway),
            ):
                await scenario(bluez, ward, source, gateway)

    return lambda scenario: asyncio.run(play(scenario))


def test_frames_come_through_start_notify_with_the_real_mtu(
    on_bluez: Callable[[Scenario], None],
) -> None:
    async def scenario(
        bluez: FakeBlueZ, ward: SimulatedWard, source: BleSource, gateway: FakeGateway
    ) -> None:
        await gateway.until(lambda: gateway.frames_received >= 10)
        assert bluez.calls.count("StartNotify") == 3
        assert "AcquireNotify" not in bluez.calls
        assert max(map(len, bluez.written)) > 20  # `mtu_size` would have said 23
        assert source.counters.value("ecg_pieces_refused_total") == 0

    on_bluez(scenario)


def test_a_dropped_sensor_is_subscribed_anew_and_heard_once(
    on_bluez: Callable[[Scenario], None],
) -> None:
    async def scenario(
        bluez: FakeBlueZ, ward: SimulatedWard, source: BleSource, gateway: FakeGateway
    ) -> None:
        for times in (1, 2):
            await gateway.until(lambda least=5 * times: gateway.frames_received >= least)
            await ward.boards[0].radio.drop()
            await gateway.until(lambda ends=times: len(gateway.ends) == ends)
        received = gateway.frames_received
        await gateway.until(lambda: gateway.frames_received > received + 5)
        assert bluez.calls.count("StartNotify") == 9
        held_back = int(str(ward.boards[0].stat()["resent"]))
        different = sum(map(len, gateway.frames.values()))
        assert gateway.frames_received <= different + held_back

    on_bluez(scenario)


def test_failed_connects_are_classified_and_come_through(
    on_bluez: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble, "retry_delay_s", lambda failure, attempt, jitter: 0.05)

    async def scenario(
        bluez: FakeBlueZ, ward: SimulatedWard, source: BleSource, gateway: FakeGateway
    ) -> None:
        await gateway.until(lambda: len(gateway.links) == 1)
        bluez.connect_faults += [
            DBusError("org.bluez.Error.InProgress", "In Progress"),
            DBusError("org.bluez.Error.NotReady", "Resource Not Ready"),
        ]
        await ward.boards[0].radio.drop()
        await gateway.until(lambda: len(gateway.ends) == 1)
        await gateway.until(lambda: len(gateway.links) == 1)
        for failure in (RadioFailure.BUSY, RadioFailure.ADAPTER_DOWN):
            assert source.counters.value("ecg_connect_failures_total", failure=failure) == 1

    on_bluez(scenario)


def test_a_bluetoothd_that_dies_in_silence_is_noticed_and_its_successor_used(
    on_bluez: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble_link, "LINK_SILENCE_S", 0.5)
    monkeypatch.setattr(ble, "retry_delay_s", lambda failure, attempt, jitter: 0.05)

    async def scenario(
        bluez: FakeBlueZ, ward: SimulatedWard, source: BleSource, gateway: FakeGateway
    ) -> None:
        await gateway.until(lambda: gateway.frames_received >= 3)
        await bluez.vanish()
        await bluez.virtual.close()
        await gateway.until(lambda: len(gateway.ends) == 1)
        assert gateway.ends != ["disconnected"]
        async with FakeBlueZ.running(bluez.address, ward.adapter.removeprefix("virtual:")):
            received = gateway.frames_received
            await gateway.until(lambda: gateway.frames_received > received)
        assert source.counters.value("ecg_scanner_restarts_total", adapter="hci0") >= 1

    on_bluez(scenario)


@pytest.mark.parametrize("fault", ["unplugged", "switched off"])
def test_an_adapter_that_comes_back_is_asked_to_scan_again(
    fault: str, on_bluez: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble, "retry_delay_s", lambda failure, attempt, jitter: 0.05)

    async def scenario(
        bluez: FakeBlueZ, ward: SimulatedWard, source: BleSource, gateway: FakeGateway
    ) -> None:
        await gateway.until(lambda: gateway.frames_received >= 3)
        if fault == "unplugged":
            await bluez.unplug()
            bluez.plug_in()
        else:
            await bluez.switch_off_and_on()
        await gateway.until(lambda: len(gateway.ends) == 1)
        received = gateway.frames_received
        await gateway.until(lambda: gateway.frames_received > received, timeout_s=10.0)

    on_bluez(scenario)


def test_a_sensor_is_heard_whatever_services_bluez_remembers_of_it(
    on_bluez: Callable[[Scenario], None],
) -> None:
    async def scenario(
        bluez: FakeBlueZ, ward: SimulatedWard, source: BleSource, gateway: FakeGateway
    ) -> None:
        await gateway.until(lambda: gateway.frames_received >= 3)
        bluez.remember_services(["00001800-0000-1000-8000-00805f9b34fb"])
        await ward.boards[0].radio.drop()
        await gateway.until(lambda: len(gateway.ends) == 1)
        await gateway.until(lambda: len(gateway.links) == 1, timeout_s=10.0)

    on_bluez(scenario)
