"""The C core's update receiver beside its Python twin, and at the other end of the gateway's."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.radio.firmware_image import FirmwareImage
from gateway.radio.firmware_transfer import FirmwareTransfer, UpdateFailed
from gateway.radio.message_codec import AnswerCode, Command, MessageType
from gateway.radio.source import LinkLost
from gateway.simulator.firmware_slots import TRIAL_S
from tests.firmware_cores import UpdatedSensor, c_boot, python_boot
from tests.firmware_image import image

NEW = (0, 2, 0)


def test_the_core_takes_an_image_over_lost_links_and_power_cuts() -> None:
    sensor = UpdatedSensor(c_boot())
    chance = random.Random(2)
    transfer = FirmwareTransfer(image(NEW, 150_000), sensor.pause)

    async def run() -> None:
        await transfer.send(sensor)
        await transfer.finish(sensor)

    for lost in range(1000):
        sensor.messages_left = chance.randrange(150)
        try:
            asyncio.run(run())
            break
        except LinkLost:
            if lost % 5 == 4:
                sensor.reboot()
    assert lost > 5
    sensor.sample()
    assert sensor.sensor.restart_due(0.0)
    sensor.reboot()
    assert sensor.version == NEW
    sensor.sample()
    assert not sensor.sensor.restart_due(TRIAL_S - 1)
    sensor.acknowledge(1)
    assert not sensor.sensor.restart_due(TRIAL_S)
    sensor.reboot()
    assert sensor.version == NEW


def test_the_core_goes_back_from_firmware_that_nobody_hears() -> None:
    sensor = UpdatedSensor(c_boot())

    async def run() -> None:
        transfer = FirmwareTransfer(image(NEW), sensor.pause)
        await transfer.send(sensor)
        await transfer.finish(sensor)

    asyncio.run(run())
    sensor.reboot()
    assert sensor.version == NEW
    assert sensor.sensor.restart_due(TRIAL_S)
    sensor.reboot()
    assert sensor.version == (0, 1, 0)


def test_the_core_without_a_release_key_takes_nothing() -> None:
    sensor = UpdatedSensor(c_boot(signer=None))
    with pytest.raises(UpdateFailed, match="takes no updates"):
        asyncio.run(FirmwareTransfer(image(NEW), sensor.pause).send(sensor))


IMAGES = [image(NEW, 66_000), image(NEW, 700), image(NEW, 300, chip=9), image((0, 1, 0))]


def test_both_cores_answer_the_same() -> None:
    """Any row of orders, with right and wrong images, chunks that fit or do not, and restarts."""
    installed = 0
    for seed in range(4):
        chance = random.Random(seed)
        sensors = [UpdatedSensor(c_boot()), UpdatedSensor(python_boot())]
        firmware = IMAGES[0]
        for _ in range(60):
            firmware = chance.choice(IMAGES) if chance.random() < 0.05 else firmware
            orders = _orders(chance, firmware, sensors[0])
            pause_s = chance.choice([0.0, 6.0])
            said = [_say(sensor, orders, pause_s) for sensor in sensors]
            assert said[0] == said[1]
            restarts = [_work(sensor) for sensor in sensors]
            assert restarts[0] == restarts[1]
            installed += restarts[0]
            if restarts[0] or chance.random() < 0.01:
                for sensor in sensors:
                    sensor.reboot()
            assert sensors[0].version == sensors[1].version
    assert installed


def _work(sensor: UpdatedSensor) -> bool:
    """Time for the core to hash a whole image; is its restart due?"""
    return [sensor.sensor.restart_due(0.0) for _ in range(20)][-1]


def _orders(chance: random.Random, firmware: FirmwareImage, sensor: UpdatedSensor) -> list[Command]:
    begin = Command(MessageType.UPDATE_BEGIN, firmware.manifest.encode())
    kind = chance.randrange(4)
    if kind == 0:
        return [begin]
    if kind == 1:
        return [Command(MessageType.UPDATE_FINISH)]
    if kind == 2:
        at = chance.choice([0, 240, 65_520, 65_536])
        part = firmware.application[at : at + chance.choice([16, 17, 32, 240])]
        return [Command.update_chunk(at, part or b"\0")]
    answer = sensor.order(begin)
    at = answer.offset if answer.code is AnswerCode.DONE else 0
    chunks = []
    while at < len(firmware.application) and len(chunks) < 300:
        length = min(240, 65_536 - at % 65_536)
        chunks.append(Command.update_chunk(at, firmware.application[at : at + length]))
        at += length
    return [begin, *chunks, begin]


def _say(
    sensor: UpdatedSensor, orders: list[Command], pause_s: float
) -> list[tuple[AnswerCode, bytes]]:
    sensor.now_s += pause_s
    answers = []
    for order in orders:
        if order.type is MessageType.UPDATE_CHUNK:
            sensor.send(order)
        else:
            answer = sensor.order(order)
            answers.append((answer.code, answer.body))
    return answers
