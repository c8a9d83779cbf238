"""The last seconds of all beds, for the screens.

The daemon's event loop writes, the dashboard's threads read. Every change has a version, so a
reader that comes back with its cursor gets what it missed and nothing twice.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.bed_screen import BedScreen, BedView, Change, Json, RecentSignal, SensorView
from gateway.messages import Alarm, Beat, Gap, SampleBlock, Variability, VitalSigns

MAX_BEDS = 64  # a ward; a box serves eight sensors
MAX_VERSION_DIGITS = 18  # centuries of changes; keeps a forged cursor small


class UnknownBed(KeyError):
    """A bed was fed or asked for that `bed_changed` never named."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A reader's place; good only as long as this view and its set of beds last."""

    epoch: str
    version: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.version}"

    @staticmethod
    def parse(text: str) -> Cursor | None:
        """The cursor that `str` wrote, or None for anything else."""
        epoch, _, version = text.partition(".")
        if not version.isdecimal() or len(version) > MAX_VERSION_DIGITS:
            return None
        return Cursor(epoch, int(version))


@dataclass(frozen=True, slots=True)
class Update:
    """What is new since a cursor, oldest first. `fresh`: forget all that was shown before."""

    cursor: Cursor
    fresh: bool
    changes: tuple[Change, ...]


class LiveView:
    """All beds' screens behind one lock. Every method may be called from any thread.

    `at_s` is the wall time at which the thing happened (for signal: its frame's arrival).
    The writing methods raise UnknownBed for a bed that `bed_changed` never named.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._screens: dict[str, BedScreen] = {}
        self._epoch = secrets.token_hex(4)
        self._version = 0
        self._closed = False

    # What the daemon writes.

    def bed_changed(self, view: BedView, at_s: float) -> None:
        """Add a bed, or change it; another stay or sensor, or a vacant bed, starts empty.

        Raises ValueError for one bed too many.
        """
        with self._changed:
            if view.bed_id not in self._screens:
                if len(self._screens) >= MAX_BEDS:
                    raise ValueError(f"a live view holds at most {MAX_BEDS} beds")
                self._screens[view.bed_id] = BedScreen(view, self._next_version)
            self._screens[view.bed_id].show_bed(view, at_s)

    def bed_removed(self, bed_id: str) -> None:
        """Take a bed away; every screen starts afresh without it."""
        with self._changed:
            self._screen(bed_id)
            del self._screens[bed_id]
            self._epoch = secrets.token_hex(4)
            self._changed.notify_all()

    def signal(
        self,
        bed_id: str,
        session_name: str,
        sample_rate_hz: int,
        items: Sequence[SampleBlock | Gap],
        at_s: float,
    ) -> None:
        """Band-passed blocks and gaps in the axis' order; another session restarts the axis."""
        with self._changed:
            self._screen(bed_id).show_signal(session_name, sample_rate_hz, items, at_s)

    def beats(self, bed_id: str, session_name: str, beats: Sequence[Beat], at_s: float) -> None:
        """Finished beats; those of another session than the signal's are not shown."""
        with self._changed:
            self._screen(bed_id).show_beats(session_name, beats, at_s)

    def vitals(self, bed_id: str, session_name: str, vitals: VitalSigns, at_s: float) -> None:
        """The newest second's heart rate and quality; of another session, not shown."""
        with self._changed:
            self._screen(bed_id).show_vitals(session_name, vitals, at_s)

    def variability(
        self, bed_id: str, session_name: str, variability: Variability, at_s: float
    ) -> None:
        """That of the newest five minutes; of another session, not shown."""
        with self._changed:
            self._screen(bed_id).show_variability(session_name, variability, at_s)

    def alarms(self, bed_id: str, open_alarms: Sequence[Alarm], at_s: float) -> None:
        """All alarms of the bed that are not ended."""
        with self._changed:
            self._screen(bed_id).show_alarms(open_alarms, at_s)

    def sensor(self, bed_id: str, sensor: SensorView, at_s: float) -> None:
        """The sensor's link, leads and battery."""
        with self._changed:
            self._screen(bed_id).show_sensor(sensor, at_s)

    def close(self) -> None:
        """Wake every waiting reader for the last time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # What the dashboard reads.

    @property
    def closed(self) -> bool:
        return self._closed

    def beds(self) -> tuple[BedView, ...]:
        with self._changed:
            return tuple(screen.view for screen in self._screens.values())

    def read(self, after: Cursor | None, bed_ids: Collection[str] = ()) -> Update:
        """What is new since `after` for these beds (none named: all)."""
        with self._changed:
            fresh = after is None or after.epoch != self._epoch or after.version > self._version
            version = 0 if after is None or fresh else after.version
            changes = [
                change
                for bed_id, screen in self._screens.items()
                if not bed_ids or bed_id in bed_ids
                for change in screen.since(version)
            ]
            changes.sort(key=lambda change: change.version)
            return Update(Cursor(self._epoch, self._version), fresh, tuple(changes))

    def wait(self, after: Cursor, timeout_s: float) -> None:
        """Return when anything is newer than `after`, when closed, or after the timeout."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or Cursor(self._epoch, self._version) != after, timeout_s
            )

    def summary(self, now_s: float) -> list[Json]:
        """Each bed's state in one object; what is stale or unknown is None."""
        with self._changed:
            return [screen.summary(now_s) for screen in self._screens.values()]

    def recent_signal(self, bed_id: str, seconds: float) -> RecentSignal | None:
        """The bed's last `seconds` without a gap, or None if it has not so many, or is gone."""
        with self._changed:
            screen = self._screens.get(bed_id)
            return screen.recent_signal(seconds) if screen else None

    def _screen(self, bed_id: str) -> BedScreen:
        try:
            return self._screens[bed_id]
        except KeyError:
            raise UnknownBed(bed_id) from None

    def _next_version(self) -> int:
        """Called inside the lock, once for each change."""
        self._version += 1
        self._changed.notify_all()
        return self._version
