"""A sensor's end of a link, written against the SensorLink port."""

from __future__ import annotations

import asyncio
import os

from gateway.messages import SessionId
from gateway.radio.message_codec import (
    Acknowledgement,
    Answer,
    AnswerCode,
    Command,
    Direction,
    MessageKey,
    MessageType,
    SensorStatus,
    StatusFlags,
)
from tests.ward.bench import ROOT_KEY, SESSION


def status(session: SessionId = SESSION, battery_percent: int | None = 80) -> SensorStatus:
    return SensorStatus((1, 0, 0), session, 250_000, battery_percent, StatusFlags.SAMPLING)


class FakeLink:
    """Opens what the gateway sends, as the sensor would, and seals what it answers."""

    name = "0A0B"
    adapter = "hci0"

    def __init__(self, session: SessionId = SESSION, root_key: bytes = ROOT_KEY) -> None:
        self._down = MessageKey(root_key, session, Direction.DOWN)
        self._up = MessageKey(root_key, session, Direction.UP)
        self.acknowledgements: list[Acknowledgement] = []
        self.commands: list[tuple[int, Command]] = []
        self.closed = False
        self.takes_commands = asyncio.Event()  # cleared: they wait on the air
        self.takes_commands.set()
        self.waiting = 0

    async def read_status(self) -> bytes:
        return status().encode()

    async def acknowledge(self, message: bytes) -> None:
        opened = self._down.open(message)
        assert opened.type is MessageType.ACKNOWLEDGEMENT
        self.acknowledgements.append(Acknowledgement.decode(opened.payload))

    async def command(self, message: bytes) -> None:
        self.waiting += 1
        await self.takes_commands.wait()
        opened = self._down.open(message)
        self.commands.append((opened.counter, Command.decode(opened.type, opened.payload)))

    takes_updates = True

    async def update(self, message: bytes) -> None:
        await self.command(message)

    async def close(self) -> None:
        self.closed = True

    def answer(self, counter: int, answer: Answer) -> bytes:
        return self._up.seal(MessageType.ANSWER, counter, answer.encode())

    def done(self, counter: int, command: MessageType, body: bytes = b"") -> bytes:
        return self.answer(counter, Answer(command, AnswerCode.DONE, body))

    def report(self, payload: bytes) -> bytes:
        return self._up.seal(MessageType.HELD_REPORT, 0, payload)

    @staticmethod
    def stranger() -> FakeLink:
        """Somebody who does not know the root key."""
        return FakeLink(root_key=os.urandom(32))
