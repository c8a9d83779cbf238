"""Updates of sensors' firmware beside their monitoring: alarms, restarts, cuts and failures."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable, Coroutine
from pathlib import Path

import numpy as np
import pytest

from gateway.__main__ import main
from gateway.commands import update as update_command
from gateway.control import updates as sensor_updates
from gateway.control.socket import SOCKET_NAME, ControlRefused, ControlServer
from gateway.control.update_state import IMAGE_NAME, UpdateState
from gateway.control.updates import SensorUpdates, update_commands
from gateway.messages import FrameFlags
from gateway.radio import firmware_transfer
from gateway.radio.gatt import GattCharacteristic
from gateway.radio.source import LinkLost
from gateway.simulator.firmware_slots import FirmwareSlots
from gateway.simulator.outbox import LEAST_HELD_FRAMES, Outbox
from gateway.simulator.sensor_core import SensorIdentity
from gateway.simulator.virtual_sensor import boot_twin
from gateway.store.entries import Standby
from tests.firmware_image import SIGNER, image
from tests.ward.bench import DEVICE, ROOT_KEY, heart
from tests.ward.conftest import WardBench, open_ward

NEW = (0, 2, 0)
ECG = heart(60.0)


class Twin:
    """A sensor next to the ward, and all its links to it, without a radio."""

    name = "0A0B"
    adapter = "hci0"

    def __init__(self, bench: WardBench, ecg: np.ndarray = ECG) -> None:
        self.takes_updates = True
        self.lost_after: int | None = None  # messages
        self.comes_back = False  # at once, when it was lost
        self._bench = bench
        self._frames = itertools.cycle(ecg)
        self._outbox = Outbox(LEAST_HELD_FRAMES)
        self._slots = FirmwareSlots(SIGNER)
        self._boot = boot_twin(self._outbox, self._slots)
        self._boots = 0
        self._now_s = 0.0
        self.reboot()

    def reboot(self) -> None:
        self._boots += 1
        self.sensor = self._boot(SensorIdentity(DEVICE, self._boots, ROOT_KEY), 250, 10.0)

    def is_confirmed(self) -> bool:
        """Has the sensor heard an acknowledgement of its new firmware's frames?"""
        return not self.sensor.restart_due(0.0) and not self._slots.on_trial

    def connect(self) -> None:
        self.sensor.connected(self._now_s)
        self._bench.ward.connected(self, self.sensor.status())

    def disconnect(self) -> None:
        self.sensor.disconnected()
        self._bench.ward.disconnected(self, "lost")

    def stream(self, frames: int) -> None:
        for _ in range(frames):
            self._bench.now_s += 0.748
            self._now_s += 0.748
            self.sensor.sampled(next(self._frames), FrameFlags(0), round(self._now_s * 1e6))
            for sealed in self._outbox.take(self._now_s, 0.748):
                self._bench.ward.received(self, GattCharacteristic.FRAMES, sealed)

    async def acknowledge(self, message: bytes) -> None:
        self.sensor.received(message, self._now_s)

    async def command(self, message: bytes) -> None:
        self._answer(GattCharacteristic.CONTROL, message)

    async def update(self, message: bytes) -> None:
        if self.lost_after is not None:
            if self.lost_after == 0:
                if self.comes_back:
                    asyncio.get_running_loop().call_soon(self._come_back)
                raise LinkLost("disconnected")
            self.lost_after -= 1
        self._now_s += 0.1
        self._answer(GattCharacteristic.FIRMWARE, message)

    async def close(self) -> None: ...

    def _come_back(self) -> None:
        self.disconnect()
        self.connect()

    def _answer(self, characteristic: GattCharacteristic, message: bytes) -> None:
        for answer in self.sensor.received(message, self._now_s):
            self._bench.ward.received(self, characteristic, answer)


@dataclasses.dataclass
class House:
    bench: WardBench
    twin: Twin
    updates: SensorUpdates

    @property
    def state(self) -> UpdateState:
        return self.updates.updates[0].state

    @property
    def message(self) -> str:
        return self.updates.updates[0].message

    def restart(self, reboots: int = 1) -> None:
        self.twin.disconnect()
        for _ in range(reboots):
            self.twin.reboot()
        self.twin.connect()

    async def reaches(self, state: UpdateState) -> None:
        await self.bench.until(lambda: self.state in (state, UpdateState.FAILED))
        assert self.state is state, self.message


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor_updates, "LOOK_EACH_S", 0.01)
    monkeypatch.setattr(firmware_transfer, "RETRY_S", 0.01)
    monkeypatch.setattr(update_command, "LOOK_EACH_S", 0.05)


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., None]:
    """Runs a scenario with a monitored sensor, and an image for it."""

    def run(
        scenario: Callable[[House], Coroutine[None, None, None]], ecg: np.ndarray = ECG
    ) -> None:
        async def begin() -> None:
            async with open_ward(tmp_path) as bench:
                twin = Twin(bench, ecg)
                twin.connect()
                twin.stream(1)
                await bench.until(lambda: any(side.bed.stay for side in bench.ward.beds))
                twin.stream(39)
                path = tmp_path / IMAGE_NAME
                path.write_bytes(image(NEW, 20_000).encode())
                updates = SensorUpdates(bench.ward, path)
                await bench.until(lambda: bench.ward.status_of(DEVICE) is not None)
                try:
                    await scenario(House(bench, twin, updates))
                finally:
                    await updates.stop()

        asyncio.run(begin())

    return run


def test_a_sensor_is_updated_restarts_and_proves_that_it_works(house) -> None:
    async def scenario(house: House) -> None:
        house.updates.start([], forced=False)
        with pytest.raises(ControlRefused, match="another update is under way"):
            house.updates.start([], forced=False)
        await house.reaches(UpdateState.RESTARTS)
        assert house.twin.sensor.restart_due(0.0)
        house.restart()
        await asyncio.sleep(0.1)
        assert house.state is UpdateState.RESTARTS  # no frame of the new firmware yet
        house.twin.stream(2)
        await house.reaches(UpdateState.DONE)
        assert house.message == "runs 0.2.0"
        house.updates.start([DEVICE], forced=False)
        await house.reaches(UpdateState.DONE)
        assert house.message == "runs 0.2.0 already"

    house(scenario)


def test_a_cut_is_waited_out_and_the_transfer_goes_on(house) -> None:
    async def scenario(house: House) -> None:
        house.twin.lost_after = 40
        house.updates.start([], forced=False)
        await house.bench.until(lambda: house.twin.lost_after == 0)
        sent = house.updates.updates[0].transfer.sent
        assert 0 < sent < 20_000
        house.twin.disconnect()
        await asyncio.sleep(0.1)
        house.twin.lost_after = None
        house.twin.connect()
        await house.reaches(UpdateState.RESTARTS)

    house(scenario)


def test_a_link_that_is_lost_again_and_again_is_a_failure(house) -> None:
    async def scenario(house: House) -> None:
        house.twin.lost_after, house.twin.comes_back = 0, True
        house.updates.start([], forced=False)
        await house.bench.until(lambda: house.state is UpdateState.FAILED)
        assert house.message == "the link is lost again and again: disconnected"

    house(scenario)


def test_firmware_that_goes_back_is_a_failure(house) -> None:
    async def scenario(house: House) -> None:
        house.updates.start([], forced=False)
        await house.reaches(UpdateState.RESTARTS)
        house.restart(reboots=2)
        await house.bench.until(lambda: house.state is UpdateState.FAILED)
        assert house.message == "the sensor went back to 0.1.0"

    house(scenario)


def test_a_sensor_that_does_not_come_back_is_a_failure(house, monkeypatch) -> None:
    async def scenario(house: House) -> None:
        house.updates.start([], forced=False)
        await house.reaches(UpdateState.RESTARTS)
        house.twin.disconnect()
        await house.bench.until(lambda: house.state is UpdateState.FAILED)
        assert house.message == "the sensor has not come back from its restart"

    monkeypatch.setattr(sensor_updates, "ABSENCE_S", 0.5)
    house(scenario)


def test_a_sensor_of_old_firmware_takes_no_update(house) -> None:
    async def scenario(house: House) -> None:
        house.twin.takes_updates = False
        house.updates.start([], forced=False)
        await house.bench.until(lambda: house.state is UpdateState.FAILED)
        assert house.message == "the sensor takes no updates over the air"

    house(scenario)


def test_nothing_begins_without_a_sensor_or_an_image(house) -> None:
    async def scenario(house: House) -> None:
        house.twin.disconnect()
        with pytest.raises(ControlRefused, match="no sensor is connected"):
            house.updates.start([], forced=False)
        nothing = SensorUpdates(house.bench.ward, house.bench.store)
        with pytest.raises(ControlRefused, match="not a firmware image"):
            nothing.start([DEVICE], forced=False)

    house(scenario)


def test_no_update_begins_while_an_alarm_calls_unless_forced(house) -> None:
    async def scenario(house: House) -> None:
        with pytest.raises(ControlRefused, match="Bed 1: asystole; acknowledge them first"):
            house.updates.start([], forced=False)
        house.updates.start([], forced=True)
        await house.reaches(UpdateState.RESTARTS)

    house(scenario, heart(40.0, stops_at_s=20.0))


def test_a_restart_waits_until_an_alarm_is_acknowledged(house) -> None:
    async def scenario(house: House) -> None:
        house.twin.lost_after = 40
        house.updates.start([], forced=False)
        await house.bench.until(lambda: house.twin.lost_after == 0)
        house.twin.lost_after = None
        house.twin.stream(20)
        house.twin.disconnect()
        house.twin.connect()
        await house.reaches(UpdateState.ALARM)
        assert not house.twin.sensor.restart_due(0.0)
        await house.bench.ward.command(Standby("Bed 1"))
        await house.reaches(UpdateState.RESTARTS)

    house(scenario, heart(60.0, stops_at_s=31.0))


def test_the_command_line_shows_progress_and_says_how_it_ended(house, tmp_path, capsys) -> None:
    async def scenario(house: House) -> None:
        server = ControlServer(tmp_path / SOCKET_NAME, update_commands(house.updates))
        await server.start()
        path = tmp_path / "release"
        path.write_bytes(image(NEW, 3000).encode())
        command = ["sensors", "--state-directory", str(tmp_path), "update", str(path)]
        try:
            running = asyncio.create_task(asyncio.to_thread(main, command))
            await house.bench.until(lambda: bool(house.updates.updates))
            await house.reaches(UpdateState.RESTARTS)
            house.restart()
            while not running.done():
                house.twin.stream(1)
                await asyncio.sleep(0.1)
            assert await running == 0
            await house.bench.until(house.twin.is_confirmed)
            assert await asyncio.to_thread(main, [*command, "--sensor", "42"]) == 1
            path.write_bytes(image((0, 3, 0), chip=9).encode())
            assert await asyncio.to_thread(main, [*command, "--sensor", "ECG-0000002A"]) == 1
            assert await asyncio.to_thread(main, [*command[:4], str(tmp_path / "none")]) == 1
        finally:
            await server.stop()

    house(scenario)
    printed = capsys.readouterr()
    assert printed.out.startswith("0.2.0 for ESP32-C3, 3000 bytes\nECG-0000002A: ")
    assert "ECG-0000002A: runs 0.2.0\n" in printed.out
    assert "ECG-0000002A: the image is for another chip\n" in printed.err
    assert "looks like ECG-0000002A" in printed.err
    assert "none can't be read" in printed.err
