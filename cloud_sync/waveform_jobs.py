"""Sealed frames that are to be sent: rows of our own, for the gateway's outbox holds none.

A row names frames and holds none, so that a waveform is written to the SD card once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from cloud_sync.lanes import Lane
from cloud_sync.ports import OutboxRow
from cloud_sync.schema import settled, waveform_jobs
from cloud_sync.stretches import Stretch

MAX_WAITING = 100_000  # 20 MB: 8 beds' minutes of more than a week
TIDY_INTERVAL_S = 3600.0

_log = logging.getLogger(__name__)


class WaveformJobs:
    """The waveform lane. `version` is another one when there is more to send."""

    def __init__(self, engine: Engine, unix_time: Callable[[], float]) -> None:
        self._engine = engine
        self._unix_time = unix_time
        self.version = 0
        self._tidy_at_s = 0.0
        self._next_due_s = self._earliest_after(0.0)

    def add(self, stretches: Iterable[Stretch], due_s: float, request_id: str = "") -> None:
        """To be sent from `due_s` on, in Unix time; what is known already is not sent twice."""
        rows = [
            {
                "message_id": stretch.message_id(request_id),
                "due_s": due_s,
                "created_s": self._unix_time(),
                "stretch": stretch.to_json(),
            }
            for stretch in stretches
        ]
        with self._engine.begin() as connection:
            connection.execute(insert(waveform_jobs).on_conflict_do_nothing(), rows)
        self.version += 1
        self._next_due_s = self._earliest_after(self._unix_time())

    def look(self) -> None:
        """Notice a job whose time has come, and once an hour those that are done."""
        now_s = self._unix_time()
        if now_s >= self._tidy_at_s:
            self._tidy_at_s = now_s + TIDY_INTERVAL_S
            self._forget_settled()
        if self._next_due_s is not None and self._next_due_s <= now_s:
            self.version += 1
            self._next_due_s = self._earliest_after(now_s)

    def pending(self, after_id: int, limit: int) -> Sequence[OutboxRow]:
        """In order of their numbers, up to the first whose time has not come."""
        jobs = (
            select(waveform_jobs)
            .where(waveform_jobs.c.id > after_id)
            .order_by(waveform_jobs.c.id)
            .limit(limit)
        )
        now_s = self._unix_time()
        rows: list[OutboxRow] = []
        with self._engine.connect() as connection:
            for job in connection.execute(jobs):
                if job.due_s > now_s:
                    break
                rows.append(
                    OutboxRow(
                        job.id, job.message_id, Lane.WAVEFORM, "frames", job.created_s, job.stretch
                    )
                )
        return rows

    def _forget_settled(self) -> None:
        """Drop the jobs that are done; what waits in quarantine stays."""
        done = select(settled.c.message_id).where(settled.c.outcome != "refused")
        oldest_kept = select(func.max(waveform_jobs.c.id) - MAX_WAITING).scalar_subquery()
        with self._engine.begin() as connection:
            connection.execute(delete(waveform_jobs).where(waveform_jobs.c.message_id.in_(done)))
            lost = connection.execute(
                delete(waveform_jobs).where(waveform_jobs.c.id <= oldest_kept)
            )
        if lost.rowcount:
            _log.warning("gave up %d waveforms that waited for longest", lost.rowcount)

    def _earliest_after(self, now_s: float) -> float | None:
        later = select(func.min(waveform_jobs.c.due_s)).where(waveform_jobs.c.due_s > now_s)
        with self._engine.connect() as connection:
            return connection.execute(later).scalar_one_or_none()
