"""What the gateway says to one connected sensor, and what it hears back, all of it sealed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.counters import Counters
from gateway.messages import SessionId
from gateway.radio.message_codec import (
    Acknowledgement,
    Answer,
    AnswerCode,
    Command,
    Direction,
    HeldSession,
    MessageKey,
    MessageRefused,
    MessageType,
    SensorStatus,
    decode_held_report,
)
from gateway.radio.source import LinkLost, SensorLink

MAX_UNANSWERED = 16  # commands that wait for their answer; a sensor answers one at a time


class ConversationListener(Protocol):
    """Who is told what the sensor said, once it has proved authentic."""

    def acknowledgements(self) -> Sequence[Acknowledgement]:
        """What the sensor should be told now."""
        ...

    def sensor_holds(self, held: Sequence[HeldSession]) -> None: ...

    def sensor_status(self, status: SensorStatus) -> None: ...


class Conversation:
    """Talks over one link until it is lost; `run` is its task."""

    def __init__(
        self,
        link: SensorLink,
        session: SessionId,
        root_key: bytes,
        listener: ConversationListener,
        unix_s: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._link = link
        self._listener = listener
        self._unix_s = unix_s
        self._counters = counters
        self._wanted = asyncio.Event()
        self._counter = 0
        self._unanswered: dict[int, Command] = {}
        self._to_send: list[Command] = []
        self.use_session(session, root_key)

    def use_session(self, session: SessionId, root_key: bytes) -> None:
        """The sensor runs another session from now on: other keys, counters from the start."""
        self._down = MessageKey(root_key, session, Direction.DOWN)
        self._up = MessageKey(root_key, session, Direction.UP)
        self._counter = 0
        self._unanswered.clear()
        self.send(Command(MessageType.REQUEST_STATUS))
        self.send(Command.set_unix_time(int(self._unix_s() * 1e6)))

    def send(self, command: Command) -> None:
        """Queue a command."""
        self._to_send.append(command)
        self._wanted.set()

    def acknowledge(self) -> None:
        """Something has become durable: tell the sensor soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Send what is wanted, one message at a time; returns when the link is lost."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                commands, self._to_send = self._to_send, []
                for command in commands:
                    await self._link.command(self._seal_command(command))
                for acknowledgement in self._listener.acknowledgements():
                    await self._link.acknowledge(self._seal_acknowledgement(acknowledgement))
        except LinkLost:
            return

    def receive(self, message: bytes) -> None:
        """Take a message of the control characteristic; a wrong one is counted."""
        try:
            opened = self._up.open(message)
            match opened.type:
                case MessageType.ANSWER:
                    self._take_answer(opened.counter, Answer.decode(opened.payload))
                case MessageType.HELD_REPORT:
                    self._listener.sensor_holds(decode_held_report(opened.payload))
                case _:
                    self._count_refusal("unexpected type")
        except MessageRefused as refused:
            self._count_refusal(refused.reason)

    def _take_answer(self, counter: int, answer: Answer) -> None:
        command = self._unanswered.pop(counter, None)
        if command is None or command.type is not answer.command:
            self._count_refusal("answer to nothing")
        elif answer.code is AnswerCode.COUNTER_PASSED:
            self._counter = max(self._counter, answer.reached_counter)
            self.send(command)
        elif answer.code is not AnswerCode.DONE:
            self._counters.add(
                "ecg_commands_refused_total", command=command.type.name, code=answer.code.name
            )
        elif command.type is MessageType.REQUEST_STATUS:
            self._listener.sensor_status(SensorStatus.decode(answer.body))

    def _seal_command(self, command: Command) -> bytes:
        self._counter += 1
        self._unanswered[self._counter] = command
        if len(self._unanswered) > MAX_UNANSWERED:
            del self._unanswered[min(self._unanswered)]
        return self._down.seal(command.type, self._counter, command.argument)

    def _seal_acknowledgement(self, acknowledgement: Acknowledgement) -> bytes:
        self._counter += 1
        return self._down.seal(MessageType.ACKNOWLEDGEMENT, self._counter, acknowledgement.encode())

    def _count_refusal(self, reason: str) -> None:
        self._counters.add("ecg_messages_refused_total", reason=reason)
