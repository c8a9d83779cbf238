"""The gateway's Bluetooth code against virtual sensors: bleak's front, Bumble's GATT."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest
from bleak import BleakClient
from bleak.backends.device import BLEDevice

from gateway.counters import Counters
from gateway.radio import ble
from gateway.radio.ble_retries import RadioError, RadioFailure
from gateway.radio.bleak_port import Adapter, Advertisement, GattClient
from gateway.radio.gatt import FIRMWARE_UUID
from gateway.radio.message_codec import Answer, AnswerCode, Command, MessageType, SensorStatus
from tests.simulated_ward import FakeGateway, SimulatedWard, gateway_on


def whole(gateway: FakeGateway, frames: int, sessions: int = 1) -> bool:
    complete = [s for s in gateway.frames.values() if sorted(s) == list(range(frames))]
    return len(complete) == sessions


@pytest.mark.parametrize("mtu", [23, 247, 517])
def test_every_frame_arrives_at_each_mtu(mtu: int) -> None:
    async def scenario() -> None:
        ward = SimulatedWard()
        board = ward.add(1, frames=12, mtu=mtu)
        async with ward.open(), gateway_on([ward.adapter]) as (source, gateway):
            await gateway.until(lambda: whole(gateway, 12))
            assert gateway.frames_received <= 12 + board.stat()["resent"]
            assert source.counters.value("ecg_pieces_refused_total") == 0

    asyncio.run(scenario())


def test_eight_sensors_over_two_adapters() -> None:
    async def scenario() -> None:
        ward = SimulatedWard()
        for device_id in range(1, 9):
            ward.add(device_id, frames=8, speed=5)
        async with ward.open():
            names = [ward.adapter, f"{ward.adapter}#2"]
            async with gateway_on(names) as (source, gateway):
                await gateway.until(lambda: whole(gateway, 8, sessions=8))
                assert Counter(link.adapter for link in gateway.links) == dict.fromkeys(names, 4)
                assert source.counters.value("ecg_links_total") == 8

    asyncio.run(scenario())


def test_a_sensor_too_many_is_refused_once_and_clearly(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        ward = SimulatedWard()
        for device_id in range(1, 7):
            ward.add(device_id, speed=5)
        async with ward.open(), gateway_on([ward.adapter]) as (source, gateway):
            await gateway.until(lambda: source.counters.value("ecg_sensors_refused_total") > 0)
            await gateway.until(lambda: len(gateway.links) == 5)
            received = gateway.frames_received
            await gateway.until(lambda: gateway.frames_received > received + 20)
            assert len(gateway.links) == 5
            assert source.counters.value("ecg_sensors_refused_total") == 1

    asyncio.run(scenario())
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "max_sensors_per_adapter" in errors[0]


def test_an_assigned_sensor_stays_on_its_adapter() -> None:
    async def scenario() -> None:
        ward = SimulatedWard()
        for device_id in (1, 2, 3):
            ward.add(device_id)
        async with ward.open():
            second = f"{ward.adapter}#2"
            pins = {f"ECG-0000000{n}": second for n in (1, 2, 3)}
            async with gateway_on([ward.adapter, second], assignments=pins) as (_, gateway):
                await gateway.until(lambda: len(gateway.links) == 3)
                assert {link.adapter for link in gateway.links} == {second}

    asyncio.run(scenario())


@pytest.mark.parametrize("loss", ["drop", "linkloss", "reboot"])
def test_a_lost_link_comes_back_with_each_frame_delivered_once(loss: str) -> None:
    async def scenario() -> None:
        ward = SimulatedWard()
        board = ward.add(1, frames=60)
        async with ward.open(), gateway_on([ward.adapter]) as (source, gateway):
            for times in (1, 2, 3):
                await gateway.until(lambda least=10 * times: gateway.frames_received >= least)
                if loss == "drop":
                    await board.radio.drop()
                elif loss == "linkloss":
                    board.radio.lose_link()
                else:
                    board.reboot()
                await gateway.until(lambda ends=times: len(gateway.ends) == ends)
            await gateway.until(lambda: sum(map(len, gateway.frames.values())) == 60)
            assert gateway.ends == ["disconnected"] * 3
            assert gateway.frames_received <= 60 + board.stat()["resent"]
            assert source.counters.value("ecg_links_total") == 4
            assert (len(gateway.frames) > 1) == (loss == "reboot")

    asyncio.run(scenario())


def test_commands_are_answered_and_a_new_rate_is_a_new_session() -> None:
    async def scenario() -> None:
        ward = SimulatedWard()
        ward.add(1)
        async with ward.open(), gateway_on([ward.adapter]) as (_, gateway):
            await gateway.until(lambda: gateway.frames_received > 3 and bool(gateway.answers))
            assert gateway.reports == 1
            assert gateway.answers[0].code is AnswerCode.DONE
            before = SensorStatus.decode(gateway.answers[0].body)
            gateway.order(gateway.links[0], Command.set_sample_rate(500))
            await gateway.until(lambda: len(gateway.frames) == 2)
            assert gateway.answers[1:] == [Answer(MessageType.SET_SAMPLE_RATE, AnswerCode.DONE)]
            after = SensorStatus.decode(await gateway.links[0].read_status())
            assert after.session != before.session
            assert after.measured_rate_millihertz == 500_000

    asyncio.run(scenario())


def test_a_link_that_the_gateway_closed_is_made_anew_only_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.radio.ble_placement.SHUNNED_S", 3.0)

    async def scenario() -> None:
        ward = SimulatedWard()
        ward.add(1)
        async with ward.open(), gateway_on([ward.adapter]) as (_, gateway):
            await gateway.until(lambda: len(gateway.links) == 1)
            await gateway.links[0].close()
            await gateway.until(lambda: gateway.ends == ["closed"])
            closed_s = asyncio.get_running_loop().time()
            await gateway.until(lambda: len(gateway.links) == 1)
            assert asyncio.get_running_loop().time() - closed_s > 2.5

    asyncio.run(scenario())


def test_a_stranger_is_dropped_by_the_sensor() -> None:
    class Stranger(FakeGateway):
        def order(self, link: object, command: Command) -> None:
            """A stranger has no key."""

        def _frame(self, link: object, sealed: bytes) -> None:
            """And reads nothing."""

    async def scenario() -> None:
        ward = SimulatedWard()
        ward.add(1, patience_s=0.5)
        async with ward.open():
            source = ble.BleSource(ble.RadioConfig(adapters=(ward.adapter,)), Counters())
            stranger = Stranger()
            task = asyncio.ensure_future(source.run(stranger))
            await stranger.until(lambda: stranger.ends == ["disconnected"])
            task.cancel()

    asyncio.run(scenario())


def test_a_simulator_that_restarts_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "retry_delay_s", lambda failure, attempt, jitter: 0.05)

    async def scenario() -> None:
        ward = SimulatedWard()
        ward.add(1)
        async with ward.open():
            port = int(ward.adapter.rpartition(":")[2])
        async with gateway_on([ward.adapter]) as (source, gateway):
            await asyncio.sleep(0)
            again = SimulatedWard()
            again.add(2)
            async with again.open(port):
                await gateway.until(lambda: gateway.frames_received > 0)
            await gateway.until(lambda: gateway.ends == ["disconnected"])
            third = SimulatedWard()
            third.add(3)
            async with third.open(port):
                await gateway.until(lambda: len(gateway.links) == 1)
                assert source.counters.value("ecg_scanner_restarts_total") >= 1

    asyncio.run(scenario())


def test_a_silent_adapter_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "ADAPTER_SILENCE_S", 0.05)

    async def scenario() -> None:
        ward = SimulatedWard()
        async with ward.open(), gateway_on([ward.adapter]) as (source, _):
            async with asyncio.timeout(10):
                while source.counters.value("ecg_scanner_restarts_total") < 2:
                    await asyncio.sleep(0.02)

    asyncio.run(scenario())


def test_a_virtual_adapter_is_on_this_machine_alone() -> None:
    async def scenario() -> None:
        async with ble.open_adapter("virtual:192.0.2.1:7"):
            pass

    with pytest.raises(ValueError, match=r"192\.0\.2\.1"):
        asyncio.run(scenario())


def test_an_assertion_of_bleak_at_the_end_of_a_link_is_no_end_of_the_radio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_: BleakClient) -> None:
        raise AssertionError

    monkeypatch.setattr(BleakClient, "disconnect", fail)
    asyncio.run(bluez_client().disconnect())


def test_a_sensor_whose_link_is_lost_while_it_is_opened_is_tried_again() -> None:
    client = bluez_client()  # as after a loss it has no services
    with pytest.raises(RadioError) as piece_bytes:
        _ = client.piece_bytes
    with pytest.raises(RadioError) as offers:
        client.offers(FIRMWARE_UUID)
    assert {piece_bytes.value.failure, offers.value.failure} == {RadioFailure.RACE}


def bluez_client() -> GattClient:
    details = {"path": "/org/bluez/hci0/dev_F0_EC_00_00_00_01", "props": {}}
    device = BLEDevice("F0:EC:00:00:00:01", None, details)
    return Adapter("hci0").client(Advertisement(device.address, "00000001", device))
