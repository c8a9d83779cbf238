"""All sensors and beds: what links bring goes to the channels, what is found goes to the beds.

Everything runs in the event loop. The store's commits come in through `settle`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

from gateway.counters import Counters
from gateway.live_view import LiveView
from gateway.messages import AlarmKind, DeviceId, SessionId, device_name
from gateway.radio.conversation import Conversation
from gateway.radio.frame_codec import FrameRefusal, FrameRefused
from gateway.radio.gatt import GattCharacteristic
from gateway.radio.message_codec import (
    Acknowledgement,
    HeldSession,
    MessageRefused,
    SensorStatus,
)
from gateway.radio.sensor_label import SensorLabel
from gateway.radio.source import SensorLink
from gateway.store.entries import (
    BedCommand,
    SessionFinished,
)
from gateway.store.recorder import Recorder, RecorderHealth
from gateway.store.transactions import Commit
from gateway.ward.bedsides import Bedsides
from gateway.ward.late_stretch import LateAnalysis
from gateway.ward.pairing import Pairing
from gateway.ward.pairing_desk import PairingDesk
from gateway.ward.rotation import RotationFailed, rotate_root_key
from gateway.ward.sensor_channel import ChannelParts, LiveSignal, SensorChannel, open_events
from gateway.ward.talks import Talks
from gateway.watchdog import Heartbeats

log = logging.getLogger(__name__)

TICK_S = 1.0  # what time alone brings is judged once a second
CLOCK_STEP_S = 2.0  # beyond what a clock is slewed, or this loop delayed, between two looks
STAGE = "ward"  # its heartbeat's name
SILENCE_S = 15.0  # an event loop that does not turn for so long serves nobody


class RetirementRefused(Exception):
    """The sensor's keys are still needed; the message says for what."""


class _Voice:
    """What one sensor says under seal, told to the ward."""

    def __init__(self, ward: Ward, device_id: DeviceId) -> None:
        self._ward = ward
        self._device_id = device_id

    def acknowledgements(self) -> Sequence[Acknowledgement]:
        return self._ward.due_acknowledgements(self._device_id)

    def sensor_holds(self, held: Sequence[HeldSession]) -> None:
        self._ward.sensor_holds(self._device_id, held)

    def sensor_status(self, status: SensorStatus) -> None:
        self._ward.sensor_status(self._device_id, status)

    def key_adopted(self, root_key: bytes) -> None:
        self._ward.key_adopted(self._device_id, root_key)


class Ward:
    """A LinkListener that knows every sensor and every bed."""

    def __init__(
        self,
        parts: ChannelParts,
        recorder: Recorder,
        live_view: LiveView,
        heartbeats: Heartbeats,
        auto_admit: bool,
        host_faults: Callable[[], Collection[AlarmKind]] = frozenset,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`host_faults` says what is wrong with the machine; `now` gives Unix seconds."""
        self._parts = parts
        self._recorder = recorder
        self._heartbeats = heartbeats
        self._auto_admit = auto_admit
        self._host_faults = host_faults
        self._now = now
        self._counters: Counters = parts.counters
        self._channels: dict[DeviceId, SensorChannel] = {}
        self.beds = Bedsides(parts.limits, parts.reader, recorder, live_view, now)
        self._talks = Talks(parts.keys, self._converse, self._spawn)
        self._statuses: dict[DeviceId, SensorStatus] = {}
        self._due: dict[DeviceId, set[SessionId]] = defaultdict(set)
        self._late = LateAnalysis(parts, self.beds.late, self._give_up)
        self._graces: dict[DeviceId, asyncio.TimerHandle] = {}
        self._admitted: set[DeviceId] = set()  # to beds of their own
        self._clock_offset_s: float | None = None  # wall clock beside the monotonic one
        self._clock_set = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: asyncio.Queue[BaseException] = asyncio.Queue()
        self.pairings = PairingDesk(parts.keys.keyring, self._paired, self._spawn)
        self._rotation = asyncio.Lock()

    # Life.

    def resume(self) -> None:
        """Take beds, open alarms and unfinished sessions up where the store has them."""
        self.beds.reload()
        for stored in self._parts.reader.open_sessions():
            channel = self._channel(stored.session.device_id)
            try:
                found = channel.resume(stored)
            except FrameRefused as refused:
                self._give_up(stored.session, refused)
                continue
            bed = self.beds.of(channel.device_id)
            if bed is not None and channel.clock is not None:
                bed.resume(
                    stored.session,
                    open_events(found),
                    channel.open_kinds,
                    channel.clock,
                    self._now(),
                )
            self._late.look(channel, stored.session)

    async def run(self) -> None:
        """Judge each second what time alone brings, and analyse what came late."""
        self._heartbeats.expect(STAGE, SILENCE_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            group.create_task(self._late.run())
            group.create_task(self._fail())

    def stop(self) -> None:
        """Record every analysis state; links must have ended."""
        for task in self._tasks:
            task.cancel()
        self.save()

    def save(self) -> None:
        """Record every analysis state."""
        for channel in self._channels.values():
            channel.save()

    def _give_up(self, session: SessionId, refused: FrameRefused) -> None:
        """Stored frames that can't be opened stay stored; their analysis ends here."""
        self._counters.add("ecg_sessions_given_up_total", reason=refused.reason)
        log.error(
            "stored frames can't be opened with the keyring's keys",
            extra={"session": session.name, "reason": refused.reason},
        )
        self._parts.record(SessionFinished(session))

    # What links bring.

    def connected(self, link: SensorLink, status: bytes) -> None:
        try:
            session = SensorStatus.decode(status).session
        except MessageRefused as refused:
            self._counters.add("ecg_status_refused_total", reason=refused.reason)
            self._spawn(link.close())
            return
        root_key = self._parts.keys.root_of(session)
        awaited = self.pairings.offer(link, session.device_id, guest=root_key is None)
        if root_key is not None:
            self._begin_talk(link, session, root_key)
        elif not awaited:
            self._counters.add("ecg_links_refused_total", reason=FrameRefusal.UNKNOWN_DEVICE)
            log.warning("sensor is not paired", extra={"sensor": device_name(session.device_id)})
            self._spawn(link.close())

    def received(
        self, link: SensorLink, characteristic: GattCharacteristic, message: bytes
    ) -> None:
        if characteristic is GattCharacteristic.FRAMES:
            self._take_frame(link, message)
        elif characteristic is GattCharacteristic.PROVISION:
            self.pairings.received(link, message)
        else:
            self._talks.receive(link, message)

    def disconnected(self, link: SensorLink, reason: str) -> None:
        self.pairings.disconnected(link)
        device_id = self._talks.end(link)
        if device_id is not None:
            self._show_sensor(device_id)

    def _begin_talk(self, link: SensorLink, session: SessionId, root_key: bytes) -> None:
        device_id = session.device_id
        self._talks.begin(link, session, root_key)
        channel = self._channels.get(device_id)
        if channel is not None and channel.live_session is not None:
            self._due[device_id].add(channel.live_session)
        self._show_sensor(device_id)

    def _converse(
        self, link: SensorLink, session: SessionId, root_key: bytes, pending_key: bytes | None
    ) -> Conversation:
        voice = _Voice(self, session.device_id)
        return Conversation(link, session, root_key, voice, self._now, self._counters, pending_key)

    def _take_frame(self, link: SensorLink, sealed: bytes) -> None:
        try:
            frame, generation = self._parts.keys.open(sealed)
            channel = self._channel(frame.session.device_id)
            channel.storing = self._recorder.has_room
            self._watch_clock()
            now_s, known = self._now(), channel.live_session
            signals = channel.take(frame, generation, now_s, _monotonic_s())
        except FrameRefused as refused:
            self._counters.add("ecg_frames_refused_total", reason=refused.reason)
            return
        self._redate(channel, now_s)
        self._deliver(channel, signals, now_s)
        if frame.session == channel.live_session:
            self._talks.follow(link, frame.session, began=frame.session != known)
        self._await_grace(channel)

    def _deliver(self, channel: SensorChannel, signals: list[LiveSignal], now_s: float) -> None:
        bed = self.beds.of(channel.device_id)
        if bed is None:
            self._admit(channel.device_id)
            return
        for signal in signals:
            bed.signal(signal, now_s)

    def _await_grace(self, channel: SensorChannel) -> None:
        pending = self._graces.pop(channel.device_id, None)
        if pending is not None:
            pending.cancel()
        deadline_s = channel.deadline_s
        if deadline_s is not None:
            self._graces[channel.device_id] = asyncio.get_running_loop().call_at(
                deadline_s, self._end_grace, channel
            )

    def _end_grace(self, channel: SensorChannel) -> None:
        now_s = self._now()
        channel.storing = self._recorder.has_room
        self._deliver(channel, channel.tick(now_s, _monotonic_s()), now_s)
        self._await_grace(channel)

    def _redate(self, channel: SensorChannel, now_s: float) -> None:
        """The clock was set while no gateway ran: what its bed has open was dated before."""
        redated_s, bed = channel.take_redating(), self.beds.of(channel.device_id)
        if redated_s and bed is not None:
            bed.clock_stepped(redated_s, now_s)

    def _watch_clock(self) -> None:
        """When somebody sets a clock that was not, all that is open moves with it, once."""
        offset_s = self._now() - _monotonic_s()
        step_s = 0.0 if self._clock_offset_s is None else offset_s - self._clock_offset_s
        self._clock_offset_s = offset_s
        if abs(step_s) >= CLOCK_STEP_S and not self._clock_set:
            self._clock_set = True
            for channel in self._channels.values():
                channel.clock_stepped(step_s)
                channel.take_redating()
            self.beds.clock_stepped(step_s)
        self._clock_set = self._clock_set or self._parts.clock_is_set()

    # What sensors say.

    def due_acknowledgements(self, device_id: DeviceId) -> list[Acknowledgement]:
        channel = self._channel(device_id)
        due = self._due.pop(device_id, set())
        told = (channel.acknowledgement(session) for session in due)
        return [acknowledgement for acknowledgement in told if acknowledgement is not None]

    def sensor_holds(self, device_id: DeviceId, held: Sequence[HeldSession]) -> None:
        channel = self._channel(device_id)
        for each in held:
            session = channel.sensor_holds(each)
            if session is not None:
                self._due[device_id].add(session)
                self._late.look(channel, session)
        self._talks.acknowledge(device_id)

    def sensor_status(self, device_id: DeviceId, status: SensorStatus) -> None:
        self._statuses[device_id] = status
        self._show_sensor(device_id)

    # What has become durable.

    def settle(self, commit: Commit) -> None:
        """Acknowledge what is durable; look whether it fills a gap."""
        for session, sequences in commit.frames.items():
            channel = self._channels.get(session.device_id)
            if channel is None:  # the sensor is retired
                continue
            channel.committed(session, sequences)
            self._due[session.device_id].add(session)
            self._talks.acknowledge(session.device_id)
            if channel.has_late(session):
                self._late.look(channel, session)
        for conflict in commit.conflicts:
            self._counters.add("ecg_frame_conflicts_total")
            log.error(
                "two authentic frames under one sequence: not acknowledged",
                extra={"session": conflict.session.name, "sequence": conflict.sequence},
            )

    # Keys.

    def pair(self, label: SensorLabel, again: bool) -> Pairing:
        """Begin to pair the sensor of this label; raises PairingFailed."""
        pairing = self.pairings.begin(label, again)
        for link in self._talks.links_of(label.device_id):
            pairing.use(link, guest=False)
        return pairing

    async def rotate_key(self, device_id: DeviceId) -> int:
        """Give a connected sensor another root key: its generation. Raises RotationFailed."""
        links = self._talks.links_of(device_id)
        if not links:
            raise RotationFailed("nothing has changed: it is not connected")
        if self._rotation.locked():
            raise RotationFailed("nothing has changed: another rotation is under way")
        async with self._rotation:
            conversation = self._talks.conversation(links[0])
            return await rotate_root_key(conversation, self._parts.keys.keyring, device_id)

    async def retire(self, device_id: DeviceId) -> None:
        """Destroy a sensor's keys; what was found in its signal stays.

        Raises RetirementRefused, and KeyringError or OSError where the keyring is not changed.
        """
        bed = self.beds.of(device_id)
        if bed is not None:
            raise RetirementRefused(
                f"{device_name(device_id)} watches {bed.bed.name}; release it first"
            )
        channel = self._channels.get(device_id)
        if channel is not None:
            channel.finish()
        self._parts.keys.forget(device_id)
        self._channels.pop(device_id, None)
        for link in self._talks.links_of(device_id):
            self._talks.end(link)
            await link.close()
        log.warning(
            "sensor is retired, its keys destroyed", extra={"sensor": device_name(device_id)}
        )

    def key_adopted(self, device_id: DeviceId, root_key: bytes) -> None:
        self._parts.keys.adopt(device_id, root_key)
        log.info("sensor uses its new root key", extra={"sensor": device_name(device_id)})

    def _paired(self, link: SensorLink, session: SessionId) -> None:
        log.info("sensor is paired", extra={"sensor": device_name(session.device_id)})
        if link in self._talks:
            self._talks.use_session(link, session)
        elif (root_key := self._parts.keys.root_of(session)) is not None:
            self._begin_talk(link, session, root_key)

    # Time.

    async def _tick(self) -> None:
        failing_before = None
        while True:
            await asyncio.sleep(TICK_S)
            self._heartbeats.beat(STAGE)
            self._watch_clock()
            health = self._recorder.health
            if not health.running:
                raise RuntimeError("the recorder has ended")
            if health.failing_because != failing_before:
                failing_before = health.failing_because
                log.error(
                    "the store fails" if failing_before else "the store works again",
                    extra={"reason": failing_before},
                )
            self.beds.tick({*_faults(health), *self._host_faults()})

    # Who is there.

    @property
    def channels(self) -> Sequence[SensorChannel]:
        return tuple(self._channels.values())

    def is_connected(self, device_id: DeviceId) -> bool:
        return bool(self._talks.links_of(device_id))

    def status_of(self, device_id: DeviceId) -> SensorStatus | None:
        """The newest that the sensor has said under seal."""
        return self._statuses.get(device_id)

    def updatable(self, device_id: DeviceId) -> Conversation | None:
        """The conversation with the sensor, where one is connected that takes updates."""
        links = [link for link in self._talks.links_of(device_id) if link.takes_updates]
        return self._talks.conversation(links[0]) if links else None

    async def command(self, command: BedCommand) -> None:
        """Change the beds; raises BedCommandRefused."""
        try:
            await self.beds.command(command)
        finally:
            for device_id, channel in self._channels.items():
                channel.change_limits(self.beds.limits_at(device_id))
                self._show_sensor(device_id)

    def _admit(self, device_id: DeviceId) -> None:
        if self._auto_admit and device_id not in self._admitted:
            self._admitted.add(device_id)
            self._spawn(self._admit_new(device_id))

    async def _admit_new(self, device_id: DeviceId) -> None:
        await self.beds.admit_sensor(device_id)
        self._show_sensor(device_id)

    def _show_sensor(self, device_id: DeviceId) -> None:
        bed = self.beds.of(device_id)
        if bed is not None:
            connected = self.is_connected(device_id)
            bed.sensor(connected, self._statuses.get(device_id), self._now())

    def _channel(self, device_id: DeviceId) -> SensorChannel:
        if device_id not in self._channels:
            self._channels[device_id] = SensorChannel(device_id, self._parts)
            self._channels[device_id].change_limits(self.beds.limits_at(device_id))
        return self._channels[device_id]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.put_nowait(failure)

    async def _fail(self) -> None:
        """Our own fault in a task that nobody waits for ends the process."""
        raise await self._failures.get()


def _faults(health: RecorderHealth) -> list[AlarmKind]:
    """What is wrong with the store."""
    faults = []
    if health.failing_because is not None:
        faults.append(AlarmKind.NOT_STORED)
    if health.salvaging:
        faults.append(AlarmKind.DATABASE_DAMAGED)
    return faults


def _monotonic_s() -> float:
    return asyncio.get_running_loop().time()
