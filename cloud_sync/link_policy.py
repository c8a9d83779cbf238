"""When which lane may use the link. Alarms always may."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cloud_sync.lanes import Lane

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the local day, the end excluded; one that ends before it begins goes over
    midnight."""

    first: int
    end: int

    def holds(self, minute: int) -> bool:
        if self.first <= self.end:
            return self.first <= minute < self.end
        return minute >= self.first or minute < self.end


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """No windows: the link is always open. The cap counts both ways over a local day."""

    windows: tuple[Window, ...] = ()
    bytes_a_day: int | None = None

    def lanes(self, minute_of_day: int, bytes_today: int) -> Sequence[Lane]:
        """What may go now, in the order of service."""
        closed = self.windows and not any(window.holds(minute_of_day) for window in self.windows)
        spent = self.bytes_a_day is not None and bytes_today >= self.bytes_a_day
        return (Lane.ALARM,) if closed or spent else tuple(Lane)

    def rest_s(self, minute_of_day: int) -> int:
        """Seconds until a window opens, 0 within one."""
        waits = [
            0 if window.holds(minute_of_day) else (window.first - minute_of_day) % (24 * 60)
            for window in self.windows
        ]
        return 60 * min(waits, default=0)


def parse_window(text: str) -> Window | None:
    """ "22:00-05:00", local time; None where it is not one, or has no length."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        return None
    first_hour, first_minute, end_hour, end_minute = map(int, match.groups())
    window = Window(60 * first_hour + first_minute, 60 * end_hour + end_minute)
    return None if window.first == window.end else window
