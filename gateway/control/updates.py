"""Firmware updates of connected sensors, one after another, while monitoring goes on.

The command line has put the image into the state directory. The sensor judges its signature.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.control.socket import Arguments, ControlRefused, Handler, Json
from gateway.control.update_state import UpdateState
from gateway.messages import AlarmPriority, AlarmState, DeviceId, device_name
from gateway.radio.conversation import Conversation
from gateway.radio.firmware_image import (
    FirmwareImage,
    ImageRefused,
    Version,
    read_image,
    version_text,
)
from gateway.radio.firmware_transfer import FirmwareTransfer, UpdateFailed
from gateway.radio.keyring import KeyringError, parse_device_name
from gateway.radio.source import LinkLost
from gateway.ward.ward import Ward

log = logging.getLogger(__name__)

ABSENCE_S = 300.0  # for a sensor that is out of reach, or does not come back
ALARM_S = 600.0  # a restart waits so long for an alarm to be acknowledged
LOOK_EACH_S = 0.5
MAX_VAIN_LINKS = 5  # each lost before anything more of the image was taken
PROOF_FRAMES = 2  # of the new firmware, before it counts as running


@dataclass(slots=True)
class SensorUpdate:
    """How far one sensor's update is."""

    device_id: DeviceId
    transfer: FirmwareTransfer
    state: UpdateState = UpdateState.WAITS
    message: str = ""


class SensorUpdates:
    """At most one run of updates at a time; it ends with the gateway, and can be run again."""

    def __init__(self, ward: Ward, image_path: Path) -> None:
        self._ward = ward
        self._image_path = image_path
        self._run: asyncio.Task[None] | None = None
        self._forced = False
        self.image: FirmwareImage | None = None
        self.updates: Sequence[SensorUpdate] = ()

    @property
    def running(self) -> bool:
        return self._run is not None and not self._run.done()

    def start(self, sensors: Sequence[DeviceId], forced: bool) -> None:
        """Begin to update these sensors, or all that are connected; raises ControlRefused."""
        if self.running:
            raise ControlRefused("another update is under way")
        try:
            image = read_image(self._image_path)
        except ImageRefused as refused:
            raise ControlRefused(str(refused)) from refused
        chosen = sensors or [c.device_id for c in self._ward.channels if self._is_here(c.device_id)]
        if not chosen:
            raise ControlRefused("no sensor is connected")
        if not forced:
            self._refuse_while_alarms_call(chosen)
        self.image, self._forced = image, forced
        self.updates = [SensorUpdate(each, FirmwareTransfer(image)) for each in chosen]
        self._run = asyncio.get_running_loop().create_task(self._update_all(image))

    async def stop(self) -> None:
        if self._run is not None:
            self._run.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._run

    async def _update_all(self, image: FirmwareImage) -> None:
        for update in self.updates:
            try:
                await self._update(update, image)
            except UpdateFailed as failed:
                update.state, update.message = UpdateState.FAILED, str(failed)
            log.info(
                "update of a sensor's firmware has ended",
                extra={
                    "sensor": device_name(update.device_id),
                    "version": version_text(image.manifest.version),
                    "state": update.state.value,
                    "reason": update.message,
                },
            )

    async def _update(self, update: SensorUpdate, image: FirmwareImage) -> None:
        version = image.manifest.version
        await self._connected(update.device_id)
        if self._version_of(update.device_id) == version:
            update.state, update.message = UpdateState.DONE, f"runs {version_text(version)} already"
            return
        boot_id, sent, vain = self._boot_id_of(update.device_id), 0, 0
        while self._boot_id_of(update.device_id) == boot_id:
            try:
                await self._bring(update, await self._connected(update.device_id))
                update.state = UpdateState.RESTARTS
                await self._restarted(update.device_id, boot_id)
            except LinkLost as lost:
                vain = vain + 1 if update.transfer.sent <= sent else 0
                sent = update.transfer.sent
                if vain == MAX_VAIN_LINKS:
                    raise UpdateFailed(f"the link is lost again and again: {lost}") from lost
                await asyncio.sleep(LOOK_EACH_S)  # the link is out of the ward's list by then
                await self._connected(update.device_id)
        await self._prove(update, image)

    async def _bring(self, update: SensorUpdate, talk: Conversation) -> None:
        update.state = UpdateState.SENDS
        await update.transfer.send(talk)
        await self._until_no_alarm_calls(update)
        update.state = UpdateState.CHECKS
        await update.transfer.finish(talk)

    async def _prove(self, update: SensorUpdate, image: FirmwareImage) -> None:
        """The sensor has restarted: it must say the new version, and send frames."""
        update.state = UpdateState.RESTARTS
        runs = self._version_of(update.device_id)
        if runs != image.manifest.version:
            raise UpdateFailed(f"the sensor went back to {version_text(runs)}")
        frames = self._frames_of(update.device_id)
        async with _patience("the new firmware sends no frames; the sensor will go back from it"):
            while self._frames_of(update.device_id) < frames + PROOF_FRAMES:
                await asyncio.sleep(LOOK_EACH_S)
        update.state, update.message = UpdateState.DONE, f"runs {version_text(runs)}"

    # What the ward knows.

    def _is_here(self, device_id: DeviceId) -> bool:
        return self._ward.is_connected(device_id)

    async def _connected(self, device_id: DeviceId) -> Conversation:
        """The conversation with the sensor, once it is connected and has told its status."""
        async with _patience("the sensor is not connected"):
            while not self._is_here(device_id) or self._ward.status_of(device_id) is None:
                await asyncio.sleep(LOOK_EACH_S)
        talk = self._ward.updatable(device_id)
        if talk is None:
            raise UpdateFailed("the sensor takes no updates over the air")
        return talk

    async def _restarted(self, device_id: DeviceId, boot_id: int) -> None:
        async with _patience("the sensor has not come back from its restart"):
            while self._boot_id_of(device_id) == boot_id:
                await asyncio.sleep(LOOK_EACH_S)

    def _version_of(self, device_id: DeviceId) -> Version:
        status = self._ward.status_of(device_id)
        assert status is not None, "it was waited for"
        return status.firmware_version

    def _boot_id_of(self, device_id: DeviceId) -> int:
        status = self._ward.status_of(device_id)
        assert status is not None, "it was waited for"
        return status.session.boot_id

    def _frames_of(self, device_id: DeviceId) -> int:
        return sum(c.frames for c in self._ward.channels if c.device_id == device_id)

    # Alarms.

    def _calling(self, device_id: DeviceId) -> list[str]:
        """The alarms that call for somebody at the sensor's bed."""
        bed = self._ward.beds.of(device_id)
        if bed is None:
            return []
        return [
            f"{bed.bed.name}: {alarm.kind.value}"
            for alarm in bed.open_alarms
            if alarm.priority is not AlarmPriority.LOW
            and alarm.state in (AlarmState.ACTIVE, AlarmState.LATCHED)
        ]

    def _refuse_while_alarms_call(self, sensors: Sequence[DeviceId]) -> None:
        calling = [alarm for device_id in sensors for alarm in self._calling(device_id)]
        if calling:
            named = ", ".join(calling)
            raise ControlRefused(f"alarms call: {named}; acknowledge them first, or --force")

    async def _until_no_alarm_calls(self, update: SensorUpdate) -> None:
        if self._forced:
            return
        async with _patience("alarms have called for ten minutes; run the update again", ALARM_S):
            while self._calling(update.device_id):
                update.state = UpdateState.ALARM
                await asyncio.sleep(LOOK_EACH_S)


@contextlib.asynccontextmanager
async def _patience(otherwise: str, seconds: float | None = None) -> AsyncIterator[None]:
    """Raise UpdateFailed when the block takes longer than that, otherwise ABSENCE_S."""
    try:
        async with asyncio.timeout(ABSENCE_S if seconds is None else seconds):
            yield
    except TimeoutError as error:
        raise UpdateFailed(otherwise) from error


def update_commands(updates: SensorUpdates) -> Mapping[str, Handler]:
    """The handlers of the control socket."""

    async def start(asked: Arguments) -> Json:
        names = asked.get("sensors")
        sensors = [_sensor(name) for name in names] if isinstance(names, list) else []
        updates.start(sensors, asked.get("force") is True)
        return _rows(updates)

    async def progress(_: Arguments) -> Json:
        return _rows(updates)

    return {"sensors update": start, "sensors update-progress": progress}


def _sensor(name: Json) -> DeviceId:
    try:
        return parse_device_name(str(name))
    except KeyringError as error:
        raise ControlRefused(str(error)) from error


def _rows(updates: SensorUpdates) -> Json:
    return [
        {
            "sensor": device_name(update.device_id),
            "state": update.state.value,
            "sent": update.transfer.sent,
            "size": 0 if updates.image is None else updates.image.manifest.size,
            "message": update.message,
        }
        for update in updates.updates
    ]
