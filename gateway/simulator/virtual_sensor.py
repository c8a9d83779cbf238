"""The sensor's side of the protocol (docs/protocol.md), without I/O: time is passed in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gateway.messages import (
    LEGAL_SAMPLE_RATES_HZ,
    SALT_BYTES,
    SAMPLES_PER_FRAME,
    FrameFlags,
    FrameSequence,
    SessionId,
)
from gateway.radio.frame_codec import FrameHeader, derive_frame_key, seal_frame
from gateway.radio.key_rotation import KeyExchange
from gateway.radio.message_codec import (
    MAX_HELD_SESSIONS,
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
    StatusFlags,
    encode_held_report,
)
from gateway.radio.x25519 import X25519_BYTES
from gateway.simulator.firmware_slots import FirmwareSlots
from gateway.simulator.outbox import Outbox
from gateway.simulator.pairing import SensorPairing
from gateway.simulator.sensor_core import BootCore, SensorIdentity

BATTERY_PERCENT = 100  # it lives on this machine's power
STRANGER_TIMEOUT_S = 10.0  # a central that sent nothing valid and sealed by then is dropped
MAX_ENDED_SESSIONS = 64  # of which the sensor still knows where they ended

_LEAD_OFF = FrameFlags.LEAD_OFF_POSITIVE | FrameFlags.LEAD_OFF_NEGATIVE


class _RunningSession:
    """The session that runs now: its keys and its counters."""

    def __init__(self, identity: SensorIdentity, sample_rate_hz: int, salt: bytes) -> None:
        self.id = SessionId(identity.device_id, identity.boot_id, salt)
        self.sample_rate_hz = sample_rate_hz
        self.next_sequence = 0
        self.reached_counter = -1  # of commands
        self.reports = 0
        self.frame_key = derive_frame_key(identity.root_key, self.id)
        self.use_message_keys(identity.root_key)

    def use_message_keys(self, root_key: bytes) -> None:
        self.down_key = MessageKey(root_key, self.id, Direction.DOWN)
        self.up_key = MessageKey(root_key, self.id, Direction.UP)


class VirtualSensor:
    """One sensor from a boot to the next.

    `random_bytes(n)` draws the session salts: if one came again, a nonce would be used twice.
    """

    def __init__(
        self,
        identity: SensorIdentity,
        sample_rate_hz: int,
        outbox: Outbox,
        random_bytes: Callable[[int], bytes],
        stranger_timeout_s: float = STRANGER_TIMEOUT_S,
        slots: FirmwareSlots | None = None,
    ) -> None:
        self._slots = slots or FirmwareSlots()
        self._slots.boot()
        self._stranger_timeout_s = stranger_timeout_s
        self.outbox = outbox
        self.refused: Counter[MessageRefusal] = Counter()
        self.sampling = True
        self.unix_minus_device_us: int | None = None
        self.identifies_until_s = 0.0
        self.identity = identity
        self._pairing: SensorPairing | None = None
        self._random_bytes = random_bytes
        self._connected_s: float | None = None
        self._trusted = False  # the central has sent something valid and sealed
        self._reported_overwritten = outbox.overwritten
        self._lead_off = FrameFlags(0)
        self._ended = {session: newest + 1 for session, newest in outbox.newest().items()}
        self._running = _RunningSession(identity, sample_rate_hz, random_bytes(SALT_BYTES))

    @property
    def session(self) -> SessionId:
        return self._running.id

    @property
    def refusals(self) -> int:
        return self.refused.total()

    @property
    def sample_rate_hz(self) -> int:
        return self._running.sample_rate_hz

    @property
    def frame_period_s(self) -> float:
        return SAMPLES_PER_FRAME / self.sample_rate_hz

    def status(self) -> bytes:
        """The status characteristic's value."""
        flags = StatusFlags(int(self._lead_off))
        flags |= StatusFlags.PROVISIONED * self.identity.provisioned
        flags |= StatusFlags.PAIRING_WINDOW * (self._pairing is not None)
        flags |= StatusFlags.SAMPLING * self.sampling
        rate_millihertz = 1000 * self.sample_rate_hz
        return SensorStatus(
            self._slots.running.version, self.session, rate_millihertz, BATTERY_PERCENT, flags
        ).encode()

    def sampled(self, steps: NDArray[np.int16], flags: FrameFlags, device_time_us: int) -> None:
        """Seal 187 samples into the session's next frame: the one time that it is sealed."""
        running = self._running
        sequence = FrameSequence(running.next_sequence)
        header = FrameHeader(running.id, sequence, flags, device_time_us, running.sample_rate_hz)
        sealed = seal_frame(running.frame_key, header, steps)
        self.outbox.add(running.id, sequence, sealed, live=self._connected_s is not None)
        running.next_sequence += 1
        self._lead_off = flags & _LEAD_OFF

    def connected(self, now_s: float) -> None:
        self._connected_s = now_s
        self._trusted = False

    def disconnected(self) -> None:
        self._connected_s = None
        self._trusted = False
        self.outbox.link_lost()

    def must_drop(self, now_s: float) -> bool:
        """The central is a stranger, and the sensor's one link is not for strangers."""
        if self._connected_s is None or self._trusted or self._pairing is not None:
            return False
        return now_s - self._connected_s >= self._stranger_timeout_s

    def received(self, message: bytes, now_s: float) -> list[bytes]:
        """Take a message of acknowledge or control; returns what to indicate on control."""
        root_key, answers = self.identity.root_key, None
        try:
            answers = self._obey(self._open(message), now_s)
        except MessageRefused as error:
            self.refused[error.reason] += 1
        if self.identity.root_key != root_key:
            self._begin_session(self.sample_rate_hz)  # no frame follows under the old key
        if answers is not None and not self._trusted:
            self._trusted = True
            answers.append(self._held_report())
        return answers or []

    def restart_due(self, up_s: float) -> bool:
        """Into new firmware, or back from one that failed its trial; call it now and then."""
        oldest = self.outbox.oldest(self.session)
        heard = self._running.next_sequence > 0 and oldest != 0 and self.outbox.acknowledged > 0
        return self._slots.try_out(heard, up_s) or self._slots.restarts

    def overdue_report(self) -> list[bytes]:
        """A held report, if a frame had to be given up since the last one."""
        if not self._trusted or self.outbox.overwritten == self._reported_overwritten:
            return []
        return [self._held_report()]

    def open_pairing_window(self, secret: bytes) -> None:
        self._pairing = SensorPairing(self.identity.device_id, secret, self._random_bytes)

    def close_pairing_window(self) -> None:
        self._pairing = None

    def provision(self, message: bytes) -> list[bytes]:
        """Take a message of provision; returns what to indicate on it."""
        if self._pairing is None:
            return []
        answers = self._pairing.received(message, self.identity.root_key)
        if self._pairing.confirmed:
            self.identity = replace(self.identity, provisioned=True)
            self.close_pairing_window()
        return answers

    def _open(self, message: bytes) -> SealedHeader:
        """Under the key that serves, or under the pending one, which serves from then on."""
        pending = self.identity.pending_key
        try:
            return self._running.down_key.open(message)
        except MessageRefused as error:
            if pending is None or error.reason is not MessageRefusal.NOT_AUTHENTIC:
                raise
        header = MessageKey(pending, self.session, Direction.DOWN).open(message)
        self.identity = replace(self.identity, root_key=pending, pending_key=None)
        self._running.use_message_keys(pending)  # for the answer
        return header

    def _obey(self, header: SealedHeader, now_s: float) -> list[bytes]:
        if header.type is MessageType.ACKNOWLEDGEMENT:
            self._acknowledge(Acknowledgement.decode(header.payload), now_s)
            return []
        command = Command.decode(header.type, header.payload)
        running = self._running  # the answer is sealed under it, although the command may end it
        if header.counter <= running.reached_counter:
            answer = Answer.counter_passed(command.type, running.reached_counter)
        else:
            running.reached_counter = header.counter
            executed = self._execute(command, now_s)
            if executed is None:
                return []
            answer = executed
        return [running.up_key.seal(MessageType.ANSWER, header.counter, answer.encode())]

    def _acknowledge(self, committed: Acknowledgement, now_s: float) -> None:
        session = SessionId(self.identity.device_id, committed.boot_id, committed.salt)
        self.outbox.resend_after_s = committed.resend_after_s
        self.outbox.acknowledge(session, committed.next_expected, committed.ranges, now_s)

    def _execute(self, command: Command, now_s: float) -> Answer | None:
        match command.type:
            case MessageType.START:
                if not self.sampling:
                    self._begin_session(self.sample_rate_hz)
                    self.sampling = True
            case MessageType.STOP:
                self.sampling = False
            case MessageType.SET_SAMPLE_RATE:
                if command.number not in LEGAL_SAMPLE_RATES_HZ:
                    return Answer(command.type, AnswerCode.BAD_ARGUMENT)
                self._begin_session(command.number)
                self.sampling = True
            case MessageType.SET_UNIX_TIME:
                self.unix_minus_device_us = command.number - round(now_s * 1e6)
            case MessageType.IDENTIFY:
                self.identifies_until_s = now_s + command.number
            case MessageType.REQUEST_STATUS:
                return Answer(command.type, AnswerCode.DONE, self.status())
            case MessageType.ROTATE_KEY:
                return self._rotate_key(command)
            case MessageType.UPDATE_BEGIN | MessageType.UPDATE_CHUNK | MessageType.UPDATE_FINISH:
                return self._slots.obey(command, True, now_s)  # the outbox outlives a restart
        return Answer(command.type, AnswerCode.DONE)

    def _rotate_key(self, command: Command) -> Answer:
        private_key = self._random_bytes(X25519_BYTES)
        exchange = KeyExchange(self.identity.root_key, self.session, private_key)
        try:
            pending_key = exchange.next_root_key(command.argument)
        except ValueError:
            return Answer(command.type, AnswerCode.BAD_ARGUMENT)
        self.identity = replace(self.identity, pending_key=pending_key)
        return Answer(command.type, AnswerCode.DONE, exchange.public_key)

    def _begin_session(self, sample_rate_hz: int) -> None:
        self._ended[self.session] = self._running.next_sequence
        while len(self._ended) > MAX_ENDED_SESSIONS:
            del self._ended[next(iter(self._ended))]
        salt = self._random_bytes(SALT_BYTES)
        self._running = _RunningSession(self.identity, sample_rate_hz, salt)

    def _held_report(self) -> bytes:
        """What is held of the sessions that are over, oldest first, and of the running one."""
        over = dict(islice(self._ended.items(), MAX_HELD_SESSIONS - 1))
        rows = []
        for session, following in {**over, self.session: self._running.next_sequence}.items():
            oldest = self.outbox.oldest(session)
            if oldest is None:
                oldest = following
                self._ended.pop(session, None)  # told once, and over
            rows.append(HeldSession(session.boot_id, session.salt, oldest, following))
        self._reported_overwritten = self.outbox.overwritten
        counter = self._running.reports
        self._running.reports += 1
        return self._running.up_key.seal(MessageType.HELD_REPORT, counter, encode_held_report(rows))


def boot_twin(outbox: Outbox, slots: FirmwareSlots | None = None) -> BootCore:
    """Boots of the Python twin over these held frames and slots of firmware."""

    def boot(
        identity: SensorIdentity, sample_rate_hz: int, stranger_timeout_s: float
    ) -> VirtualSensor:
        return VirtualSensor(
            identity, sample_rate_hz, outbox, os.urandom, stranger_timeout_s, slots
        )

    return boot
