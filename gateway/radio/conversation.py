"""What the gateway says to one connected sensor, and what it hears back, all of it sealed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.counters import Counters
from gateway.messages import SessionId
from gateway.radio.message_codec import (
    UPDATE_TYPES,
    Acknowledgement,
    Answer,
    AnswerCode,
    Command,
    Direction,
    HeldSession,
    MessageKey,
    MessageRefusal,
    MessageRefused,
    MessageType,
    SealedHeader,
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

    def key_adopted(self, root_key: bytes) -> None:
        """The sensor has taken the pending root key."""
        ...


class _MessageKeys:
    """Both directions' keys of one session under one root key."""

    def __init__(self, root_key: bytes, session: SessionId) -> None:
        self.root_key = root_key
        self.down = MessageKey(root_key, session, Direction.DOWN)
        self.up = MessageKey(root_key, session, Direction.UP)


@dataclass(frozen=True, slots=True)
class _Order:
    """A command, the keys that it goes out under, and who waits for its answer."""

    command: Command
    keys: _MessageKeys
    answer: asyncio.Future[Answer] | None = None


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
        pending_key: bytes | None = None,
    ) -> None:
        self._link = link
        self._listener = listener
        self._unix_s = unix_s
        self._counters = counters
        self._wanted = asyncio.Event()
        self._counter = 0
        self._unanswered: dict[int, _Order] = {}
        self._to_send: deque[_Order] = deque()
        self._pending: _MessageKeys | None = None
        self._adopted: asyncio.Future[None] | None = None
        self._lost: str | None = None  # why the link is, once it is
        self.use_session(session, root_key, pending_key)

    @property
    def root_key(self) -> bytes:
        """The one that the sensor is talked to under."""
        return self._keys.root_key

    def use_session(
        self, session: SessionId, root_key: bytes, pending_key: bytes | None = None
    ) -> None:
        """The sensor runs another session from now on: other keys, counters from the start.

        With a `pending_key` it is asked under that one too, and if it answers, that one serves.
        """
        self.key_proven(root_key)
        self._stop_waiting("another session began")
        self.session = session
        self._keys = _MessageKeys(root_key, session)
        self._counter = 0
        self.send(Command(MessageType.REQUEST_STATUS))
        self.send(Command.set_unix_time(int(self._unix_s() * 1e6)))
        if pending_key is not None:
            self._try_key(pending_key)

    def send(self, command: Command) -> None:
        """Queue a command."""
        self._queue(_Order(command, self._keys))

    async def ask(self, command: Command) -> Answer:
        """Queue a command and wait for its answer; raises LinkLost, also when a session begins."""
        if self._lost is not None:
            raise LinkLost(self._lost)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue(_Order(command, self._keys, answer))
        return await answer

    async def offer_key(self, root_key: bytes) -> None:
        """Use the sensor's pending key, until it does too; raises LinkLost."""
        if self._lost is not None:
            raise LinkLost(self._lost)
        self._adopted = asyncio.get_running_loop().create_future()
        self._try_key(root_key)
        await self._adopted

    def key_proven(self, root_key: bytes) -> None:
        """The sensor uses this key in this session: if it is the pending one, it serves now."""
        if self._pending is not None and self._pending.root_key == root_key:
            self._keys, self._pending = self._pending, None
            self._listener.key_adopted(root_key)
            if self._adopted is not None and not self._adopted.done():
                self._adopted.set_result(None)

    def acknowledge(self) -> None:
        """Something has become durable: tell the sensor soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Send what is wanted, one message at a time; returns when the link is lost."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._to_send:
                    await self._send_order(self._to_send.popleft())
                for acknowledgement in self._listener.acknowledgements():
                    await self._link.acknowledge(self._seal_acknowledgement(acknowledgement))
        except LinkLost as lost:
            self._lost = lost.reason
        finally:
            self._lost = self._lost or "disconnected"
            self._stop_waiting(self._lost)

    def receive(self, message: bytes) -> None:
        """Take a message of control or firmware; a wrong one is counted."""
        try:
            opened = self._open(message)
            match opened.type:
                case MessageType.ANSWER:
                    self._take_answer(opened.counter, Answer.decode(opened.payload))
                case MessageType.HELD_REPORT:
                    self._listener.sensor_holds(decode_held_report(opened.payload))
                case _:
                    self._count_refusal("unexpected type")
        except MessageRefused as refused:
            self._count_refusal(refused.reason)

    def _open(self, message: bytes) -> SealedHeader:
        """Under the key that serves, or under the pending one, which serves from then on."""
        pending = self._pending
        try:
            return self._keys.up.open(message)
        except MessageRefused as refused:
            if pending is None or refused.reason is not MessageRefusal.NOT_AUTHENTIC:
                raise
        opened = pending.up.open(message)
        self.key_proven(pending.root_key)
        return opened

    def _take_answer(self, counter: int, answer: Answer) -> None:
        order = self._unanswered.pop(counter, None)
        if order is None or order.command.type is not answer.command:
            self._count_refusal("answer to nothing")
            return
        if answer.code is AnswerCode.COUNTER_PASSED:
            self._counter = max(self._counter, answer.reached_counter)
            self._queue(order)
            return
        if answer.code is not AnswerCode.DONE:
            self._counters.add(
                "ecg_commands_refused_total", command=answer.command.name, code=answer.code.name
            )
        elif answer.command is MessageType.REQUEST_STATUS:
            self._listener.sensor_status(SensorStatus.decode(answer.body))
        if order.answer is not None and not order.answer.done():
            order.answer.set_result(answer)

    def _queue(self, order: _Order) -> None:
        self._to_send.append(order)
        self._wanted.set()

    def _try_key(self, root_key: bytes) -> None:
        self._pending = _MessageKeys(root_key, self.session)
        self._queue(_Order(Command(MessageType.REQUEST_STATUS), self._pending))

    def _stop_waiting(self, reason: str) -> None:
        """Nothing that was sent or is to be sent will be answered any more."""
        waiting = [order.answer for order in (*self._unanswered.values(), *self._to_send)]
        for future in (*waiting, self._adopted):
            if future is not None and not future.done():
                future.set_exception(LinkLost(reason))
        self._unanswered.clear()
        self._to_send.clear()
        self._pending = self._adopted = None

    async def _send_order(self, order: _Order) -> None:
        updates = order.command.type in UPDATE_TYPES
        send = self._link.update if updates else self._link.command
        await send(self._seal_command(order))

    def _seal_command(self, order: _Order) -> bytes:
        self._counter += 1
        if order.command.type is not MessageType.UPDATE_CHUNK:  # those are not answered
            self._unanswered[self._counter] = order
        if len(self._unanswered) > MAX_UNANSWERED:
            del self._unanswered[min(self._unanswered)]
        return order.keys.down.seal(order.command.type, self._counter, order.command.argument)

    def _seal_acknowledgement(self, acknowledgement: Acknowledgement) -> bytes:
        self._counter += 1
        return self._keys.down.seal(
            MessageType.ACKNOWLEDGEMENT, self._counter, acknowledgement.encode()
        )

    def _count_refusal(self, reason: str) -> None:
        self._counters.add("ecg_messages_refused_total", reason=reason)
