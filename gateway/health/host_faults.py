"""What is wrong with the gateway's own machine: a disk nearly full, a clock that nobody has set."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from gateway.messages import AlarmKind

LEAST_FREE_BYTES = 512 * 1024 * 1024  # days of eight sensors: time for somebody to act
LOOKED_AT_EACH_S = 30.0
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # more than struct timex takes on any Linux; zeros ask and change nothing


class HostFaults:
    """Looks twice a minute; a Pi's card and kernel are not asked each second."""

    def __init__(
        self,
        folder: Path,
        clock_is_set: Callable[[], bool] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._clock_is_set = clock_is_set or clock_is_synchronised
        self._monotonic = monotonic
        self._looked_s: float | None = None
        self._faults: frozenset[AlarmKind] = frozenset()

    def __call__(self) -> frozenset[AlarmKind]:
        """The faults as they were when last looked at."""
        now_s = self._monotonic()
        if self._looked_s is None or now_s - self._looked_s >= LOOKED_AT_EACH_S:
            self._looked_s = now_s
            self._faults = frozenset(self._look())
        return self._faults

    def _look(self) -> list[AlarmKind]:
        faults = []
        if shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
            faults.append(AlarmKind.DISK_NEARLY_FULL)
        if not self._clock_is_set():
            faults.append(AlarmKind.CLOCK_NOT_SET)
        return faults


def clock_is_synchronised() -> bool:
    """Whether the kernel knows its clock to be set by NTP, whoever sets it; adjtimex(2)."""
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return bool(state != _TIME_ERROR)
