"""Keeps the connection that the link's policy wants: open and heard from, or at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from cloud_sync.lanes import Lane
from cloud_sync.ports import Publisher, TryLater
from cloud_sync.presence import INTERVAL_S, Presence

REST_AFTER_S = 30.0  # a metered link is given up when nothing was underway for so long


class Announcer:
    """`look` once a second; what it starts goes on in a task of its own.

    An open link is held, so that acknowledgements and requests come at once and the broker's Last
    Will tells the cloud when we are lost.
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        open_lanes: Callable[[], Sequence[Lane]],
        idle: Callable[[], bool],
        new_backoff: Callable[[], Iterator[float]],
        monotonic: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._open_lanes = open_lanes
        self._idle = idle
        self._new_backoff = new_backoff
        self._backoff = new_backoff()
        self._monotonic = monotonic
        self._due_s = self._busy_s = self._not_before_s = monotonic()
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        now_s = self._monotonic()
        if not self._idle():
            self._busy_s = now_s
        if self._task is not None:
            if not self._task.done():
                return
            self._task.result()  # a fault of our own ends the process
            self._task = None
        if len(self._open_lanes()) < len(Lane):
            if self._publisher.connected and now_s - self._busy_s >= REST_AFTER_S:
                self._task = asyncio.create_task(self._publisher.close(Presence.RESTING))
        elif now_s >= self._not_before_s and (
            not self._publisher.connected or now_s >= self._due_s
        ):
            self._task = asyncio.create_task(self._announce())

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _announce(self) -> None:
        answer = await self._publisher.announce()
        if isinstance(answer, TryLater) and not self._publisher.connected:
            self._not_before_s = self._monotonic() + next(self._backoff)
            return
        self._backoff = self._new_backoff()
        self._due_s = self._monotonic() + INTERVAL_S
