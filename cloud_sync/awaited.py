"""Published rows that the cloud has not acknowledged yet, and when they go again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView
from dataclasses import dataclass

from cloud_sync.ports import OutboxRow

MAX_AWAITED = 1000  # more of them are sent again later
RESEND_FIRST_S = 15.0
RESEND_LONGEST_S = 900.0


@dataclass(frozen=True, slots=True)
class _Awaited:
    row: OutboxRow
    since_s: float


class AwaitedRows:
    """`new_backoff(first, longest)` gives a new sequence of waits."""

    def __init__(
        self,
        new_backoff: Callable[[float, float], Iterator[float]],
        monotonic: Callable[[], float],
    ) -> None:
        self._new_backoff = new_backoff
        self._monotonic = monotonic
        self._waits = new_backoff(RESEND_FIRST_S, RESEND_LONGEST_S)
        self._resend_at_s = monotonic()
        self._rows: dict[str, _Awaited] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def ids(self) -> KeysView[str]:
        return self._rows.keys()

    def add(self, row: OutboxRow) -> OutboxRow | None:
        """Wait for this one too; gives the one that is given up for it, if that is too many."""
        if not self._rows:
            self._resend_at_s = self._monotonic() + next(self._waits)
        given_up = None
        if len(self._rows) >= MAX_AWAITED:
            given_up = self._rows.pop(next(iter(self._rows))).row
        self._rows[row.message_id] = _Awaited(row, self._monotonic())
        return given_up

    def acknowledged(self, message_id: str) -> OutboxRow | None:
        """The row, if it was waited for. The cloud answers: the next waits are short again."""
        awaited = self._rows.pop(message_id, None)
        if awaited is None:
            return None
        self._waits = self._new_backoff(RESEND_FIRST_S, RESEND_LONGEST_S)
        return awaited.row

    def take_due(self) -> list[OutboxRow]:
        """Rows to be sent again now; they are not waited for until then."""
        now_s = self._monotonic()
        if not self._rows or now_s < self._resend_at_s:
            return []
        self._resend_at_s = now_s + next(self._waits)
        due = [a.row for a in self._rows.values() if now_s - a.since_s >= RESEND_FIRST_S / 2]
        for row in due:
            del self._rows[row.message_id]
        return due
