"""The one writer: takes entries from the event loop, commits them in order on its own thread.

Frames wait up to `commit_interval_s`, for one fsync of their file serves them all; the tables learn
of them within `index_interval_s`. An alarm or a bed command is committed at once, with everything
that was recorded before it. A disk that fails is tried again for ever: nothing is acknowledged
meanwhile, and `health` says why.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from gateway.config import StoreConfig
from gateway.session import MAX_WAITING_FRAMES
from gateway.store.database import writer_engine
from gateway.store.entries import (
    AlarmChanged,
    AlarmRedated,
    BedCommand,
    BedCommandRefused,
    Entry,
    StoredFrame,
)
from gateway.store.outbox import DeliveredRows
from gateway.store.transactions import Commit, StoreWriter, may_wait

MAX_QUEUED_FRAMES = 2048  # 3 min of 8 sensors at 250 Hz, 1 MB; what is beyond stays in the sensors
FRAMES_PER_COMMIT = 128  # more than 5 s of 8 live sensors: a backlog is acknowledged as it comes
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0  # somebody who frees space on the disk sees it work soon
RETENTION_INTERVAL_S = 60.0  # after start-up, too: a restart replays before anything is removed


_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class RecorderHealth:
    """`failing_because` is the disk's last error, None while commits succeed.

    `salvaging`: the database was found damaged, and what it holds is being brought over.
    A writer that is not `running` before it was closed has met a fault of our own.
    """

    running: bool
    failing_because: str | None
    queued_frames: int
    refused_frames: int
    commits: int
    last_commit_ms: float | None
    salvaging: bool = False


@dataclass(frozen=True, slots=True)
class _Queued:
    entry: Entry | BedCommand
    answer: Future[None] | None = None

    @property
    def is_frame(self) -> bool:
        return isinstance(self.entry, StoredFrame)

    @property
    def is_urgent(self) -> bool:
        return self.answer is not None or isinstance(self.entry, AlarmChanged | AlarmRedated)

    def drop(self) -> None:
        if self.answer is not None:
            self.answer.set_exception(RuntimeError("the recorder ended before this was durable"))

    def settle(self, refusal: BedCommandRefused | None) -> None:
        if self.answer is None:
            return
        if refusal is None:
            self.answer.set_result(None)
        else:
            self.answer.set_exception(refusal)


class Recorder:
    """Owns the write connection. `record` and `command` never wait for the disk."""

    def __init__(
        self,
        path: Path,
        config: StoreConfig,
        on_committed: Callable[[Commit], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`on_committed` is called on the recorder's thread, after each commit."""
        self._writer = StoreWriter(writer_engine(path), now)
        self._delivered = DeliveredRows(path, path.parent / config.delivered)
        self._config = config
        self._chores = (
            partial(self._writer.remove_old, config),
            self._prune_outbox,
            self._writer.salvage,
            self._writer.redate,
        )
        self._due: deque[Callable[[], bool]] = deque()
        self._on_committed = on_committed
        self._changed = threading.Condition()
        self._queue: list[_Queued] = []
        self._in_hand: list[_Queued] = []  # the thread's own: taken and not yet durable
        self._commit_due_s = 0.0  # monotonic; counts while the queue holds something
        self._retention_due_s = time.monotonic() + RETENTION_INTERVAL_S
        self._index_due_s = time.monotonic() + config.index_interval_s
        self._urgent = False
        self._closing = False
        self._frames_queued = 0
        self._frames_in_hand = 0
        self._refused_frames = 0
        self._commits = 0
        self._last_commit_ms: float | None = None
        self._failing_because: str | None = None
        self._thread = threading.Thread(target=self._run, name="recorder")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Commit what is queued and end; a disk that fails is tried once more, not for ever."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._writer.close()

    def record(self, entry: Entry) -> bool:
        """Take an entry. False only for a frame for which there is no room.

        A refused frame is not acknowledged and comes again, so it must not be analysed either.
        Beats, alarms and all else are always taken. Raises `RuntimeError` if the writer has died.
        """
        return self._put(_Queued(entry))

    def command(self, command: BedCommand) -> Future[None]:
        """Take a bed command; the future ends at its commit, or with `BedCommandRefused`.

        It ends with `RuntimeError` where the recorder did before the command was durable.
        """
        answer: Future[None] = Future()
        answer.set_running_or_notify_cancel()  # what is queued will be done, waited for or not
        self._put(_Queued(command, answer))
        return answer

    @property
    def has_room(self) -> bool:
        """Whether a frame, with all that may have waited for it, would be taken."""
        return self._frames_held() + MAX_WAITING_FRAMES < MAX_QUEUED_FRAMES

    @property
    def health(self) -> RecorderHealth:
        with self._changed:
            return RecorderHealth(
                self._thread.is_alive(),
                self._failing_because,
                self._frames_held(),
                self._refused_frames,
                self._commits,
                self._last_commit_ms,
                self._writer.is_salvaging,
            )

    def _put(self, queued: _Queued) -> bool:
        with self._changed:
            if self._closing or not self._thread.is_alive():
                raise RuntimeError("the recorder is not running")
            if queued.is_frame:
                if self._frames_held() >= MAX_QUEUED_FRAMES:
                    self._refused_frames += 1
                    return False
                self._frames_queued += 1
            self._urgent |= queued.is_urgent or self._frames_queued >= FRAMES_PER_COMMIT
            if not self._queue:
                self._commit_due_s = time.monotonic() + self._config.commit_interval_s
            self._queue.append(queued)
            if self._urgent or len(self._queue) == 1:
                self._changed.notify()
        return True

    def _frames_held(self) -> int:
        return self._frames_queued + self._frames_in_hand

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                if not batch:
                    self._retain()
                elif not self._commit(batch):
                    return
            self._until_done(self._index)
        finally:  # closed, or a fault of our own: nobody shall wait for an answer in vain
            with self._changed:
                self._closing = True
                for queued in self._in_hand + self._queue:
                    queued.drop()

    def _commit(self, batch: list[_Queued]) -> bool:
        """False: the recorder is closing and the disk failed to the last."""
        self._in_hand = batch
        begun_s = time.perf_counter()
        commit = self._write(batch)
        if commit is None:
            return False
        self._in_hand = []
        self._note_commit(1000 * (time.perf_counter() - begun_s))
        for place, queued in enumerate(batch):
            queued.settle(commit.refused.get(place))
        self._on_committed(commit)
        return True

    def _next_batch(self) -> list[_Queued] | None:
        """Wait until entries are due. Empty: retention is; None: closing, all is written."""
        with self._changed:
            while not (self._closing or self._commit_is_due() or self._retention_is_due()):
                self._changed.wait(self._next_due_s() - time.monotonic())
            if not self._closing and not self._commit_is_due():
                return []
            batch, self._queue = self._queue, []
            self._frames_in_hand, self._frames_queued = self._frames_queued, 0
            self._urgent = False
            return batch or None

    def _commit_is_due(self) -> bool:
        return bool(self._queue) and (self._urgent or time.monotonic() >= self._commit_due_s)

    def _retention_is_due(self) -> bool:
        return time.monotonic() >= self._retention_due_s

    def _next_due_s(self) -> float:
        if not self._queue:
            return self._retention_due_s
        return min(self._commit_due_s, self._retention_due_s)

    def _retain(self) -> None:
        """One step of one chore; the next follows at once, but commits go first."""
        try:
            if self._writer.has_waiting and not self._may_wait():
                self._index()
                return
            more = self._next_chore()
        except (OperationalError, OSError) as error:
            more = False
            with self._changed:
                self._failing_because = _reason(error)
        if not more:
            self._retention_due_s = time.monotonic() + RETENTION_INTERVAL_S

    def _next_chore(self) -> bool:
        """One step of the next in turn; False: each has been gone through."""
        if not self._due:
            self._due.extend(self._chores)
        chore = self._due.popleft()
        if chore():
            self._due.append(chore)
        return bool(self._due)

    def _prune_outbox(self) -> bool:
        """Remove some of what the cloud has; True if there may be more."""
        message_ids, more = self._delivered.look()
        if message_ids:
            self._writer.remove_delivered(message_ids)
        return more

    def _write(self, batch: list[_Queued]) -> Commit | None:
        """None where the disk failed and the recorder is closing."""
        entries = [queued.entry for queued in batch]
        commit = self._until_done(lambda: self._writer.take(entries))
        if commit is None or (self._may_wait() and all(map(may_wait, entries))):
            return commit
        refused = self._until_done(self._index)
        return None if refused is None else replace(commit, refused=refused)

    def _may_wait(self) -> bool:
        return not self._closing and time.monotonic() < self._index_due_s

    def _index(self) -> Mapping[int, BedCommandRefused]:
        refused = self._writer.index()
        self._index_due_s = time.monotonic() + self._config.index_interval_s
        return refused

    def _until_done(self, step: Callable[[], _Result]) -> _Result | None:
        """Try until the disk takes it; None where it failed and the recorder is closing."""
        delay_s = FIRST_RETRY_S
        while True:
            try:
                result = step()
            except (OperationalError, OSError) as error:  # full, I/O error, locked, read-only
                if _is_full(error) and self._writer.make_room():
                    continue
                if not self._wait_after_failure(_reason(error), delay_s):
                    return None
                delay_s = min(2 * delay_s, LAST_RETRY_S)
            else:
                self._note_success()
                return result

    def _wait_after_failure(self, reason: str, delay_s: float) -> bool:
        """Whether to try again."""
        with self._changed:
            self._failing_because = reason
            if self._closing:
                return False
            self._changed.wait_for(lambda: self._closing, delay_s)
            return True

    def _note_success(self) -> None:
        with self._changed:
            self._failing_because = None

    def _note_commit(self, took_ms: float) -> None:
        with self._changed:
            self._commits += 1
            self._last_commit_ms = took_ms
            self._frames_in_hand = 0


def _reason(error: OperationalError | OSError) -> str:
    return str(error.orig) if isinstance(error, OperationalError) else str(error.strerror)


def _is_full(error: OperationalError | OSError) -> bool:
    if isinstance(error, OperationalError):
        return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
