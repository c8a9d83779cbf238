"""A gateway's ward on its real radio code, and a virtual sensor that it may pair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config import RadioConfig
from gateway.messages import DeviceId
from gateway.radio.ble import BleSource
from gateway.radio.gatt import WANTED_MTU
from gateway.radio.keyring import Keyring
from gateway.radio.message_codec import MessageType
from gateway.radio.sensor_label import SensorLabel
from gateway.simulator.board import Board
from gateway.ward.pairing import Pairing
from gateway.ward.pairing_desk import PairingDesk
from tests.simulated_ward import SimulatedWard, root_key, running
from tests.ward.conftest import WardBench, open_ward

SENSOR = DeviceId(1)
LABEL = SensorLabel(SENSOR, bytes(range(0xA0, 0xC0)))
ROOT_KEY = root_key(SENSOR)
SPEED = 10.0
PATIENCE_S = 20.0


@dataclass
class House:
    """The gateway, the one sensor, and what the test wants to know of both."""

    bench: WardBench
    board: Board
    radio: BleSource

    @property
    def desk(self) -> PairingDesk:
        return self.bench.ward.pairings

    @property
    def keyring(self) -> Keyring:
        return self.desk._keyring

    async def pair(self, label: SensorLabel = LABEL, again: bool = False) -> Pairing:
        """Until it is over, as the command line does."""
        pairing = self.bench.ward.pair(label, again)
        self.radio.look_again()
        while not pairing.over:
            await pairing.change_after(len(pairing.steps))
        return pairing

    async def until(self, holds: Callable[[], bool]) -> None:
        await self.bench.until(holds, PATIENCE_S)

    async def until_heard(self, generation: int = 1) -> None:
        """Until a frame is durable that was sealed under this generation."""
        await self.until(lambda: generation in self.generations())

    async def until_connected(self) -> None:
        await self.until(lambda: self.bench.ward.is_connected(SENSOR))

    async def until_all_is_stored(self) -> int:
        """Stop the sensor's heart; how many frames of it the gateway has, once none is missing."""
        self.board.sensor.sampling = False
        await self.until(lambda: self.board.stat()["held"] == 0)
        ranges = [
            self.bench.reader.received_ranges(stored.session)
            for stored in self.bench.reader.sessions_of(SENSOR)
        ]
        assert all(len(each) == 1 and each[0][0] == 0 for each in ranges), "a frame is missing"
        return sum(last + 1 for ((_, last),) in ranges)

    def generations(self) -> set[int]:
        stored = self.bench.reader.sessions_of(SENSOR)
        return {each.key_generation for each in stored}


@asynccontextmanager
async def open_house(folder: Path, ward: SimulatedWard, board: Board) -> AsyncIterator[House]:
    """A gateway with its state in `folder`, from its start to its end; the ward is open."""
    async with open_ward(folder) as bench:
        radio = BleSource(RadioConfig(adapters=(ward.adapter,)), bench.counters)
        async with running(radio.run(bench.ward)):
            bench.ward.pairings.answer_s = PATIENCE_S
            yield House(bench, board, radio)
        assert bench.ward._failures.empty(), bench.ward._failures.get_nowait()


def new_sensor(
    core: str, paired: bool = False, mtu: int = WANTED_MTU
) -> tuple[SimulatedWard, Board]:
    ward = SimulatedWard()
    secret = None if paired else LABEL.secret
    return ward, ward.add(SENSOR, mtu=mtu, speed=SPEED, secret=secret, core=core)


class Cut:
    """Cuts the link at a message that the sensor is sent: before it is heard, or after.

    What the sensor answers is lost either way.
    """

    def __init__(self, board: Board, after: bool, wanted: Callable[[bytes], bool]) -> None:
        self._board = board
        self._after = after
        self._wanted = wanted
        self._heard = board.on_message
        self.done = asyncio.Event()
        board.on_message = self._hear  # type: ignore[method-assign]  # the sensor's ear

    def _hear(self, message: bytes) -> None:
        if self.done.is_set() or not self._wanted(message):
            self._heard(message)
            return
        if self._after:
            self._heard(message)
        self.done.set()
        self._board.radio.lose_link()


def rotate_order(message: bytes) -> bool:
    return message[0] == MessageType.ROTATE_KEY


def offer(board: Board) -> Callable[[bytes], bool]:
    """The first question after the sensor has drawn a key: it is under that one."""

    def wanted(message: bytes) -> bool:
        drawn = board.sensor.identity.pending_key is not None
        return drawn and message[0] == MessageType.REQUEST_STATUS

    return wanted
