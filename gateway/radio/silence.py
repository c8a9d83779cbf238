"""A watchdog that costs one timer, however much is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SilenceTimer:
    """Calls `on_silent` once, when nothing was heard for `limit_s`; starts at once."""

    def __init__(self, limit_s: float, on_silent: Callable[[], None]) -> None:
        self._limit_s = limit_s
        self._on_silent = on_silent
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._timer = self._loop.call_later(limit_s, self._check)

    def heard(self) -> None:
        self._heard_s = self._loop.time()

    def cancel(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        silent_at_s = self._heard_s + self._limit_s
        if self._loop.time() < silent_at_s:
            self._timer = self._loop.call_at(silent_at_s, self._check)
        else:
            self._on_silent()
