"""The link as `ecg-cloud-sync status` tells it, and the bytes of this day, kept over a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select

from cloud_sync.schema import link

SAVE_INTERVAL_S = 60.0  # a killed daemon forgets the bytes of a minute at most


@dataclass(frozen=True, slots=True)
class LinkState:
    """`state` in words for a person; `day` is the local date that `bytes_today` belongs to."""

    state: str
    since_s: float
    day: str
    bytes_today: int


class LinkRecord:
    """The one row. `local_day` tells today's date, `unix_time` the time."""

    def __init__(
        self, engine: Engine, local_day: Callable[[], str], unix_time: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._local_day = local_day
        self._unix_time = unix_time
        self._lock = threading.Lock()  # a notice is sent from a thread of its own
        saved = read_link(engine)
        self._state = LinkState("starting", unix_time(), local_day(), 0)
        if saved is not None and saved.day == self._state.day:
            self._state = LinkState("starting", unix_time(), saved.day, saved.bytes_today)
        self._saved_at_s = 0.0

    @property
    def bytes_today(self) -> int:
        return self._state.bytes_today if self._state.day == self._local_day() else 0

    def spent(self, count: int) -> None:
        """So many bytes went over the wire; any thread may say so."""
        with self._lock:
            state = self._state
            self._state = LinkState(
                state.state, state.since_s, self._local_day(), self.bytes_today + count
            )

    def note(self, words: str) -> None:
        """How the link is; written when it changes, and now and then for the bytes."""
        now_s = self._unix_time()
        with self._lock:
            state = self._state
            if words != state.state:
                self._state = LinkState(words, now_s, self._local_day(), self.bytes_today)
            elif now_s - self._saved_at_s < SAVE_INTERVAL_S:
                return
            self._saved_at_s = now_s
            self._save(self._state)

    def _save(self, state: LinkState) -> None:
        replace = insert(link).prefix_with("OR REPLACE")
        row = {
            "id": 1,
            "state": state.state,
            "since_s": state.since_s,
            "day": state.day,
            "bytes_today": state.bytes_today,
        }
        with self._engine.begin() as connection:
            connection.execute(replace, row)


def read_link(engine: Engine) -> LinkState | None:
    """What was saved last; None: nothing yet."""
    columns = (link.c.state, link.c.since_s, link.c.day, link.c.bytes_today)
    with engine.connect() as connection:
        row = connection.execute(select(*columns)).first()
    return None if row is None else LinkState(*row)
