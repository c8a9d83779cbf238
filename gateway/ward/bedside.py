"""One bed: its patient's stay, its alarms, and what its screen is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from gateway.alarms import AlarmBook
from gateway.bed_screen import BedView, SensorView
from gateway.config import AlarmLimits
from gateway.live_view import LiveView
from gateway.messages import (
    Alarm,
    AlarmKind,
    BedState,
    Gap,
    RhythmEvent,
    RhythmKind,
    SampleBlock,
    SessionId,
    device_name,
)
from gateway.radio.message_codec import SensorStatus, StatusFlags
from gateway.store.answers import Bed
from gateway.store.entries import AlarmChanged, AlarmRedated, Entry
from gateway.wall_clock import SessionClock
from gateway.ward.bed_limits import limits_of_bed
from gateway.ward.sensor_channel import LiveSignal

GATEWAY_FAULTS = (
    AlarmKind.NOT_STORED,
    AlarmKind.DATABASE_DAMAGED,
    AlarmKind.DISK_NEARLY_FULL,
    AlarmKind.CLOCK_NOT_SET,
)
_LEAD_OFF = StatusFlags.LEAD_OFF_POSITIVE | StatusFlags.LEAD_OFF_NEGATIVE


class Bedside:
    """Turns a bed's findings into alarms and screen; times are Unix seconds."""

    def __init__(
        self,
        bed: Bed,
        limits: AlarmLimits,
        open_alarms: Iterable[Alarm],
        record: Callable[[Entry], object],
        live_view: LiveView,
        now_s: float,
    ) -> None:
        self._record = record
        self._live_view = live_view
        self._book = AlarmBook(limits, open_alarms)
        self._session: SessionId | None = None  # that the bed's sensor was last heard in
        self.house_limits = limits
        self.bed = bed
        if bed.state is BedState.MONITORING:
            self._book.monitor(now_s)
        else:
            self._book.stand_by(now_s)
        self._show(now_s)
        live_view.alarms(self._id, self._book.open_alarms, now_s)

    @property
    def _id(self) -> str:
        return str(self.bed.id)

    @property
    def open_alarms(self) -> tuple[Alarm, ...]:
        return self._book.open_alarms

    @property
    def limits(self) -> AlarmLimits:
        """The alarm limits that apply."""
        return limits_of_bed(self.house_limits, self.bed.limits)

    def change(self, bed: Bed, now_s: float) -> None:
        """Take over what the store says of the bed now."""
        before, self.bed = self.bed, bed
        if bed.stay != before.stay or bed.device_id != before.device_id:
            self._report(self._book.stand_by(now_s), None, now_s)
        if bed.state is BedState.MONITORING:
            self._book.monitor(now_s)
        else:
            self._report(self._book.stand_by(now_s), None, now_s)
        self._show(now_s)

    def signal(self, signal: LiveSignal, now_s: float) -> None:
        """What came at the live edge of the bed's sensor."""
        if self.bed.state is BedState.VACANT:
            return
        findings, clock = signal.findings, signal.clock
        self._session = signal.session
        changed = self._book.hear(now_s)
        for event in findings.events:
            changed += self._push_event(event, clock)
        for vitals in findings.vitals:
            changed += self._book.push_quality(vitals.quality, clock.at(vitals.start))
        self._report(changed, signal.session, now_s)
        self._draw(signal, now_s)

    def resume(
        self,
        session: SessionId,
        events: Iterable[RhythmEvent],
        open_kinds: frozenset[RhythmKind],
        clock: SessionClock,
        now_s: float,
    ) -> None:
        """After a restart: what the replay left open is an alarm, what it has not open is none."""
        self._session = session
        changed = [alarm for event in events for alarm in self._push_event(event, clock)]
        changed += self._book.settle(open_kinds, now_s)
        self._report(changed, None, now_s)

    def late(self, event: RhythmEvent, onset_s: float, now_s: float) -> None:
        """A finding in signal that came late: one notice, no live alarm."""
        self._report(self._book.notice_late(event.kind, onset_s, now_s), None, now_s)

    def clock_stepped(self, step_s: float, now_s: float) -> None:
        """The gateway's clock was wrong by so much until now."""
        for alarm in self.open_alarms:
            self._record(AlarmRedated(self.bed.id, alarm.kind, alarm.onset_s, step_s))
        self._book.shift(step_s)
        self._live_view.alarms(self._id, self._book.open_alarms, now_s)

    def tick(self, faults: Collection[AlarmKind], now_s: float) -> None:
        """Once a second: what time alone brings, and the gateway's own `faults`."""
        changed = self._book.tick(now_s)
        for kind in GATEWAY_FAULTS:
            changed += self._book.push_condition(kind, kind in faults, now_s)
        self._report(changed, None, now_s)

    def acknowledge(self, kind: AlarmKind | None, now_s: float) -> list[Alarm]:
        """Somebody has seen the alarm of this kind, or (None) all open ones."""
        kinds = [alarm.kind for alarm in self.open_alarms] if kind is None else [kind]
        changed = [alarm for each in kinds for alarm in self._book.acknowledge(each, now_s)]
        self._report(changed, None, now_s)
        return changed

    def pause_audio(self, now_s: float, seconds: float) -> float:
        """Silence what sounds; gives until when."""
        return self._book.pause_audio(now_s, seconds)

    def sensor(self, connected: bool, status: SensorStatus | None, now_s: float) -> None:
        """Whether the sensor has a link, and what it last said of itself under seal."""
        if status is not None and status.battery_percent is not None:
            self._report(self._book.push_battery(status.battery_percent, now_s), None, now_s)
        self._live_view.sensor(
            self._id,
            SensorView(
                connected,
                lead_off=status is not None and bool(status.flags & _LEAD_OFF),
                battery_percent=None if status is None else status.battery_percent,
            ),
            now_s,
        )

    def _push_event(self, event: RhythmEvent, clock: SessionClock) -> list[Alarm]:
        end_s = None if event.end is None else clock.at(event.end)
        return self._book.push_event(
            event.kind, clock.at(event.onset), clock.at(event.decided), end_s, event.confidence
        )

    def _draw(self, signal: LiveSignal, now_s: float) -> None:
        screen, session = self._live_view, signal.session.name
        stretches: list[SampleBlock | Gap] = [
            *signal.findings.filtered,
            *(item for item in signal.items if isinstance(item, Gap)),
        ]
        stretches.sort(key=lambda item: item.start)
        screen.signal(self._id, session, signal.sample_rate_hz, stretches, now_s)
        screen.beats(self._id, session, signal.findings.beats, now_s)
        for vitals in signal.findings.vitals:
            screen.vitals(self._id, session, vitals, now_s)
        for minute in signal.findings.minutes:
            screen.variability(self._id, session, minute.variability, now_s)

    def _report(self, changed: Iterable[Alarm], session: SessionId | None, now_s: float) -> None:
        changed = list(changed)
        for alarm in changed:
            self._record(AlarmChanged(self.bed.id, alarm, session, self._session))
        if changed:
            self._live_view.alarms(self._id, self._book.open_alarms, now_s)

    def _show(self, now_s: float) -> None:
        bed = self.bed
        view = BedView(
            bed_id=self._id,
            label=bed.name,
            state=bed.state,
            sensor_name=None if bed.device_id is None else device_name(bed.device_id),
            stay=bed.stay,
            limits=self.limits,
            has_own_limits=bed.limits is not None,
        )
        self._live_view.bed_changed(view, now_s)
