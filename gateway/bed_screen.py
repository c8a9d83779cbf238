"""One bed as a screen knows it: its newest states, and the last seconds of its strip.

Nothing of one stay is ever shown in the next: a bed that changes its stay or sensor starts empty.
What a change carries is a JSON object. Wall times are the caller's, no clock is read here.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.config import AlarmLimits
from gateway.messages import (
    MICROVOLTS_PER_STEP,
    SAMPLES_PER_FRAME,
    Alarm,
    Beat,
    BedState,
    Gap,
    SampleBlock,
    Variability,
    VitalSigns,
)

Json: TypeAlias = "dict[str, object]"

STRIP_S = 30  # 750 mm at 25 mm/s: wider than any screen, and what a reconnect wants back
MAX_STRIP_ITEMS = 4096  # 30 s cut as small as alternating invalid samples can cut them
STALE_S = 2.0  # a monitor may be still this long before it must say so
STALE_FRAMES = 2
LARGEST_STEP = 32767


@dataclass(frozen=True, slots=True)
class BedView:
    """What a screen says of a bed itself. `stay` changes with each admission."""

    bed_id: str
    label: str
    state: BedState
    sensor_name: str | None = None
    stay: int | None = None
    limits: AlarmLimits = field(default_factory=AlarmLimits)
    has_own_limits: bool = False


@dataclass(frozen=True, slots=True)
class SensorView:
    """What a screen says of a bed's sensor; None is unknown."""

    connected: bool
    lead_off: bool = False
    battery_percent: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a screen has to know; `version` grows over all beds."""

    version: int
    payload: Json


@dataclass(frozen=True, slots=True)
class RecentSignal:
    """The newest unbroken samples of a bed, band-passed, in 5 µV steps, shape (n,)."""

    sample_rate_hz: int
    steps: NDArray[np.int16]
    at_s: float


@dataclass(frozen=True, slots=True)
class _StripItem:
    """Signal, a gap (`steps` None), or beats (an empty stretch at the last R peak)."""

    start: int
    end: int
    steps: NDArray[np.int16] | None
    change: Change


def stale_after_s(sample_rate_hz: int | None) -> float:
    """Two seconds or two frame periods, whichever is longer."""
    if sample_rate_hz is None:
        return STALE_S
    return max(STALE_S, STALE_FRAMES * SAMPLES_PER_FRAME / sample_rate_hz)


class BedScreen:
    """Not thread-safe; `LiveView` holds its lock around every call."""

    def __init__(self, view: BedView, next_version: Callable[[], int]) -> None:
        self.view = view
        self._next_version = next_version
        self._states: dict[str, Change] = {}
        self._strip: deque[_StripItem] = deque(maxlen=MAX_STRIP_ITEMS)
        self._axis = 0
        self._session_name: str | None = None
        self._sample_rate_hz: int | None = None
        self._last_signal_s: float | None = None

    def show_bed(self, view: BedView, at_s: float) -> None:
        if _another_patient(self.view, view):
            self._restart_axis(None, None, at_s)
            self.show_alarms((), at_s)
        self.view = view
        self._put(
            "bed",
            at_s,
            label=view.label,
            state=view.state,
            sensor_name=view.sensor_name,
            heart_rate_low_bpm=view.limits.heart_rate_low_bpm,
            heart_rate_high_bpm=view.limits.heart_rate_high_bpm,
            has_own_limits=view.has_own_limits,
        )

    def show_signal(
        self,
        session_name: str,
        sample_rate_hz: int,
        items: Sequence[SampleBlock | Gap],
        at_s: float,
    ) -> None:
        if (self._session_name, self._sample_rate_hz) != (session_name, sample_rate_hz):
            self._restart_axis(session_name, sample_rate_hz, at_s)
        for item in items:
            self._keep(self._gap(item, at_s) if isinstance(item, Gap) else self._block(item, at_s))

    def show_beats(self, session_name: str, beats: Sequence[Beat], at_s: float) -> None:
        if not beats or session_name != self._session_name:
            return
        change = self._change("beats", at_s, beats=[_beat_json(beat) for beat in beats])
        r_sample = int(beats[-1].r_sample)
        self._keep(_StripItem(r_sample, r_sample, np.empty(0, np.int16), change))

    def show_vitals(self, session_name: str, vitals: VitalSigns, at_s: float) -> None:
        if session_name != self._session_name:
            return
        quality = vitals.quality
        self._put(
            "vitals",
            at_s,
            heart_rate_bpm=vitals.heart_rate_bpm if quality.rate_usable else None,
            quality=round(quality.index, 2),
            reasons=sorted(quality.reasons),
            rate_usable=quality.rate_usable,
        )

    def show_variability(self, session_name: str, variability: Variability, at_s: float) -> None:
        if session_name == self._session_name:
            self._put("variability", at_s, **asdict(variability))

    def show_alarms(self, open_alarms: Sequence[Alarm], at_s: float) -> None:
        self._put("alarms", at_s, alarms=[alarm_json(alarm) for alarm in open_alarms])

    def show_sensor(self, sensor: SensorView, at_s: float) -> None:
        self._put(
            "sensor",
            at_s,
            connected=sensor.connected,
            lead_off=sensor.lead_off,
            battery_percent=sensor.battery_percent,
        )

    def since(self, version: int) -> Iterator[Change]:
        """The changes above `version`, in no order."""
        yield from (change for change in self._states.values() if change.version > version)
        for item in reversed(self._strip):
            if item.change.version <= version:
                return
            yield item.change

    def recent_signal(self, seconds: float) -> RecentSignal | None:
        """The last `seconds` without a gap, or None if there are not so many."""
        if self._sample_rate_hz is None or self._last_signal_s is None:
            return None
        wanted = int(seconds * self._sample_rate_hz)
        parts: list[NDArray[np.int16]] = []
        for item in reversed(self._strip):
            if item.steps is None:
                return None
            parts.append(item.steps)
            wanted -= item.steps.size
            if wanted <= 0:
                steps = np.concatenate(parts[::-1])[-wanted:]
                return RecentSignal(self._sample_rate_hz, steps, self._last_signal_s)
        return None

    def summary(self, now_s: float) -> Json:
        """All that is known now in one object; what is stale or unknown is None."""
        last = self._last_signal_s
        stale = last is None or now_s - last > stale_after_s(self._sample_rate_hz)
        sensor = self._state("sensor")
        vitals = {} if stale else self._state("vitals")
        return {
            "id": self.view.bed_id,
            "label": self.view.label,
            "state": self.view.state,
            "sensor_name": self.view.sensor_name,
            "session": self._session_name,
            "last_signal_s": last,
            "stale": stale,
            "alarms": self._state("alarms").get("alarms", []),
            **{name: sensor.get(name) for name in ("connected", "lead_off", "battery_percent")},
            **{name: vitals.get(name) for name in ("heart_rate_bpm", "quality", "reasons")},
        }

    def _restart_axis(
        self, session_name: str | None, sample_rate_hz: int | None, at_s: float
    ) -> None:
        self._strip.clear()
        for of_the_last_axis in ("vitals", "variability"):
            self._states.pop(of_the_last_axis, None)
        self._last_signal_s = None
        self._axis += 1
        self._session_name, self._sample_rate_hz = session_name, sample_rate_hz
        self._put(
            "axis",
            at_s,
            session=session_name,
            sample_rate_hz=sample_rate_hz,
            stale_after_s=stale_after_s(sample_rate_hz),
        )

    def _gap(self, gap: Gap, at_s: float) -> _StripItem:
        change = self._change(
            "gap", at_s, start=int(gap.start), length=gap.length, reason=gap.reason
        )
        return _StripItem(int(gap.start), int(gap.end), None, change)

    def _block(self, block: SampleBlock, at_s: float) -> _StripItem:
        steps = np.rint(block.amplitude_uv / MICROVOLTS_PER_STEP)
        steps = np.clip(steps, -LARGEST_STEP, LARGEST_STEP).astype("<i2")
        encoded = base64.b64encode(steps.tobytes()).decode("ascii")
        self._last_signal_s = at_s
        change = self._change("signal", at_s, start=int(block.start), steps=encoded)
        return _StripItem(int(block.start), int(block.end), steps, change)

    def _keep(self, item: _StripItem) -> None:
        self._strip.append(item)
        assert self._sample_rate_hz is not None  # an axis has a rate before it has items
        oldest = item.end - STRIP_S * self._sample_rate_hz
        while self._strip[0].end < oldest:
            self._strip.popleft()

    def _put(self, kind: str, at_s: float, **fields: object) -> None:
        self._states[kind] = self._change(kind, at_s, **fields)

    def _change(self, kind: str, at_s: float, **fields: object) -> Change:
        payload = {"kind": kind, "bed": self.view.bed_id, "axis": self._axis, "at_s": at_s}
        return Change(self._next_version(), payload | fields)

    def _state(self, kind: str) -> Json:
        return self._states[kind].payload if kind in self._states else {}


def _another_patient(before: BedView, after: BedView) -> bool:
    moved = (before.stay, before.sensor_name) != (after.stay, after.sensor_name)
    return moved or (after.state is BedState.VACANT and before.state is not BedState.VACANT)


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
        "escalated_s": alarm.escalated_s,
        "confidence": alarm.confidence,
    }
