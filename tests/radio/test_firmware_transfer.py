"""Images on their way to the virtual sensor's Python twin; tests/firmware has the C core's."""

from __future__ import annotations

import asyncio
import random

import pytest
from Crypto.PublicKey import ECC

from gateway.radio.firmware_image import FirmwareImage
from gateway.radio.firmware_transfer import FirmwareTransfer, UpdateFailed
from gateway.radio.message_codec import Answer, AnswerCode, Command, MessageType
from gateway.radio.source import LinkLost
from gateway.simulator.firmware_slots import TRIAL_S
from tests.firmware_cores import UpdatedSensor, python_boot
from tests.firmware_image import image

NEW = (0, 2, 0)


@pytest.fixture
def sensor() -> UpdatedSensor:
    return UpdatedSensor(python_boot())


def update(sensor: UpdatedSensor, firmware: FirmwareImage) -> FirmwareTransfer:
    transfer = FirmwareTransfer(firmware, sensor.pause)

    async def run() -> None:
        await transfer.send(sensor)
        await transfer.finish(sensor)

    asyncio.run(run())
    return transfer


def test_an_image_is_taken_and_started_from(sensor: UpdatedSensor) -> None:
    started_s = sensor.now_s
    transfer = update(sensor, image(NEW, 200_000))
    assert transfer.sent == 200_000
    assert sensor.now_s - started_s >= 3 * 5.0  # four blocks of flash are erased, 5 s apart
    assert sensor.sensor.restart_due(0.0)
    assert sensor.version == (0, 1, 0)
    sensor.reboot()
    assert sensor.version == NEW
    assert not sensor.sensor.restart_due(0.0)


def test_new_firmware_that_was_heard_stays(sensor: UpdatedSensor) -> None:
    update(sensor, image(NEW))
    sensor.reboot()
    sensor.sample()
    sensor.acknowledge(1)
    assert not sensor.sensor.restart_due(TRIAL_S)
    sensor.reboot()
    assert sensor.version == NEW


def test_new_firmware_that_nobody_hears_goes(sensor: UpdatedSensor) -> None:
    update(sensor, image(NEW))
    sensor.reboot()
    sensor.sample()
    assert not sensor.sensor.restart_due(TRIAL_S - 1)
    with pytest.raises(UpdateFailed, match="on trial"):
        update(sensor, image((0, 3, 0)))
    assert sensor.sensor.restart_due(TRIAL_S)
    sensor.reboot()
    assert sensor.version == (0, 1, 0)
    assert not sensor.sensor.restart_due(TRIAL_S)


def test_lost_links_and_power_cuts_cost_at_most_a_block(sensor: UpdatedSensor) -> None:
    chance = random.Random(1)
    firmware = image(NEW, 150_000)
    transfer = FirmwareTransfer(firmware, sensor.pause)
    reached = 0

    async def run() -> bool:
        try:
            await transfer.send(sensor)
            await transfer.finish(sensor)
        except LinkLost:
            return False
        return True

    for lost in range(1000):
        sensor.messages_left = chance.randrange(150)
        if asyncio.run(run()):
            break
        power_cut = lost % 5 == 4
        assert transfer.sent >= reached - (65_536 if power_cut else 0)
        reached = transfer.sent
        if power_cut:
            sensor.reboot()
            reached -= reached % 65_536
    assert lost > 5
    sensor.reboot()
    assert sensor.version == NEW


@pytest.mark.parametrize(
    ("firmware", "reason"),
    [
        (image(NEW, key=ECC.generate(curve="p256")), "not signed by the key"),
        (image(NEW, chip=9), "another chip"),
        (image((0, 1, 0)), "not newer"),
        (image((0, 0, 255)), "not newer"),
        (image(NEW, 22 * 65_536 + 1), "too large"),
    ],
)
def test_an_image_that_may_not_come_is_refused(
    sensor: UpdatedSensor, firmware: FirmwareImage, reason: str
) -> None:
    with pytest.raises(UpdateFailed, match=reason):
        update(sensor, firmware)
    sensor.reboot()
    assert sensor.version == (0, 1, 0)


def test_an_image_that_arrives_damaged_is_refused_and_may_come_again(
    sensor: UpdatedSensor,
) -> None:
    firmware = image(NEW)
    spoiled = FirmwareImage(firmware.manifest, bytes(1000))
    with pytest.raises(UpdateFailed, match="damaged"):
        update(sensor, spoiled)
    sensor.now_s += 5.0
    update(sensor, firmware)
    assert sensor.sensor.restart_due(0.0)


def test_a_sensor_without_a_release_key_takes_nothing() -> None:
    with pytest.raises(UpdateFailed, match="takes no updates"):
        update(UpdatedSensor(python_boot(signer=None)), image(NEW))


class Deaf:
    """A sensor that answers one thing, whatever it is sent."""

    def __init__(self, code: AnswerCode, body: bytes = b"") -> None:
        self._answer = Answer(MessageType.UPDATE_BEGIN, code, body)
        self.waited_s = 0.0

    def send(self, command: Command) -> None:
        pass

    async def ask(self, command: Command) -> Answer:
        return self._answer

    async def pause(self, seconds: float) -> None:
        self.waited_s += seconds


@pytest.mark.parametrize(
    ("code", "body", "reason", "waited_s"),
    [
        (AnswerCode.DONE, bytes(4), "taken nothing", 59),
        (AnswerCode.BUSY, b"", "about to restart", 60),
        (AnswerCode.BAD_ARGUMENT, b"", "bad argument", 0),
        (AnswerCode.UPDATE_REFUSED, b"\x63", "update refused", 0),
    ],
)
def test_patience_ends(code: AnswerCode, body: bytes, reason: str, waited_s: float) -> None:
    deaf = Deaf(code, body)
    with pytest.raises(UpdateFailed, match=reason):
        asyncio.run(FirmwareTransfer(image(NEW), deaf.pause).send(deaf))
    assert deaf.waited_s == waited_s


def test_frames_that_nobody_takes_keep_the_sensor_from_restarting() -> None:
    deaf = Deaf(AnswerCode.BUSY)
    with pytest.raises(UpdateFailed, match="must not be lost"):
        asyncio.run(FirmwareTransfer(image(NEW), deaf.pause).finish(deaf))
    assert deaf.waited_s == 300
