"""What the command line may ask a running gateway: its sensors, beds and alarms."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from gateway.alarms import MAX_PAUSE_S
from gateway.control.socket import Arguments, ControlRefused, Handler, Json
from gateway.messages import AlarmKind, DeviceId, device_name
from gateway.radio.keyring import KeyringError, parse_device_name
from gateway.store.entries import (
    AddBed,
    Admit,
    AssignSensor,
    BedCommand,
    BedCommandRefused,
    Discharge,
    ReleaseSensor,
    Resume,
    SetLimits,
    Standby,
)
from gateway.ward.bed_limits import KEY_OF, LimitsRefused, changed_limits, own_limits
from gateway.ward.bedside import Bedside
from gateway.ward.ward import Ward

MAX_NAME = 64  # characters of a bed's name: what fits on a screen


def bed_commands(ward: Ward) -> Mapping[str, Handler]:
    """The handlers of the control socket, by command."""
    commands = _Commands(ward)
    return {
        "sensors": commands.sensors,
        "beds": commands.beds,
        "beds add": commands.change(lambda asked: AddBed(_name(asked))),
        "beds admit": commands.change(lambda asked: Admit(_name(asked), time.time())),
        "beds discharge": commands.change(lambda asked: Discharge(_name(asked), time.time())),
        "beds standby": commands.change(lambda asked: Standby(_name(asked))),
        "beds resume": commands.change(lambda asked: Resume(_name(asked))),
        "beds assign": commands.change(
            lambda asked: AssignSensor(sensor_of(asked), _name(asked), time.time())
        ),
        "beds release": commands.change(lambda asked: ReleaseSensor(sensor_of(asked), time.time())),
        "beds limits": commands.limits,
        "alarms": commands.alarms,
        "alarms acknowledge": commands.acknowledge,
        "alarms pause": commands.pause,
    }


class _Commands:
    """Each gives back JSON or raises ControlRefused."""

    def __init__(self, ward: Ward) -> None:
        self._ward = ward

    async def sensors(self, _: Arguments) -> Json:
        now_s = time.time()
        return [
            {
                "sensor": device_name(channel.device_id),
                "bed": self._bed_name_of(channel.device_id),
                "connected": self._ward.is_connected(channel.device_id),
                "frames": channel.frames,
                "last_frame_age_s": (
                    None if channel.last_frame_s is None else round(now_s - channel.last_frame_s, 1)
                ),
            }
            for channel in self._ward.channels
        ]

    async def beds(self, _: Arguments) -> Json:
        return [
            {
                "bed": side.bed.name,
                "state": side.bed.state.value,
                "sensor": None if side.bed.device_id is None else device_name(side.bed.device_id),
                "alarms": len(side.open_alarms),
            }
            for side in self._ward.beds
        ]

    def change(self, command_of: Callable[[Arguments], BedCommand]) -> Handler:
        async def handle(asked: Arguments) -> Json:
            await self._command(command_of(asked))
            return None

        return handle

    async def limits(self, asked: Arguments) -> Json:
        """Change the bed's limits where any is asked for; what applies then, beside the house's."""
        (side,) = self._sides({"bed": _name(asked)})
        wanted = {name: asked[name] for name in KEY_OF if asked.get(name) is not None}
        reset = asked.get("reset") is True
        if wanted:
            try:
                limits = changed_limits(side.house_limits if reset else side.limits, wanted)
            except LimitsRefused as refused:
                raise ControlRefused(str(refused)) from refused
            await self._command(SetLimits(side.bed.name, own_limits(limits)))
        elif reset:
            await self._command(SetLimits(side.bed.name, None))
        applies, house = own_limits(side.limits), own_limits(side.house_limits)
        return [
            {"limit": key, "applies": applies[key], "house": house[key]} for key in KEY_OF.values()
        ]

    async def alarms(self, asked: Arguments) -> Json:
        return [
            {
                "bed": side.bed.name,
                "kind": alarm.kind.value,
                "priority": alarm.priority.value,
                "state": alarm.state.value,
                "onset_s": alarm.onset_s,
                "raised_s": alarm.raised_s,
            }
            for side in self._sides(asked)
            for alarm in side.open_alarms
        ]

    async def acknowledge(self, asked: Arguments) -> Json:
        kind = _alarm_kind(asked)
        return sum(len(side.acknowledge(kind, time.time())) for side in self._sides(asked))

    async def pause(self, asked: Arguments) -> Json:
        seconds = asked.get("seconds", MAX_PAUSE_S)
        if not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_PAUSE_S:
            raise ControlRefused(f"a pause lasts 0 to {MAX_PAUSE_S:.0f} seconds")
        until_s = [side.pause_audio(time.time(), seconds) for side in self._sides(asked)]
        return max(until_s, default=None)

    async def _command(self, command: BedCommand) -> None:
        try:
            await self._ward.command(command)
        except BedCommandRefused as refused:
            raise ControlRefused(str(refused)) from refused

    def _bed_name_of(self, device_id: DeviceId) -> str | None:
        side = self._ward.beds.of(device_id)
        return None if side is None else side.bed.name

    def _sides(self, asked: Arguments) -> Sequence[Bedside]:
        """The bed that is asked for, or all."""
        if asked.get("bed") is None:
            return tuple(self._ward.beds)
        name = _name(asked)
        sides = [side for side in self._ward.beds if side.bed.name == name]
        if not sides:
            known = ", ".join(side.bed.name for side in self._ward.beds) or "none"
            raise ControlRefused(f"{name}: no such bed; there are: {known}")
        return sides


def _name(asked: Arguments) -> str:
    name = asked.get("bed")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise ControlRefused(f"a bed's name has 1 to {MAX_NAME} printable characters")
    return name


def sensor_of(asked: Arguments) -> DeviceId:
    """The sensor that is asked about; raises ControlRefused."""
    try:
        return parse_device_name(str(asked.get("sensor")))
    except KeyringError as error:
        raise ControlRefused(str(error)) from error


def _alarm_kind(asked: Arguments) -> AlarmKind | None:
    kind = asked.get("kind")
    if kind is None:
        return None
    try:
        return AlarmKind(str(kind))
    except ValueError:
        raise ControlRefused(
            f"{kind}: no such alarm; the kinds are: {', '.join(AlarmKind)}"
        ) from None
