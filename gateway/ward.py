"""All sensors and beds: what links bring goes to the channels, what is found goes to the beds.

Everything runs in the event loop. The store's commits come in through `settle`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.bedsides import Bedsides
from gateway.counters import Counters
from gateway.late_stretch import LateAnalysis
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
from gateway.radio.source import SensorLink
from gateway.sensor_channel import ChannelParts, LiveSignal, SensorChannel, open_events
from gateway.store.entries import (
    BedCommand,
    SessionFinished,
)
from gateway.store.recorder import Recorder, RecorderHealth
from gateway.store.transactions import Commit
from gateway.watchdog import Heartbeats

log = logging.getLogger(__name__)

TICK_S = 1.0  # what time alone brings is judged once a second
CLOCK_STEP_S = 2.0  # beyond what a clock is slewed, or this loop delayed, between two looks
STAGE = "ward"  # its heartbeat's name
SILENCE_S = 15.0  # an event loop that does not turn for so long serves nobody


@dataclass(slots=True)
class _Talk:
    """A connected link, the sensor that it claims to be, and the task that talks to it."""

    device_id: DeviceId
    conversation: Conversation
    session: SessionId
    task: asyncio.Task[None]


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
        self._talks: dict[SensorLink, _Talk] = {}
        self._statuses: dict[DeviceId, SensorStatus] = {}
        self._due: dict[DeviceId, set[SessionId]] = defaultdict(set)
        self._late = LateAnalysis(parts, self.beds.late, self._give_up)
        self._graces: dict[DeviceId, asyncio.TimerHandle] = {}
        self._admitted: set[DeviceId] = set()  # to beds of their own
        self._clock_offset_s: float | None = None  # wall clock beside the monotonic one
        self._clock_set = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: asyncio.Queue[BaseException] = asyncio.Queue()

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
        if root_key is None:
            self._counters.add("ecg_links_refused_total", reason=FrameRefusal.UNKNOWN_DEVICE)
            log.warning("sensor is not paired", extra={"sensor": device_name(session.device_id)})
            self._spawn(link.close())
            return
        self._begin_talk(link, session, root_key)

    def received(
        self, link: SensorLink, characteristic: GattCharacteristic, message: bytes
    ) -> None:
        if characteristic is GattCharacteristic.FRAMES:
            self._take_frame(link, message)
        elif link in self._talks:
            self._talks[link].conversation.receive(message)

    def disconnected(self, link: SensorLink, reason: str) -> None:
        talk = self._talks.pop(link, None)
        if talk is not None:
            talk.task.cancel()
            self._show_sensor(talk.device_id)

    def _begin_talk(self, link: SensorLink, session: SessionId, root_key: bytes) -> None:
        device_id = session.device_id
        voice = _Voice(self, device_id)
        talk = Conversation(link, session, root_key, voice, self._now, self._counters)
        self._talks[link] = _Talk(device_id, talk, session, self._spawn(talk.run()))
        channel = self._channels.get(device_id)
        if channel is not None and channel.live_session is not None:
            self._due[device_id].add(channel.live_session)
        self._show_sensor(device_id)

    def _take_frame(self, link: SensorLink, sealed: bytes) -> None:
        try:
            frame, generation = self._parts.keys.open(sealed)
            channel = self._channel(frame.session.device_id)
            channel.storing = self._recorder.has_room
            self._watch_clock()
            now_s = self._now()
            signals = channel.take(frame, generation, now_s, _monotonic_s())
        except FrameRefused as refused:
            self._counters.add("ecg_frames_refused_total", reason=refused.reason)
            return
        self._redate(channel, now_s)
        self._deliver(channel, signals, now_s)
        self._follow_session(link, channel)
        self._await_grace(channel)

    def _deliver(self, channel: SensorChannel, signals: list[LiveSignal], now_s: float) -> None:
        bed = self.beds.of(channel.device_id)
        if bed is None:
            self._admit(channel.device_id)
            return
        for signal in signals:
            bed.signal(signal, now_s)

    def _follow_session(self, link: SensorLink, channel: SensorChannel) -> None:
        """A sensor that began another session is talked to under that one."""
        talk, session = self._talks.get(link), channel.live_session
        if talk is None or session is None or session == talk.session:
            return
        root_key = self._parts.keys.root_of(session)
        if root_key is not None and session.device_id == talk.device_id:
            talk.session = session
            talk.conversation.use_session(session, root_key)

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
        self._acknowledge(device_id)

    def sensor_status(self, device_id: DeviceId, status: SensorStatus) -> None:
        self._statuses[device_id] = status
        self._show_sensor(device_id)

    # What has become durable.

    def settle(self, commit: Commit) -> None:
        """Acknowledge what is durable; look whether it fills a gap."""
        for session, sequences in commit.frames.items():
            channel = self._channel(session.device_id)
            channel.committed(session, sequences)
            self._due[session.device_id].add(session)
            self._acknowledge(session.device_id)
            if channel.has_late(session):
                self._late.look(channel, session)
        for conflict in commit.conflicts:
            self._counters.add("ecg_frame_conflicts_total")
            log.error(
                "two authentic frames under one sequence: not acknowledged",
                extra={"session": conflict.session.name, "sequence": conflict.sequence},
            )

    def _acknowledge(self, device_id: DeviceId) -> None:
        for talk in self._talks.values():
            if talk.device_id == device_id:
                talk.conversation.acknowledge()

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
        return any(talk.device_id == device_id for talk in self._talks.values())

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
