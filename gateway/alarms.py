"""Events and quality → alarms: one bed's state machine, in the manner of IEC 60601-1-8.

Seconds are passed in and lie on one axis of the caller's choice. At most one alarm of a kind is
open at a time; each call returns the alarms that it changed.

- A physiological alarm follows its rhythm event. A lethal one latches: when the heart beats again
  it stays LATCHED until somebody has acknowledged it. No technical condition touches it.
- Brief findings of one kind are one alarm until none has come for a minute, and a lesser finding
  is not called while a graver one of the same beats holds; `alarm_policy` says which.
- A technical alarm follows what the sensor and the gateway say of themselves: silence, leads,
  signal quality, battery, disk, clock.
- Acknowledging an alarm silences it for as long as its condition holds.
- A high or medium alarm that nobody has acknowledged in time escalates: it is high from then on,
  and breaks through a pause.
- Audio pause silences all that sounds for two minutes at most; a new high-priority alarm breaks
  through. It changes no alarm's state.
- On standby, and in a vacant bed, nothing is open and nothing is raised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from gateway.alarm_policy import (
    AGGREGATED,
    AGGREGATED_S,
    ALARM_OF,
    EACH_ANEW,
    LATCHING,
    LATE_NOTICES,
    OVERRIDDEN_BY,
    PRIORITY,
)
from gateway.config import AlarmLimits
from gateway.messages import (
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Quality,
    QualityReason,
    RhythmKind,
)

MAX_PAUSE_S = 120.0  # audio pause of bedside monitors; IEC 60601-1-8 asks for a bound
LEAD_OFF_S = 2.0  # a lead that bounces is a poor signal, not a lead off
CLEAR_S = 3.0  # a technical condition is over when it has been absent this long

BATTERY_HYSTERESIS = 5  # percent; a charge at its limit must not call again and again
WAITING = frozenset({AlarmState.ACTIVE, AlarmState.LATCHED})  # nobody has acknowledged
_URGENCY = (AlarmPriority.HIGH, AlarmPriority.MEDIUM, AlarmPriority.LOW)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A rhythm event that has begun."""

    onset_s: float
    confidence: float | None


class _Condition:
    """A technical condition that counts once it has lasted, and is over once it stayed away."""

    def __init__(self, lasting_s: float) -> None:
        self._lasting_s = lasting_s
        self._since_s: float | None = None
        self._last_s = 0.0

    def push(self, present: bool, from_s: float, until_s: float) -> None:
        if present:
            self._since_s = from_s if self._since_s is None else self._since_s
            self._last_s = until_s
        elif self._since_s is not None and until_s - self._last_s >= CLEAR_S:
            self._since_s = None

    def clear(self) -> None:
        self._since_s = None

    def shift(self, seconds: float) -> None:
        self._last_s += seconds
        if self._since_s is not None:
            self._since_s += seconds

    @property
    def onset_s(self) -> float | None:
        """Since when, if it has lasted long enough to count."""
        if self._since_s is None or self._last_s - self._since_s < self._lasting_s:
            return None
        return self._since_s


class AlarmBook:
    """The alarms of one bed; `open_alarms` are those that a restart found open."""

    def __init__(self, limits: AlarmLimits, open_alarms: Iterable[Alarm] = ()) -> None:
        self._sensor_silent_s = limits.sensor_silent_s
        self._escalation_s = limits.escalation_s
        self._battery_low_percent = limits.battery_low_percent
        self._open = {alarm.kind: alarm for alarm in open_alarms}
        self._holding: dict[AlarmKind, _Begun] = {}  # rhythm events that have not ended
        self._fading: dict[AlarmKind, float] = {}  # when the last event of an aggregate ended
        self._lead_off = _Condition(LEAD_OFF_S)
        self._poor_signal = _Condition(limits.poor_signal_s)
        self._watched = True
        self._heard_s: float | None = None
        self._paused_from_s = 0.0
        self._paused_until_s = 0.0

    @property
    def open_alarms(self) -> tuple[Alarm, ...]:
        """All that have not ended, the most urgent first, then the oldest."""
        return tuple(
            sorted(
                self._open.values(),
                key=lambda alarm: (_URGENCY.index(alarm.priority), alarm.onset_s),
            )
        )

    def push_event(
        self,
        kind: RhythmKind,
        onset_s: float,
        decided_s: float,
        end_s: float | None = None,
        confidence: float | None = None,
    ) -> list[Alarm]:
        """A rhythm event began (`end_s` None) or ended."""
        alarm_kind = ALARM_OF.get(kind)
        if alarm_kind is None or not self._watched:
            return []
        if end_s is None:
            self._holding[alarm_kind] = _Begun(onset_s, confidence)
            return self._call_holding(decided_s)
        self._holding.pop(alarm_kind, None)
        return [*self._condition_over(alarm_kind, end_s), *self._call_holding(decided_s)]

    def notice_late(self, kind: RhythmKind, onset_s: float, at_s: float) -> list[Alarm]:
        """An event was found in signal that came late: a lethal one leaves a notice to be seen."""
        notice = LATE_NOTICES.get(kind)
        if notice is None or not self._watched:
            return []
        before = self._open.get(notice)
        changed = [] if before is None else [self._end(before, at_s)]
        alarm = Alarm(notice, PRIORITY[notice], onset_s, at_s, AlarmState.LATCHED, ended_s=at_s)
        return [*changed, self._keep(alarm)]

    def push_quality(self, quality: Quality, start_s: float) -> list[Alarm]:
        """A second of signal that began at `start_s`."""
        if not self._watched:
            return []
        end_s = start_s + 1.0
        lead_off = QualityReason.LEAD_OFF in quality.reasons
        self._lead_off.push(lead_off, start_s, end_s)
        self._poor_signal.push(not (quality.rate_usable or lead_off), start_s, end_s)
        return [
            *self._end_faded(end_s),
            *self._follow(AlarmKind.LEAD_OFF, self._lead_off.onset_s, end_s),
            *self._follow(AlarmKind.POOR_SIGNAL, self._poor_signal.onset_s, end_s),
        ]

    def hear(self, at_s: float) -> list[Alarm]:
        """The sensor was heard: a frame came."""
        self._heard_s = at_s
        return self._condition_over(AlarmKind.SENSOR_SILENT, at_s)

    def tick(self, now_s: float) -> list[Alarm]:
        """What time alone brings: a sensor that stays silent, an alarm to which nobody comes.

        The count of silence starts when first asked.
        """
        if self._heard_s is None:
            self._heard_s = now_s
        silent = self._watched and now_s - self._heard_s >= self._sensor_silent_s
        return [
            *self._end_faded(now_s),
            *(self._raise(AlarmKind.SENSOR_SILENT, self._heard_s, now_s) if silent else []),
            *self._escalate(now_s),
        ]

    def push_condition(self, kind: AlarmKind, holds: bool, at_s: float) -> list[Alarm]:
        """Whether a technical condition holds that another part of the gateway has judged."""
        if not holds:
            return self._condition_over(kind, at_s)
        return self._raise(kind, at_s, at_s) if self._watched else []

    def push_battery(self, percent: int, at_s: float) -> list[Alarm]:
        """The charge that the sensor reports."""
        limit = self._battery_low_percent
        was_low = AlarmKind.BATTERY_LOW in self._open
        low = percent < limit + BATTERY_HYSTERESIS if was_low else percent <= limit
        return self.push_condition(AlarmKind.BATTERY_LOW, low, at_s)

    def acknowledge(self, kind: AlarmKind, at_s: float) -> list[Alarm]:
        """Somebody has seen the open alarm of this kind, if there is one."""
        alarm = self._open.get(kind)
        if alarm is None or alarm.state is AlarmState.ACKNOWLEDGED:
            return []
        over = alarm.state is AlarmState.LATCHED
        state = AlarmState.ENDED if over else AlarmState.ACKNOWLEDGED
        return [self._keep(replace(alarm, state=state, acknowledged_s=at_s))]

    def pause_audio(self, at_s: float, seconds: float = MAX_PAUSE_S) -> float:
        """Silence what sounds now; returns until when. Zero seconds end the pause."""
        self._paused_from_s = at_s
        self._paused_until_s = at_s + min(max(seconds, 0.0), MAX_PAUSE_S)
        return self._paused_until_s

    def sounding(self, now_s: float) -> AlarmPriority | None:
        """The priority whose tone sounds now."""
        heard = (alarm for alarm in self.open_alarms if alarm.state in WAITING)
        return next((alarm.priority for alarm in heard if self._is_audible(alarm, now_s)), None)

    def stand_by(self, at_s: float) -> list[Alarm]:
        """The bed goes on standby or becomes vacant: end all that is open, and raise nothing."""
        self._watched = False
        self._lead_off.clear()
        self._poor_signal.clear()
        self._holding.clear()
        return [self._end(alarm, at_s) for alarm in self.open_alarms]

    def monitor(self, at_s: float) -> None:
        """The bed is monitored from now on; the sensor's silence counts from here."""
        self._watched = True
        self._heard_s = at_s

    def shift(self, seconds: float) -> None:
        """The axis was wrong by so much: everything that is open lies there from now on."""
        self._open = {kind: _shifted(alarm, seconds) for kind, alarm in self._open.items()}
        self._holding = {
            kind: replace(begun, onset_s=begun.onset_s + seconds)
            for kind, begun in self._holding.items()
        }
        self._fading = {kind: ended_s + seconds for kind, ended_s in self._fading.items()}
        self._lead_off.shift(seconds)
        self._poor_signal.shift(seconds)
        self._paused_from_s += seconds
        self._paused_until_s += seconds
        if self._heard_s is not None:
            self._heard_s += seconds

    def settle(self, open_kinds: Collection[RhythmKind], at_s: float) -> list[Alarm]:
        """After a restart: over is what the analysis, taken up or begun anew, has not open."""
        holding = {ALARM_OF[kind] for kind in open_kinds if kind in ALARM_OF}
        for kind in holding & self._open.keys() - self._holding.keys():
            self._holding[kind] = _Begun(self._open[kind].onset_s, self._open[kind].confidence)
        over = [kind for kind in ALARM_OF.values() if kind not in holding]
        return [alarm for kind in over for alarm in self._condition_over(kind, at_s)]

    def _call_holding(self, at_s: float) -> list[Alarm]:
        """Raise what holds and nothing graver of the same beats covers; what is open stays."""
        uncovered = [
            (kind, begun)
            for kind, begun in self._holding.items()
            if not self._holding.keys() & OVERRIDDEN_BY.get(kind, ())
        ]
        return [
            alarm
            for kind, begun in uncovered
            for alarm in self._raise(kind, begun.onset_s, at_s, begun.confidence)
        ]

    def _escalate(self, now_s: float) -> list[Alarm]:
        waiting = [
            alarm
            for alarm in self.open_alarms
            if alarm.state in WAITING
            and alarm.priority is not AlarmPriority.LOW
            and alarm.escalated_s is None
            and now_s - alarm.raised_s >= self._escalation_s
        ]
        return [
            self._keep(replace(alarm, priority=AlarmPriority.HIGH, escalated_s=now_s))
            for alarm in waiting
        ]

    def _end_faded(self, now_s: float) -> list[Alarm]:
        """Aggregates of which nothing more has come."""
        over = [kind for kind, ended in self._fading.items() if now_s - ended >= AGGREGATED_S]
        return [self._end(self._open[kind], now_s) for kind in over]

    def _is_audible(self, alarm: Alarm, now_s: float) -> bool:
        urgent_s = alarm.raised_s if alarm.escalated_s is None else alarm.escalated_s
        breaks_through = alarm.priority is AlarmPriority.HIGH and urgent_s > self._paused_from_s
        return now_s >= self._paused_until_s or breaks_through

    def _follow(self, kind: AlarmKind, onset_s: float | None, at_s: float) -> list[Alarm]:
        if onset_s is None:
            return self._condition_over(kind, at_s)
        return self._raise(kind, onset_s, at_s)

    def _raise(
        self, kind: AlarmKind, onset_s: float, at_s: float, confidence: float | None = None
    ) -> list[Alarm]:
        """Open an alarm; one that is latched gives way to it, one whose condition holds stays."""
        changed = []
        before = self._open.get(kind)
        if before is not None:
            anew = kind in EACH_ANEW and before.onset_s != onset_s
            if before.state is not AlarmState.LATCHED and not anew:
                self._fading.pop(kind, None)
                return []
            changed.append(self._end(before, at_s))
        alarm = Alarm(kind, PRIORITY[kind], onset_s, at_s, AlarmState.ACTIVE, confidence=confidence)
        return [*changed, self._keep(alarm)]

    def _condition_over(self, kind: AlarmKind, at_s: float) -> list[Alarm]:
        alarm = self._open.get(kind)
        if alarm is None or alarm.state is AlarmState.LATCHED:
            return []
        if alarm.state is AlarmState.ACTIVE and kind in LATCHING:
            return [self._keep(replace(alarm, state=AlarmState.LATCHED, ended_s=at_s))]
        if kind in AGGREGATED:
            self._fading.setdefault(kind, at_s)
            return []
        return [self._end(alarm, at_s)]

    def _end(self, alarm: Alarm, at_s: float) -> Alarm:
        faded_s = self._fading.pop(alarm.kind, at_s)
        ended_s = faded_s if alarm.ended_s is None else alarm.ended_s
        return self._keep(replace(alarm, state=AlarmState.ENDED, ended_s=ended_s))

    def _keep(self, alarm: Alarm) -> Alarm:
        if alarm.state is AlarmState.ENDED:
            self._open.pop(alarm.kind, None)
        else:
            self._open[alarm.kind] = alarm
        return alarm


def _shifted(alarm: Alarm, seconds: float) -> Alarm:
    times = ("onset_s", "raised_s", "ended_s", "acknowledged_s", "escalated_s")
    known = {name: time for name in times if (time := getattr(alarm, name)) is not None}
    return replace(alarm, **{name: time + seconds for name, time in known.items()})
