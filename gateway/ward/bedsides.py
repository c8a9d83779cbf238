"""All beds: loaded from the store, changed through the recorder, found by their sensor."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Iterator

from gateway.config import AlarmLimits
from gateway.live_view import LiveView
from gateway.messages import AlarmKind, DeviceId, RhythmEvent
from gateway.store.entries import AddBed, Admit, AssignSensor, BedCommand
from gateway.store.reader import Reader
from gateway.store.recorder import Recorder
from gateway.ward.bedside import Bedside


class Bedsides:
    """The beds by name; `now` gives Unix seconds."""

    def __init__(
        self,
        limits: AlarmLimits,
        reader: Reader,
        recorder: Recorder,
        live_view: LiveView,
        now: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._reader = reader
        self._recorder = recorder
        self._live_view = live_view
        self._now = now
        self._beds: dict[str, Bedside] = {}
        self._admission = asyncio.Lock()  # the next bed's name is taken only when it is made

    def __iter__(self) -> Iterator[Bedside]:
        return iter(tuple(self._beds.values()))

    def of(self, device_id: DeviceId) -> Bedside | None:
        """The bed that the sensor watches."""
        return next((bed for bed in self if bed.bed.device_id == device_id), None)

    def limits_at(self, device_id: DeviceId) -> AlarmLimits:
        """What the sensor's signal is judged by: its bed's limits, or the house's."""
        bed = self.of(device_id)
        return self._limits if bed is None else bed.limits

    def reload(self) -> None:
        """Take over what the store says of all beds."""
        open_alarms = self._reader.open_alarms()
        for bed in self._reader.beds():
            known = self._beds.get(bed.name)
            if known is not None:
                known.change(bed, self._now())
                continue
            alarms = [stored.alarm for stored in open_alarms if stored.bed == bed.id]
            self._beds[bed.name] = Bedside(
                bed, self._limits, alarms, self._recorder.record, self._live_view, self._now()
            )

    async def command(self, *commands: BedCommand) -> None:
        """Do bed commands in order; raises BedCommandRefused."""
        try:
            for command in commands:
                await asyncio.wrap_future(self._recorder.command(command))
        finally:
            self.reload()

    async def admit_sensor(self, device_id: DeviceId) -> None:
        """Give the sensor a new bed of its own, and the bed a patient."""
        async with self._admission:
            names = (f"Bed {number}" for number in itertools.count(1))
            bed = next(name for name in names if name not in self._beds)
            now_s = self._now()
            await self.command(AddBed(bed), AssignSensor(device_id, bed, now_s), Admit(bed, now_s))

    def late(self, device_id: DeviceId, event: RhythmEvent, onset_s: float) -> None:
        """An event was found in signal that came late: of the present patient, or of none here."""
        bed = self.of(device_id)
        if bed is None or bed.bed.stay is None:
            return
        stay = next(stay for stay in self._reader.stays(bed.bed.id) if stay.id == bed.bed.stay)
        if onset_s >= stay.admitted_s:
            bed.late(event, onset_s, self._now())

    def clock_stepped(self, step_s: float) -> None:
        """The gateway's clock was wrong by so much until now."""
        for bed in self:
            bed.clock_stepped(step_s, self._now())

    def tick(self, faults: Collection[AlarmKind]) -> None:
        """Once a second: what time alone brings, and the gateway's own `faults`."""
        for bed in self:
            bed.tick(faults, self._now())
