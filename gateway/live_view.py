"""The last seconds of each bed, for the screen.

The daemon's event loop writes, the dashboard's threads read. Every change has a version, so a
reader that comes back with its cursor gets what it missed and nothing twice. What a change carries
is a JSON object; the wall time is always the writer's, this module looks at no clock.

Nothing of one stay is ever shown in the next: a bed that changes its stay or sensor starts empty.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.messages import (
    MICROVOLTS_PER_STEP,
    SAMPLES_PER_FRAME,
    Alarm,
    Beat,
    BedState,
    Gap,
    SampleBlock,
    VitalSigns,
)

Json: TypeAlias = "dict[str, object]"

STRIP_S = 30  # what a screen at 25 mm/s can show in 750 mm, and a reconnect wants back
MAX_STRIP_ITEMS = 4096  # 30 s cut as small as alternating invalid samples can cut them
MAX_BEDS = 64  # a ward; eight sensors a box
STALE_S = 2.0  # a monitor may be still this long before it must say so
STALE_FRAMES = 2
LARGEST_STEP = 32767


@dataclass(frozen=True, slots=True)
class BedView:
    """What a screen says of a bed itself. `stay` names the stay and changes with each admission."""

    bed_id: str
    label: str
    state: BedState
    sensor_name: str | None = None
    stay: str | None = None


@dataclass(frozen=True, slots=True)
class SensorView:
    """What a screen says of a bed's sensor; None is unknown."""

    connected: bool
    lead_off: bool = False
    battery_percent: int | None = None


class UnknownBed(KeyError):
    """A bed was fed or asked for that `bed_changed` never named."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a screen has to know, in the order of `version`."""

    version: int
    payload: Json


@dataclass(frozen=True, slots=True)
class Cursor:
    """A reader's place: it is good only within one run of one set of beds."""

    epoch: str
    version: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.version}"

    @staticmethod
    def parse(text: str) -> Cursor | None:
        """The cursor that `str` wrote, or None for anything else."""
        epoch, dot, version = text.partition(".")
        if not dot or not version.isascii() or not version.isdigit() or len(version) > 18:
            return None
        return Cursor(epoch, int(version))


@dataclass(frozen=True, slots=True)
class Update:
    """What is new since a cursor. `fresh`: the screen must forget all it had before."""

    cursor: Cursor
    fresh: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class RecentSignal:
    """The newest unbroken samples of a bed, in 5 µV steps, shape (n,)."""

    sample_rate_hz: int
    steps: NDArray[np.int16]
    at_s: float


@dataclass(frozen=True, slots=True)
class _StripItem:
    end: int
    change: Change
    start: int = 0
    steps: NDArray[np.int16] | None = None


@dataclass(slots=True)
class _Screen:
    """One bed's newest states by kind, and its strip: signal, gaps and beats in order."""

    view: BedView
    states: dict[str, Change] = field(default_factory=dict)
    strip: deque[_StripItem] = field(default_factory=lambda: deque(maxlen=MAX_STRIP_ITEMS))
    axis: int = 0
    session_name: str | None = None
    sample_rate_hz: int | None = None
    last_signal_s: float | None = None

    def empty(self) -> None:
        """Forget the signal and all that was concluded from it."""
        self.strip.clear()
        self.states.pop("vitals", None)
        self.session_name = self.sample_rate_hz = self.last_signal_s = None

    def keep(self, item: _StripItem) -> None:
        self.strip.append(item)
        assert self.sample_rate_hz is not None
        oldest = item.end - STRIP_S * self.sample_rate_hz
        while self.strip[0].end < oldest:
            self.strip.popleft()

    def since(self, version: int) -> list[Change]:
        found = [change for change in self.states.values() if change.version > version]
        for item in reversed(self.strip):
            if item.change.version <= version:
                break
            found.append(item.change)
        return found


def stale_after_s(sample_rate_hz: int | None) -> float:
    """Two seconds or two frame periods, whichever is longer."""
    if sample_rate_hz is None:
        return STALE_S
    return max(STALE_S, STALE_FRAMES * SAMPLES_PER_FRAME / sample_rate_hz)


class LiveView:
    """The screens of all beds behind one lock. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._screens: dict[str, _Screen] = {}
        self._epoch = secrets.token_hex(4)
        self._version = 0
        self._closed = False

    # What the daemon writes. Each raises UnknownBed for a bed that was never named.

    def bed_changed(self, view: BedView, at_s: float) -> None:
        """Add a bed, or change it; another stay or sensor, or a vacant bed, starts empty."""
        with self._changed:
            screen = self._screens.get(view.bed_id)
            if screen is None:
                screen = self._add(view)
            elif _another_patient(screen.view, view):
                self._restart_axis(screen, at_s)
                self._put_state(screen, "alarms", {"alarms": []}, at_s)
            screen.view = view
            payload: Json = {
                "label": view.label,
                "state": view.state,
                "sensor_name": view.sensor_name,
            }
            self._put_state(screen, "bed", payload, at_s)

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
            screen = self._screen(bed_id)
            if (screen.session_name, screen.sample_rate_hz) != (session_name, sample_rate_hz):
                self._restart_axis(screen, at_s, session_name, sample_rate_hz)
            for item in items:
                self._put_stretch(screen, item, at_s)

    def beats(self, bed_id: str, beats: Sequence[Beat], at_s: float) -> None:
        """Finished beats of the bed's present session."""
        if not beats:
            return
        with self._changed:
            screen = self._screen(bed_id)
            if screen.session_name is None:
                return
            payload = self._payload(screen, "beats", at_s)
            payload["beats"] = [_beat_json(beat) for beat in beats]
            screen.keep(_StripItem(int(beats[-1].r_sample), self._new_change(payload)))

    def vitals(self, bed_id: str, vitals: VitalSigns, at_s: float) -> None:
        """The newest second's heart rate and quality."""
        quality = vitals.quality
        payload: Json = {
            "heart_rate_bpm": vitals.heart_rate_bpm if quality.rate_usable else None,
            "quality": round(quality.index, 2),
            "reasons": sorted(quality.reasons),
            "rate_usable": quality.rate_usable,
        }
        with self._changed:
            self._put_state(self._screen(bed_id), "vitals", payload, at_s)

    def alarms(self, bed_id: str, open_alarms: Sequence[Alarm], at_s: float) -> None:
        """All alarms of the bed that are not ended."""
        payload: Json = {"alarms": [alarm_json(alarm) for alarm in open_alarms]}
        with self._changed:
            self._put_state(self._screen(bed_id), "alarms", payload, at_s)

    def sensor(self, bed_id: str, sensor: SensorView, at_s: float) -> None:
        payload: Json = {
            "connected": sensor.connected,
            "lead_off": sensor.lead_off,
            "battery_percent": sensor.battery_percent,
        }
        with self._changed:
            self._put_state(self._screen(bed_id), "sensor", payload, at_s)

    def close(self) -> None:
        """Wake every waiting reader for the last time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # What the dashboard reads.

    @property
    def closed(self) -> bool:
        return self._closed

    def bed_ids(self) -> tuple[str, ...]:
        with self._changed:
            return tuple(self._screens)

    def bed(self, bed_id: str) -> BedView:
        """Raises UnknownBed."""
        with self._changed:
            return self._screen(bed_id).view

    def read(self, after: Cursor | None, bed_ids: Collection[str] = ()) -> Update:
        """What is new since `after` for these beds (none named: all), oldest first."""
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
        """Return when anything at all is newer than `after`, at the end, or after the timeout."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or Cursor(self._epoch, self._version) != after, timeout_s
            )

    def summary(self, now_s: float) -> list[Json]:
        """Each bed's state in one object; what is stale or unknown is None."""
        with self._changed:
            return [_summary(screen, now_s) for screen in self._screens.values()]

    def recent_signal(self, bed_id: str, seconds: float) -> RecentSignal | None:
        """The last `seconds` without a gap, or None if the bed has not so many."""
        with self._changed:
            screen = self._screens.get(bed_id)
            if screen is None or screen.sample_rate_hz is None or screen.last_signal_s is None:
                return None
            wanted = int(seconds * screen.sample_rate_hz)
            steps = _newest_steps(screen.strip, wanted)
            if steps is None:
                return None
            return RecentSignal(screen.sample_rate_hz, steps, screen.last_signal_s)

    # Inside the lock.

    def _screen(self, bed_id: str) -> _Screen:
        try:
            return self._screens[bed_id]
        except KeyError:
            raise UnknownBed(bed_id) from None

    def _add(self, view: BedView) -> _Screen:
        if len(self._screens) >= MAX_BEDS:
            raise ValueError(f"a live view holds at most {MAX_BEDS} beds")
        screen = self._screens[view.bed_id] = _Screen(view)
        return screen

    def _restart_axis(
        self,
        screen: _Screen,
        at_s: float,
        session_name: str | None = None,
        sample_rate_hz: int | None = None,
    ) -> None:
        screen.empty()
        screen.axis += 1
        screen.session_name, screen.sample_rate_hz = session_name, sample_rate_hz
        payload: Json = {
            "session": session_name,
            "sample_rate_hz": sample_rate_hz,
            "stale_after_s": stale_after_s(sample_rate_hz),
        }
        self._put_state(screen, "axis", payload, at_s)

    def _put_stretch(self, screen: _Screen, item: SampleBlock | Gap, at_s: float) -> None:
        kind = "gap" if isinstance(item, Gap) else "signal"
        payload = self._payload(screen, kind, at_s)
        payload["start"] = int(item.start)
        steps = None
        if isinstance(item, Gap):
            payload |= {"length": item.length, "reason": item.reason}
        else:
            steps = _steps(item.amplitude_uv)
            payload["steps"] = base64.b64encode(steps.tobytes()).decode("ascii")
            screen.last_signal_s = at_s
        change = self._new_change(payload)
        screen.keep(_StripItem(int(item.end), change, int(item.start), steps))

    def _put_state(self, screen: _Screen, kind: str, payload: Json, at_s: float) -> None:
        screen.states[kind] = self._new_change(self._payload(screen, kind, at_s) | payload)

    def _payload(self, screen: _Screen, kind: str, at_s: float) -> Json:
        return {"kind": kind, "bed": screen.view.bed_id, "axis": screen.axis, "at_s": at_s}

    def _new_change(self, payload: Json) -> Change:
        self._version += 1
        self._changed.notify_all()
        return Change(self._version, payload)


def _another_patient(before: BedView, after: BedView) -> bool:
    moved = (before.stay, before.sensor_name) != (after.stay, after.sensor_name)
    return moved or (after.state is BedState.VACANT and before.state is not BedState.VACANT)


def _steps(amplitude_uv: NDArray[np.float64]) -> NDArray[np.int16]:
    steps = np.rint(amplitude_uv / MICROVOLTS_PER_STEP)
    return np.clip(steps, -LARGEST_STEP, LARGEST_STEP).astype("<i2")


def _newest_steps(strip: deque[_StripItem], wanted: int) -> NDArray[np.int16] | None:
    parts: list[NDArray[np.int16]] = []
    held, expected_end = 0, None
    for item in reversed(strip):
        if item.change.payload["kind"] == "beats":
            continue
        if item.steps is None or (expected_end is not None and item.end != expected_end):
            return None
        parts.append(item.steps)
        held, expected_end = held + item.steps.size, item.start
        if held >= wanted:
            return np.concatenate(parts[::-1])[held - wanted :]
    return None


def _beat_json(beat: Beat) -> Json:
    label = beat.label
    return {
        "r": int(beat.r_sample),
        "class": label.beat_class if label else None,
        "p_abnormal": round(label.p_abnormal, 3) if label else None,
    }


def alarm_json(alarm: Alarm) -> Json:
    """An alarm as the pages and the API speak of it; times are Unix seconds."""
    return {
        "kind": alarm.kind,
        "priority": alarm.priority,
        "state": alarm.state,
        "onset_s": alarm.onset_s,
        "raised_s": alarm.raised_s,
        "ended_s": alarm.ended_s,
        "acknowledged_s": alarm.acknowledged_s,
    }


def _summary(screen: _Screen, now_s: float) -> Json:
    def state(kind: str) -> Json:
        return screen.states[kind].payload if kind in screen.states else {}

    last = screen.last_signal_s
    stale = last is None or now_s - last > stale_after_s(screen.sample_rate_hz)
    vitals: Json = {} if stale else state("vitals")
    return {
        "id": screen.view.bed_id,
        "label": screen.view.label,
        "state": screen.view.state,
        "sensor_name": screen.view.sensor_name,
        "connected": state("sensor").get("connected"),
        "lead_off": state("sensor").get("lead_off"),
        "battery_percent": state("sensor").get("battery_percent"),
        "session": screen.session_name,
        "last_signal_s": last,
        "stale": stale,
        "heart_rate_bpm": vitals.get("heart_rate_bpm"),
        "quality": vitals.get("quality"),
        "reasons": vitals.get("reasons"),
        "alarms": state("alarms").get("alarms", []),
    }
