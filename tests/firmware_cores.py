"""A sensor that takes updates, with either core, and the gateway's talk with it; no radio."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gateway.messages import DeviceId, FrameFlags
from gateway.radio.message_codec import (
    Acknowledgement,
    Answer,
    Command,
    Direction,
    MessageKey,
    MessageType,
    SensorStatus,
)
from gateway.radio.source import LinkLost
from gateway.simulator.firmware_slots import FirmwareSlots
from gateway.simulator.outbox import LEAST_HELD_FRAMES, Outbox
from gateway.simulator.sensor_core import SensorCore, SensorIdentity
from gateway.simulator.virtual_sensor import boot_twin
from tests.firmware_image import SIGNER

ROOT_KEY = bytes(range(32))
HELD_FRAMES = LEAST_HELD_FRAMES + 400


def c_boot(signer: bytes | None = SIGNER) -> Callable[..., SensorCore]:
    from gateway.simulator.c_core import CCore

    return CCore(HELD_FRAMES, signer).boot


def python_boot(signer: bytes | None = SIGNER) -> Callable[..., SensorCore]:
    return boot_twin(Outbox(HELD_FRAMES), FirmwareSlots(signer))


class UpdatedSensor:
    """A SensorTalk with the sensor itself; `now_s` moves when the transfer pauses."""

    def __init__(self, boot: Callable[..., SensorCore]) -> None:
        self._boot = boot
        self._boots = 0
        self.now_s = 100.0
        self.messages_left: int | None = None  # until the link is lost; None: it holds
        self.reboot()

    def reboot(self) -> None:
        self._boots += 1
        self.sensor = self._boot(SensorIdentity(DeviceId(42), self._boots, ROOT_KEY), 250, 10.0)
        self.sensor.connected(self.now_s)
        self._counter = 0

    @property
    def version(self) -> tuple[int, int, int]:
        return SensorStatus.decode(self.sensor.status()).firmware_version

    def sample(self) -> None:
        self.sensor.sampled(np.zeros(187, np.int16), FrameFlags(0), 0)

    def acknowledge(self, following: int) -> None:
        session = self.sensor.session
        payload = Acknowledgement(session.boot_id, session.salt, following).encode()
        self._say(MessageType.ACKNOWLEDGEMENT, payload)

    def send(self, command: Command) -> None:
        self._spend()
        self._say(command.type, command.argument)
        self.now_s += 0.01

    async def ask(self, command: Command) -> Answer:
        self._spend()
        return self.order(command)

    def order(self, command: Command) -> Answer:
        answers = self._say(command.type, command.argument)
        opened = MessageKey(ROOT_KEY, self.sensor.session, Direction.UP).open(answers[0])
        assert (opened.type, opened.counter) == (MessageType.ANSWER, self._counter)
        return Answer.decode(opened.payload)

    async def pause(self, seconds: float) -> None:
        self.now_s += seconds
        self.sensor.restart_due(0.0)  # a board asks all the time, which hashes

    def _say(self, kind: MessageType, payload: bytes) -> list[bytes]:
        self._counter += 1
        key = MessageKey(ROOT_KEY, self.sensor.session, Direction.DOWN)
        return self.sensor.received(key.seal(kind, self._counter, payload), self.now_s)

    def _spend(self) -> None:
        if self.messages_left is not None:
            if self.messages_left == 0:
                raise LinkLost("disconnected")
            self.messages_left -= 1
