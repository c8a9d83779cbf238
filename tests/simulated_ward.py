"""A virtual ward in the test's own event loop, and a gateway that takes what it sends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from bumble.link import LocalLink

from gateway.config import RadioConfig
from gateway.counters import Counters
from gateway.messages import SAMPLES_PER_FRAME, DeviceId, FrameFlags, SessionId
from gateway.radio.ble import BleSource
from gateway.radio.frame_codec import derive_frame_key, open_frame, read_header
from gateway.radio.gatt import WANTED_MTU, GattCharacteristic
from gateway.radio.message_codec import (
    Acknowledgement,
    Answer,
    Command,
    Direction,
    MessageKey,
    MessageType,
    SensorStatus,
)
from gateway.radio.source import LinkLost, SensorLink
from gateway.simulator.board import Board
from gateway.simulator.cores import open_core
from gateway.simulator.ecg_sources import FrameSamples
from gateway.simulator.flash import Flash
from gateway.simulator.ward import Ward

HELD_FRAMES = 5000


def root_key(device_id: int) -> bytes:
    return bytes([device_id]) * 32


class CountingEcg:
    """`frames` frames whose samples count up, endless with None."""

    def __init__(self, frames: int | None = None, sample_rate_hz: int = 250) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._left = frames
        self._at = 0

    def next_frame(self) -> FrameSamples | None:
        if self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        steps = (np.arange(self._at, self._at + SAMPLES_PER_FRAME) % 32768).astype(np.int16)
        self._at += SAMPLES_PER_FRAME
        return FrameSamples(steps, FrameFlags(0))


class SimulatedWard:
    """Boards on one virtual air; `adapter` is a name for RadioConfig, however often it is used."""

    def __init__(self) -> None:
        self.link = LocalLink()
        self.boards: list[Board] = []
        self.adapter = ""

    def add(
        self,
        device_id: int,
        frames: int | None = None,
        mtu: int = WANTED_MTU,
        speed: float = 30.0,
        patience_s: float = 10.0,
        secret: bytes | None = None,
        core: str = "python",
    ) -> Board:
        """With a `secret` it is a new sensor, which waits for whoever knows its label."""
        outbox, boot_core = open_core(core, HELD_FRAMES)
        board = Board(
            DeviceId(device_id),
            root_key(device_id),
            lambda rate_hz: CountingEcg(frames, rate_hz or 250),
            outbox,
            boot_core,
            Flash(None, ""),
            self.link,
            mtu,
            speed,
            patience_s,
            secret,
        )
        self.boards.append(board)
        return board

    @contextlib.asynccontextmanager
    async def open(self, port: int = 0) -> AsyncIterator[None]:
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        ward = Ward(self.link, self.boards)
        async with running(ward.run("127.0.0.1", port, listening.set_result, lambda _: None)):
            self.adapter = f"virtual:127.0.0.1:{await listening}"
            yield


class FakeGateway:
    """A LinkListener that opens every frame and acknowledges it at once."""

    def __init__(self) -> None:
        self.frames: dict[SessionId, dict[int, bytes]] = defaultdict(dict)
        self.frames_received = 0
        self.answers: list[Answer] = []
        self.reports = 0
        self.links: list[SensorLink] = []
        self.ends: list[str] = []
        self.connects: Counter[str] = Counter()
        self._sessions: dict[SensorLink, SessionId] = {}
        self._counters: Counter[SessionId] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def connected(self, link: SensorLink, status: bytes) -> None:
        assert link not in self.links
        self._sessions[link] = SensorStatus.decode(status).session
        self.links.append(link)
        self.connects[link.name] += 1
        self.order(link, Command(MessageType.REQUEST_STATUS))
        self._changed.set()

    def received(
        self, link: SensorLink, characteristic: GattCharacteristic, message: bytes
    ) -> None:
        assert link in self.links, "nothing comes from a link that has ended"
        if characteristic is GattCharacteristic.CONTROL:
            self._control(link, message)
        else:
            self._frame(link, message)
        self._changed.set()

    def disconnected(self, link: SensorLink, reason: str) -> None:
        self.links.remove(link)
        self.ends.append(reason)
        self._changed.set()

    def order(self, link: SensorLink, command: Command) -> None:
        self._start(link.command(self._seal(link, command.type, command.argument)))

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _control(self, link: SensorLink, message: bytes) -> None:
        key = MessageKey(self._root_key(link), self._sessions[link], Direction.UP)
        header = key.open(message)
        if header.type is MessageType.ANSWER:
            self.answers.append(Answer.decode(header.payload))
        else:
            self.reports += 1

    def _frame(self, link: SensorLink, sealed: bytes) -> None:
        session = read_header(sealed).session
        frame = open_frame(derive_frame_key(self._root_key(link), session), sealed)
        self.frames_received += 1
        known = self.frames[session].setdefault(frame.sequence, sealed)
        assert known == sealed, "a frame is never sealed twice"
        payload = self._acknowledgement(session).encode()
        message = self._seal(link, MessageType.ACKNOWLEDGEMENT, payload)
        self._start(link.acknowledge(message))

    def _acknowledgement(self, session: SessionId) -> Acknowledgement:
        sequences = self.frames[session]
        following = next(n for n in range(len(sequences) + 1) if n not in sequences)
        return Acknowledgement(session.boot_id, session.salt, following)

    def _seal(self, link: SensorLink, type: MessageType, payload: bytes) -> bytes:
        session = self._sessions[link]
        key = MessageKey(self._root_key(link), session, Direction.DOWN)
        self._counters[session] += 1
        return key.seal(type, self._counters[session], payload)

    def _root_key(self, link: SensorLink) -> bytes:
        return root_key(self._sessions[link].device_id)

    def _start(self, sending: object) -> None:
        async def send() -> None:
            with contextlib.suppress(LinkLost):
                await sending  # type: ignore[misc]  # a coroutine of the link

        task = asyncio.get_running_loop().create_task(send())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def running(work: object) -> AsyncIterator[asyncio.Task[None]]:
    """Run a coroutine beside the test; its error is the test's error."""
    task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]  # a coroutine
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def gateway_on(
    adapters: Sequence[str], **config: object
) -> AsyncIterator[tuple[BleSource, FakeGateway]]:
    """The gateway's own radio code on these adapters, and the listener behind it."""
    source = BleSource(RadioConfig(adapters=tuple(adapters), **config), Counters())  # type: ignore[arg-type]  # its fields
    gateway = FakeGateway()
    async with running(source.run(gateway)):
        yield source, gateway
