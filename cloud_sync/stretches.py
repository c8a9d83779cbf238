"""Stretches of sealed frames: which ones a message speaks of, and how they travel. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cbor2

MAX_FRAMES = 200  # of one message: 87 KB of at most 100
MAX_REQUESTED_FRAMES = 4_813  # an hour at 250 Hz
WORTH_COMPRESSING = 0.95  # sealed bytes do not shrink, their 44 clear ones of 434 do
ZLIB_LEVEL = 1  # it finds the repeated headers as well as level 9 does

_DEVICE = re.compile(r"ECG-[0-9A-F]{8}")
_SALT = re.compile(r"[0-9a-f]{32}")
_LARGEST = 2**32 - 1

# (device, boot_id, salt, first, last) → sequence and sealed bytes of what is stored
Frames = Callable[[str, int, bytes, int, int], Sequence[tuple[int, bytes]]]


class NotAStretch(ValueError):
    """What should name frames does not."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `first_sequence` to `last_sequence` of a session, both included."""

    device: str
    boot_id: int
    salt: str
    first_sequence: int
    last_sequence: int

    def __post_init__(self) -> None:
        """Raises NotAStretch."""
        numbers = (self.boot_id, self.first_sequence, self.last_sequence)
        if not all(type(number) is int and 0 <= number <= _LARGEST for number in numbers):
            raise NotAStretch("boot_id and sequences are whole numbers of 32 bits")
        if self.first_sequence > self.last_sequence:
            raise NotAStretch("first_sequence must not be above last_sequence")
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise NotAStretch("device is like ECG-0000002A")
        if not isinstance(self.salt, str) or not _SALT.fullmatch(self.salt):
            raise NotAStretch("salt is 32 hex digits")

    @classmethod
    def of(cls, words: Any) -> Stretch:
        """From a JSON object that has these members among others; raises NotAStretch."""
        try:
            return cls(*(words[name] for name in cls.__slots__))
        except (KeyError, TypeError) as error:
            raise NotAStretch(f"no {error} that names frames") from error

    @property
    def frame_count(self) -> int:
        return self.last_sequence - self.first_sequence + 1

    def widened(self, frames: int) -> Stretch:
        """With so many frames more on each side."""
        return Stretch(
            self.device,
            self.boot_id,
            self.salt,
            max(0, self.first_sequence - frames),
            min(_LARGEST, self.last_sequence + frames),
        )

    def batches(self) -> Iterator[Stretch]:
        """Parts that fit into a message each."""
        for first in range(self.first_sequence, self.last_sequence + 1, MAX_FRAMES):
            last = min(first + MAX_FRAMES - 1, self.last_sequence)
            yield Stretch(self.device, self.boot_id, self.salt, first, last)

    def read(self, frames: Frames) -> Sequence[tuple[int, bytes]]:
        salt = bytes.fromhex(self.salt)
        return frames(self.device, self.boot_id, salt, self.first_sequence, self.last_sequence)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    def message_id(self, request_id: str = "") -> str:
        """The same for the same frames; a request for them is another message."""
        words = f"frames {self.to_json()} {request_id}"
        return hashlib.sha256(words.encode()).hexdigest()[:32]


def cbor_batch(head: dict[str, Any], stretch: Stretch, found: Sequence[tuple[int, bytes]]) -> bytes:
    """The waveform message of docs/cloud.md."""
    frames = b"".join(sealed for _, sealed in found)
    packed = zlib.compress(frames, ZLIB_LEVEL)
    smaller = len(packed) < WORTH_COMPRESSING * len(frames)
    return cbor2.dumps(
        head
        | {
            "device": stretch.device,
            "boot_id": stretch.boot_id,
            "salt": bytes.fromhex(stretch.salt),
            "first_sequence": stretch.first_sequence,
            "last_sequence": stretch.last_sequence,
            "sequences": [sequence for sequence, _ in found],
            "compression": "zlib" if smaller else "none",
            "frames": packed if smaller else frames,
        }
    )


def strip_json(
    stretch: Stretch, sample_rate_hz: object, found: Sequence[tuple[int, bytes]]
) -> dict[str, object]:
    """An alarm's strip, as docs/cloud.md has it: a frame that is missing is null."""
    sealed = dict(found)
    return {
        "first_sequence": stretch.first_sequence,
        "sample_rate_hz": sample_rate_hz,
        "frames": [
            base64.b64encode(sealed[sequence]).decode() if sequence in sealed else None
            for sequence in range(stretch.first_sequence, stretch.last_sequence + 1)
        ],
    }
