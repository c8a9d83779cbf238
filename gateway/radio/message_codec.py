"""Sealed messages between gateway and sensor, and the status in the clear.

A message on the air is type (1) ‖ counter (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16); type, counter,
device id, boot id and salt are associated data (docs/protocol.md, "Sealed messages").
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from Crypto.Cipher import AES
from Crypto.Cipher._mode_gcm import GcmMode
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from Crypto.Random import get_random_bytes

from gateway.messages import LEGAL_SAMPLE_RATES_HZ, MAX_U32, DeviceId, SessionId
from gateway.radio.frame_codec import TAG_BYTES, session_info

NONCE_BYTES = 12
ENVELOPE_BYTES = 1 + 8 + NONCE_BYTES + TAG_BYTES
MAX_PAYLOAD_BYTES = 256  # the longest is a report of eight sessions: 225
MAX_MESSAGE_BYTES = ENVELOPE_BYTES + MAX_PAYLOAD_BYTES
MAX_RANGES = 8  # ranges above the next expected sequence, in one acknowledgement
LEAST_RESEND_S = 5
MOST_RESEND_S = 60  # what every sensor holds in RAM
MAX_HELD_SESSIONS = 8  # sessions in one report of what the sensor still holds
PROTOCOL_VERSION = 1
BATTERY_UNKNOWN = 255

_ENVELOPE = struct.Struct("<BQ12s")
_ACKNOWLEDGEMENT = struct.Struct("<I16sIBB")
_RANGE = struct.Struct("<II")
_HELD = struct.Struct("<I16sII")
_STATUS = struct.Struct("<BBBBII16sIBB")

STATUS_BYTES = _STATUS.size


class Direction(enum.Enum):
    """Each direction of a session has a key of its own; the value is its HKDF label."""

    DOWN = b"ecg-down-v1"  # gateway to sensor
    UP = b"ecg-up-v1"


class MessageType(enum.IntEnum):
    ACKNOWLEDGEMENT = 0x01
    START = 0x10
    STOP = 0x11
    SET_SAMPLE_RATE = 0x12
    SET_UNIX_TIME = 0x13
    IDENTIFY = 0x14
    ROTATE_KEY = 0x15
    REQUEST_STATUS = 0x16
    UPDATE_BEGIN = 0x17
    UPDATE_CHUNK = 0x18
    UPDATE_FINISH = 0x19
    ANSWER = 0x80
    HELD_REPORT = 0x81


COMMAND_ARGUMENT_BYTES = {
    MessageType.START: 0,
    MessageType.STOP: 0,
    MessageType.SET_SAMPLE_RATE: 2,
    MessageType.SET_UNIX_TIME: 8,
    MessageType.IDENTIFY: 1,
    MessageType.ROTATE_KEY: 32,
    MessageType.REQUEST_STATUS: 0,
    MessageType.UPDATE_BEGIN: 112,
    MessageType.UPDATE_CHUNK: 244,  # at most: an offset and 240 bytes of the image
    MessageType.UPDATE_FINISH: 0,
}
LEAST_CHUNK_BYTES = 5
UPDATE_TYPES = frozenset(
    {MessageType.UPDATE_BEGIN, MessageType.UPDATE_CHUNK, MessageType.UPDATE_FINISH}
)


class AnswerCode(enum.IntEnum):
    DONE = 0
    COUNTER_PASSED = 1  # the body holds the counter that was reached
    NOT_SUPPORTED = 2
    BAD_ARGUMENT = 3
    BUSY = 4
    UPDATE_REFUSED = 5  # the body holds an UpdateRefusal


class UpdateRefusal(enum.IntEnum):
    """Why a sensor does not take a firmware image."""

    NOT_SIGNED = 1
    OTHER_CHIP = 2
    TOO_LARGE = 3
    NOT_NEWER = 4
    DAMAGED = 5
    FLASH_FAILED = 6
    CHIP_REFUSES = 7


_BODY_BYTES = {AnswerCode.COUNTER_PASSED: 8, AnswerCode.UPDATE_REFUSED: 1}


class MessageRefusal(enum.StrEnum):
    WRONG_SIZE = "wrong size"
    UNKNOWN_TYPE = "unknown type"
    NOT_AUTHENTIC = "not authentic"
    ILLEGAL_CONTENT = "illegal content"


class MessageRefused(Exception):
    """The peer's message can't be taken; `reason` says why."""

    def __init__(self, reason: MessageRefusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """A message's type and counter, once its tag has verified, and its payload."""

    type: MessageType
    counter: int
    payload: bytes


class MessageKey:
    """One direction's key of one session."""

    def __init__(self, root_key: bytes, session: SessionId, direction: Direction) -> None:
        info = session_info(direction.value, session)
        key = HKDF(root_key, 32, session.salt, SHA256, context=info)
        assert isinstance(key, bytes)
        self._key = key
        self._session = session

    def seal(
        self, type: MessageType, counter: int, payload: bytes, nonce: bytes | None = None
    ) -> bytes:
        """Seal a message; the nonce is random unless a test vector gives it."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a payload has at most {MAX_PAYLOAD_BYTES} bytes")
        nonce = nonce if nonce is not None else get_random_bytes(NONCE_BYTES)
        cipher = self._cipher(type, counter, nonce)
        ciphertext, tag = cipher.encrypt_and_digest(payload)
        return _ENVELOPE.pack(type, counter, nonce) + ciphertext + tag

    def open(self, message: bytes) -> SealedHeader:
        """Verify and decrypt; raises MessageRefused with the first check that failed."""
        if not ENVELOPE_BYTES <= len(message) <= MAX_MESSAGE_BYTES:
            raise MessageRefused(MessageRefusal.WRONG_SIZE)
        type_byte, counter, nonce = _ENVELOPE.unpack_from(message)
        try:
            message_type = MessageType(type_byte)
        except ValueError as error:
            raise MessageRefused(MessageRefusal.UNKNOWN_TYPE) from error
        cipher = self._cipher(message_type, counter, nonce)
        try:
            payload = cipher.decrypt_and_verify(
                message[_ENVELOPE.size : -TAG_BYTES], message[-TAG_BYTES:]
            )
        except ValueError as error:
            raise MessageRefused(MessageRefusal.NOT_AUTHENTIC) from error
        return SealedHeader(message_type, counter, payload)

    def _cipher(self, type: MessageType, counter: int, nonce: bytes) -> GcmMode:
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce)
        cipher.update(struct.pack("<BQ", type, counter))
        cipher.update(session_info(b"", self._session) + self._session.salt)
        return cipher


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the gateway has committed of one session: all below `next_expected`, and `ranges`.

    `resend_after_s` is how long the sensor waits for the next acknowledgement of anything new
    before it sends again: longer than the gateway's commits lie apart.
    """

    boot_id: int
    salt: bytes
    next_expected: int
    resend_after_s: int = LEAST_RESEND_S
    ranges: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not LEAST_RESEND_S <= self.resend_after_s <= MOST_RESEND_S:
            raise ValueError(f"resend_after_s is {LEAST_RESEND_S} to {MOST_RESEND_S}")
        if len(self.ranges) > MAX_RANGES:
            raise ValueError(f"at most {MAX_RANGES} ranges")
        below = self.next_expected
        for first, last in self.ranges:
            if not below < first <= last <= MAX_U32:
                raise ValueError("ranges rise, apart from each other, above next_expected")
            below = last + 1

    def encode(self) -> bytes:
        head = _ACKNOWLEDGEMENT.pack(
            self.boot_id, self.salt, self.next_expected, self.resend_after_s, len(self.ranges)
        )
        return head + b"".join(_RANGE.pack(*pair) for pair in self.ranges)

    @classmethod
    def decode(cls, payload: bytes) -> Acknowledgement:
        """Raises MessageRefused."""
        head = _fixed_part(_ACKNOWLEDGEMENT, payload)
        boot_id, salt, next_expected, resend_after_s, count = _ACKNOWLEDGEMENT.unpack(head)
        tail = payload[len(head) :]
        if len(tail) != count * _RANGE.size:
            raise MessageRefused(MessageRefusal.WRONG_SIZE)
        try:
            ranges = tuple(_RANGE.iter_unpack(tail))
            return cls(boot_id, salt, next_expected, resend_after_s, ranges)
        except ValueError as error:
            raise MessageRefused(MessageRefusal.ILLEGAL_CONTENT) from error


@dataclass(frozen=True, slots=True)
class Command:
    """An order to the sensor: a command's type and its argument bytes."""

    type: MessageType
    argument: bytes = b""

    def __post_init__(self) -> None:
        most = COMMAND_ARGUMENT_BYTES.get(self.type, -1)
        least = LEAST_CHUNK_BYTES if self.type is MessageType.UPDATE_CHUNK else most
        if not least <= len(self.argument) <= most:
            raise ValueError(f"{self.type!r} does not take {len(self.argument)} argument bytes")

    @classmethod
    def set_sample_rate(cls, sample_rate_hz: int) -> Command:
        if sample_rate_hz not in LEGAL_SAMPLE_RATES_HZ:
            raise ValueError(f"the legal sample rates are {LEGAL_SAMPLE_RATES_HZ} Hz")
        return cls(MessageType.SET_SAMPLE_RATE, struct.pack("<H", sample_rate_hz))

    @classmethod
    def set_unix_time(cls, unix_us: int) -> Command:
        return cls(MessageType.SET_UNIX_TIME, struct.pack("<Q", unix_us))

    @classmethod
    def identify(cls, seconds: int) -> Command:
        return cls(MessageType.IDENTIFY, struct.pack("<B", seconds))

    @classmethod
    def rotate_key(cls, public_key: bytes) -> Command:
        """`public_key` is the gateway's side of a KeyExchange."""
        return cls(MessageType.ROTATE_KEY, public_key)

    @classmethod
    def update_chunk(cls, offset: int, part: bytes) -> Command:
        return cls(MessageType.UPDATE_CHUNK, struct.pack("<I", offset) + part)

    @property
    def offset(self) -> int:
        """Of an update's chunk."""
        return int.from_bytes(self.argument[:4], "little")

    @property
    def number(self) -> int:
        """The argument as an unsigned number."""
        return int.from_bytes(self.argument, "little")

    @classmethod
    def decode(cls, type: MessageType, payload: bytes) -> Command:
        """Raises MessageRefused."""
        if type not in COMMAND_ARGUMENT_BYTES:
            raise MessageRefused(MessageRefusal.UNKNOWN_TYPE)
        try:
            return cls(type, payload)
        except ValueError as error:
            raise MessageRefused(MessageRefusal.WRONG_SIZE) from error


@dataclass(frozen=True, slots=True)
class Answer:
    """The sensor's answer to the command whose counter the message carries."""

    command: MessageType
    code: AnswerCode
    body: bytes = b""

    def encode(self) -> bytes:
        return bytes((self.command, self.code)) + self.body

    @property
    def reached_counter(self) -> int:
        """For COUNTER_PASSED: the highest command counter that the sensor has taken."""
        return int.from_bytes(self.body, "little")

    @classmethod
    def counter_passed(cls, command: MessageType, reached: int) -> Answer:
        return cls(command, AnswerCode.COUNTER_PASSED, struct.pack("<Q", reached))

    @property
    def offset(self) -> int:
        """For an update's beginning that is done: from where the sensor wants the image."""
        return int.from_bytes(self.body, "little")

    @classmethod
    def update_refused(cls, command: MessageType, reason: UpdateRefusal) -> Answer:
        return cls(command, AnswerCode.UPDATE_REFUSED, bytes((reason,)))

    @classmethod
    def decode(cls, payload: bytes) -> Answer:
        """Raises MessageRefused."""
        if len(payload) < 2:
            raise MessageRefused(MessageRefusal.WRONG_SIZE)
        try:
            answer = cls(MessageType(payload[0]), AnswerCode(payload[1]), payload[2:])
        except ValueError as error:
            raise MessageRefused(MessageRefusal.ILLEGAL_CONTENT) from error
        expected = _BODY_BYTES.get(answer.code)
        if expected is not None and len(answer.body) != expected:
            raise MessageRefused(MessageRefusal.WRONG_SIZE)
        return answer


@dataclass(frozen=True, slots=True)
class HeldSession:
    """What a sensor still holds of a session: nothing below `oldest`, nothing from `next` on.

    `oldest` = `next` says that it holds none.
    """

    boot_id: int
    salt: bytes
    oldest: int
    next: int


def encode_held_report(sessions: Sequence[HeldSession]) -> bytes:
    if len(sessions) > MAX_HELD_SESSIONS:
        raise ValueError(f"at most {MAX_HELD_SESSIONS} sessions")
    rows = (_HELD.pack(held.boot_id, held.salt, held.oldest, held.next) for held in sessions)
    return bytes((len(sessions),)) + b"".join(rows)


def decode_held_report(payload: bytes) -> tuple[HeldSession, ...]:
    """Raises MessageRefused."""
    if not payload or len(payload) != 1 + payload[0] * _HELD.size:
        raise MessageRefused(MessageRefusal.WRONG_SIZE)
    sessions = tuple(HeldSession(*row) for row in _HELD.iter_unpack(payload[1:]))
    if len(sessions) > MAX_HELD_SESSIONS or any(held.oldest > held.next for held in sessions):
        raise MessageRefused(MessageRefusal.ILLEGAL_CONTENT)
    return sessions


class StatusFlags(enum.IntFlag):
    LEAD_OFF_POSITIVE = 1
    LEAD_OFF_NEGATIVE = 2
    PROVISIONED = 4
    PAIRING_WINDOW = 8
    SAMPLING = 16


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """The status characteristic: in the clear, for display and for deriving keys only."""

    firmware_version: tuple[int, int, int]
    session: SessionId
    measured_rate_millihertz: int
    battery_percent: int | None
    flags: StatusFlags

    def encode(self) -> bytes:
        return _STATUS.pack(
            PROTOCOL_VERSION,
            *self.firmware_version,
            self.session.device_id,
            self.session.boot_id,
            self.session.salt,
            self.measured_rate_millihertz,
            BATTERY_UNKNOWN if self.battery_percent is None else self.battery_percent,
            self.flags,
        )

    @classmethod
    def decode(cls, value: bytes) -> SensorStatus:
        """Raises MessageRefused."""
        if len(value) != STATUS_BYTES:
            raise MessageRefused(MessageRefusal.WRONG_SIZE)
        version, major, minor, patch, device_id, boot_id, salt, rate, battery, flags = (
            _STATUS.unpack(value)
        )
        battery_percent = None if battery == BATTERY_UNKNOWN else battery
        legal_battery = battery_percent is None or battery_percent <= 100
        if version != PROTOCOL_VERSION or flags >= 32 or not legal_battery:
            raise MessageRefused(MessageRefusal.ILLEGAL_CONTENT)
        session = SessionId(DeviceId(device_id), boot_id, salt)
        return cls((major, minor, patch), session, rate, battery_percent, StatusFlags(flags))


def _fixed_part(layout: struct.Struct, payload: bytes) -> bytes:
    if len(payload) < layout.size:
        raise MessageRefused(MessageRefusal.WRONG_SIZE)
    return payload[: layout.size]
