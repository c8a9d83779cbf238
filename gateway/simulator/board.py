"""One virtual ESP32: its clock, its ECG, the protocol's rules and its radio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bumble.link import LocalLink

from gateway.messages import DeviceId, device_name
from gateway.radio.message_codec import MessageType, SensorStatus
from gateway.simulator.ecg_sources import EcgSource
from gateway.simulator.flash import Flash
from gateway.simulator.peripheral import Peripheral
from gateway.simulator.sensor_core import BootCore, HeldFrames, SensorIdentity
from gateway.simulator.virtual_sensor import STRANGER_TIMEOUT_S

STATUS_PERIOD_S = 2.0  # while it does not sample: a sign of life for the link's watchdog
PAIRING_WINDOW_S = 120.0  # that the button opens; a sensor that no gateway knows keeps it open
LEAST_TICK_S = 0.005  # of real time, however fast the sensor's clock runs

SourceOpener = Callable[[int | None], EcgSource]  # at that rate, or at the recording's own


class Board:
    """A sensor whose clock, with all its timers, runs `speed` times as fast as real time.

    Only its patience with a stranger and its pairing window are in real seconds: no gateway
    connects `speed` times faster, and nobody types so fast. With the `secret` of a label it is new:
    no gateway keeps its root key yet.
    """

    def __init__(
        self,
        device_id: DeviceId,
        root_key: bytes,
        open_source: SourceOpener,
        outbox: HeldFrames,
        boot_core: BootCore,
        flash: Flash,
        link: LocalLink,
        mtu: int,
        speed: float,
        patience_s: float = STRANGER_TIMEOUT_S,
        secret: bytes | None = None,
    ) -> None:
        self._device_id = device_id
        self._secret = secret
        self._open_source = open_source
        self._source: EcgSource | None = open_source(None)
        self._rate_hz = self._source.sample_rate_hz
        self._outbox = outbox
        self._boot_core = boot_core
        self._flash = flash
        new = SensorIdentity(device_id, 0, root_key, provisioned=secret is None)
        self._identity = flash.load_keys(new)
        self._speed = speed
        self._patience_s = patience_s * speed
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self._answers: deque[tuple[Callable[[bytes], Awaitable[None]], bytes]] = deque()
        self._window: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.produced = 0
        self._boot()
        self.radio = Peripheral(link, device_id, mtu, self)

    async def run(self, on_done: Callable[[], None]) -> None:
        """Sample and send until cancelled.

        `on_done` is called when the source is at its end and all of it is acknowledged.
        """
        async with asyncio.TaskGroup() as self._tasks:
            try:
                await self.radio.power_on()
                while self._source is not None:
                    await self._sample_frame(self._source)
                while self._outbox.held:
                    await self._tick()
                on_done()
                await asyncio.Event().wait()
            finally:
                self.radio.power_off()

    def reboot(self) -> None:
        """Restart as after a power cut: a new boot and session; the flash ring keeps its frames."""
        self.radio.lose_link()
        self._boot()

    def press_button(self) -> None:
        """Open the pairing window, if the label has a secret."""
        self._close_window()
        if self._secret is not None:
            self.sensor.open_pairing_window(self._secret)
        if self._identity.provisioned:
            self._window = self._loop.call_later(PAIRING_WINDOW_S, self._close_window)

    def status(self) -> bytes:
        return self.sensor.status()

    def firmware_version(self) -> str:
        return ".".join(map(str, SensorStatus.decode(self.status()).firmware_version))

    def on_connected(self) -> None:
        self.sensor.connected(self._now_s())
        self._serving = self._tasks.create_task(self._serve())

    def on_disconnected(self) -> None:
        self.sensor.disconnected()
        self._answers.clear()
        if self._serving:
            self._serving.cancel()
            self._serving = None

    def on_message(self, message: bytes) -> None:
        self._answer(self.radio.indicate, self.sensor.received(message, self._now_s()))

    def on_update(self, message: bytes) -> None:
        for answer in self.sensor.received(message, self._now_s()):
            answers = answer[0] == MessageType.ANSWER
            self._answer(self.radio.indicate_update if answers else self.radio.indicate, [answer])

    def on_provision(self, message: bytes) -> None:
        self._answer(self.radio.indicate_provision, self.sensor.provision(message))

    def stat(self) -> dict[str, object]:
        """What a test wants to know."""
        return {
            "sensor": device_name(self._device_id),
            "session": self.sensor.session.name,
            "connected": self._serving is not None,
            "produced": self.produced,
            "acknowledged": self._outbox.acknowledged,
            "held": self._outbox.held,
            "overwritten": self._outbox.overwritten,
            "resent": self._outbox.resent,
            "refused": self.sensor.refusals,
            "firmware": self.firmware_version(),
        }

    def save(self) -> None:
        """Keep what is not acknowledged over a restart of the simulator."""
        self._flash.save_frames(self._outbox.frames())

    def _boot(self) -> None:
        self._identity = replace(self._identity, boot_id=self._flash.next_boot_id())
        self._booted_s = self._now_s()
        self._sampled_s = self._booted_s  # up to where the samples reach
        self.sensor = self._boot_core(self._identity, self._rate_hz, self._patience_s)
        self.sensor.sampling = self._source is not None
        if not self._identity.provisioned:
            self.press_button()

    async def _restart(self) -> None:
        """Into another firmware: a task of its own, because the link's task ends with it."""
        if self.sensor.restart_due(self._now_s() - self._booted_s):
            self.reboot()

    def _close_window(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None
        self.sensor.close_pairing_window()

    def _answer(self, indicate: Callable[[bytes], Awaitable[None]], answers: list[bytes]) -> None:
        """Queue answers, once what they speak of is durable."""
        if self.sensor.identity != self._identity:
            self._identity = self.sensor.identity
            self._flash.save_keys(self._identity)
        self._answers.extend((indicate, answer) for answer in answers)
        self._wake.set()

    def _now_s(self) -> float:
        return (self._loop.time() - self._started_s) * self._speed

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self._speed)

    async def _sample_frame(self, source: EcgSource) -> None:
        """Wait until the next 187 samples are taken, and have them sealed."""
        sensor, session = self.sensor, self.sensor.session
        await self._sleep(self._sampled_s + sensor.frame_period_s - self._now_s())
        if self.sensor.session != session:  # it was restarted, or told another rate
            if self.sensor.sample_rate_hz != source.sample_rate_hz:
                self._source = self._open_source(self.sensor.sample_rate_hz)
            return
        if sensor.sampling:
            samples = source.next_frame()
            if samples is None:
                self._source, sensor.sampling = None, False
                return
            device_time_us = round((self._sampled_s - self._booted_s) * 1e6)
            sensor.sampled(samples.steps, samples.flags, device_time_us)
            self.produced += 1
            self._wake.set()
        self._sampled_s += sensor.frame_period_s

    async def _serve(self) -> None:
        """Send what is due, for as long as the link lasts."""
        told, told_s = self.sensor.session, self._now_s()
        while self._serving is asyncio.current_task():
            if self.sensor.must_drop(self._now_s()):
                await self.radio.drop()
            self._answer(self.radio.indicate, self.sensor.overdue_report())
            while self._answers:
                indicate, answer = self._answers.popleft()
                await indicate(answer)
            silent = not self.sensor.sampling and self._now_s() - told_s >= STATUS_PERIOD_S
            if self.sensor.session != told or silent:
                told, told_s = self.sensor.session, self._now_s()
                await self.radio.notify_status()
            if self.sensor.restart_due(self._now_s() - self._booted_s):
                self._tasks.create_task(self._restart())
            if self.radio.wants_frames:
                for sealed in self._outbox.take(self._now_s(), self.sensor.frame_period_s):
                    await self.radio.send_frame(sealed)
            await self._tick()

    async def _tick(self) -> None:
        """Wait for something new to send, at most half a frame's period."""
        tick_s = max(LEAST_TICK_S, self.sensor.frame_period_s / 2 / self._speed)
        self._wake.clear()
        try:
            async with asyncio.timeout(tick_s):
                await self._wake.wait()
        except TimeoutError:
            return
