"""What the uploader needs from the outside: rows to send, and somewhere to send them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cloud_sync.lanes import Lane
from cloud_sync.presence import Presence


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One row that the gateway wants delivered.

    `id` only orders the rows of a lane; a restored backup may give it again. `message_id` was
    made once with the row and names it for ever. `payload` is a JSON object.
    """

    id: int
    message_id: str
    lane: Lane
    kind: str
    created_s: float  # Unix time
    payload: str


@dataclass(frozen=True, slots=True)
class OutboxVersion:
    """`commit` is another one after each commit; `file` after the database was replaced, say by
    a restored backup: the ids then begin anew."""

    file: int
    commit: int
    jobs: int = 0  # another one when there is a waveform more to send


class Outbox(Protocol):
    """The gateway's outbox, read-only."""

    def version(self) -> OutboxVersion | None:
        """What to compare with the last one; None where there is no outbox yet."""
        ...

    def pending(self, lane: Lane, after_id: int, limit: int) -> Sequence[OutboxRow]:
        """At most `limit` rows of the lane with a greater id, in order of id."""
        ...


class FrameOutbox(Outbox, Protocol):
    """The outbox, and the gateway's sealed frames behind it."""

    def frames(
        self, device: str, boot_id: int, salt: bytes, first: int, last: int
    ) -> Sequence[tuple[int, bytes]]:
        """Sequence and sealed bytes of what is stored from `first` to `last`, both included."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as it goes on the wire; a receiver drops a repeat by its `message_id`."""

    topic: str
    payload: bytes
    message_id: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker has acknowledged the message. What a rule behind it did is another question."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now; the same message may well pass later.

    `unanswered` says that the message went out and the connection ended without a word on it;
    `lane_only` that the link is well and only this lane's messages have nowhere to go.
    """

    reason: str
    unanswered: bool = False
    lane_only: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """This message will never pass as it is."""

    reason: str


Answer = Delivered | TryLater | Refused


class Publisher(Protocol):
    """Brings one message to the cloud. The peer's faults are answers, never exceptions."""

    async def publish(self, envelope: Envelope) -> Answer: ...

    async def announce(self) -> Answer:
        """Say that we live; connects where there is no connection."""
        ...

    @property
    def connected(self) -> bool: ...

    async def close(self, farewell: Presence = Presence.STOPPED) -> None:
        """End the connection in order; the next publish makes a new one."""
        ...
