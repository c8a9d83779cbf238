"""One link over a GATT client in the test's hand: silence, loss, failed calls, odd pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from gateway.counters import Counters
from gateway.radio import ble_link
from gateway.radio.ble_link import BleLink
from gateway.radio.ble_retries import RadioError, RadioFailure
from gateway.radio.bleak_port import GattClient
from gateway.radio.frame_codec import FRAME_BYTES
from gateway.radio.gatt import (
    ACKNOWLEDGE_UUID,
    CONTROL_UUID,
    FIRMWARE_UUID,
    FRAMES_UUID,
    STATUS_UUID,
    GattCharacteristic,
)
from gateway.radio.pieces import cut
from gateway.radio.source import LinkLost, SensorLink

STATUS = bytes(34)
MESSAGE = bytes(range(60))


class FakeGattClient:
    """A GATT client whose calls in `failing` fail, and whose sensor the test speaks for."""

    piece_bytes = 20

    def __init__(self, failing: str = "", failure: RadioFailure = RadioFailure.TIMEOUT) -> None:
        self.failing = failing
        self.failure = failure
        self.forgotten = False
        self.subscribed: list[str] = []
        self.written: list[tuple[str, bytes, bool]] = []
        self.disconnects = 0
        self.on_value: dict[str, Callable[[bytes], None]] = {}

    async def connect(self, on_disconnect: Callable[[], None]) -> None:
        self.on_disconnect = on_disconnect
        self._fail("connect")

    async def subscribe(self, uuid: str, on_value: Callable[[bytes], None]) -> None:
        self._fail(uuid)
        self.subscribed.append(uuid)
        self.on_value[uuid] = on_value

    async def read(self, uuid: str) -> bytes:
        self._fail("read")
        return STATUS

    async def write(self, uuid: str, value: bytes, response: bool) -> None:
        self._fail("write")
        await asyncio.sleep(0)
        self.written.append((uuid, value, response))

    def offers(self, uuid: str) -> bool:
        return True

    async def disconnect(self) -> None:
        self.disconnects += 1

    async def forget(self) -> None:
        assert self.disconnects
        self.forgotten = True

    def _fail(self, call: str) -> None:
        if call == self.failing:
            raise RadioError(self.failure, call)


class Listener:
    """Notes what a link tells."""

    def __init__(self, on_connected: Callable[[SensorLink], None] = lambda link: None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._on_connected = on_connected

    def connected(self, link: SensorLink, status: bytes) -> None:
        self.told.append(("connected", status))
        self._on_connected(link)

    def received(
        self, link: SensorLink, characteristic: GattCharacteristic, message: bytes
    ) -> None:
        self.told.append((characteristic, message))

    def disconnected(self, link: SensorLink, reason: str) -> None:
        self.told.append(("disconnected", reason))


class Bench:
    """A link, its client and its listener."""

    def __init__(self, failing: str = "", failure: RadioFailure = RadioFailure.TIMEOUT) -> None:
        self.client = FakeGattClient(failing, failure)
        self.counters = Counters()
        self.signs_of_life = 0
        self.link = BleLink(
            cast(GattClient, self.client), "0001", "hci0", self.counters, self._on_life
        )
        self.listener = Listener()

    def refused_pieces(self, reason: str) -> int:
        return self.counters.value("ecg_pieces_refused_total", reason=reason)

    async def serve(self, *steps: Callable[[], object]) -> str:
        """Open and serve; take one step in each round of the loop, then wait for the end."""
        status = await self.link.open()
        task = asyncio.ensure_future(self.link.serve(self.listener, status))
        for step in steps:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            outcome = step()
            if isinstance(outcome, Awaitable):
                await outcome
        return await task

    def say(self, uuid: str, message: bytes) -> None:
        for piece in cut(message, self.client.piece_bytes, 0):
            self.client.on_value[uuid](piece)

    def _on_life(self) -> None:
        self.signs_of_life += 1


def test_messages_come_whole_and_in_order_and_the_frames_last() -> None:
    async def scenario() -> None:
        bench = Bench()
        frame = bytes(FRAME_BYTES)
        reason = await bench.serve(
            lambda: bench.say(CONTROL_UUID, MESSAGE),
            lambda: bench.say(FRAMES_UUID, frame),
            lambda: bench.client.on_disconnect(),
        )
        assert reason == "disconnected"
        assert bench.client.subscribed == [CONTROL_UUID, STATUS_UUID, FRAMES_UUID]
        assert bench.listener.told == [
            ("connected", STATUS),
            (GattCharacteristic.CONTROL, MESSAGE),
            (GattCharacteristic.FRAMES, frame),
            ("disconnected", "disconnected"),
        ]

    asyncio.run(scenario())


def test_what_arrived_before_the_disconnect_is_still_delivered() -> None:
    async def scenario() -> None:
        bench = Bench()

        def last_words() -> None:
            bench.say(CONTROL_UUID, MESSAGE)
            bench.client.on_disconnect()

        await bench.serve(last_words)
        assert (GattCharacteristic.CONTROL, MESSAGE) in bench.listener.told

    asyncio.run(scenario())


@pytest.mark.parametrize("failure", [RadioFailure.NOT_A_SENSOR, RadioFailure.RACE])
def test_bluez_forgets_a_sensor_of_which_it_knows_too_little(failure: RadioFailure) -> None:
    async def scenario() -> None:
        bench = Bench(CONTROL_UUID, failure)
        with pytest.raises(RadioError):
            await bench.link.open()
        assert bench.client.forgotten == (failure is RadioFailure.NOT_A_SENSOR)

    asyncio.run(scenario())


def test_a_silent_link_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble_link, "LINK_SILENCE_S", 0.02)

    async def scenario() -> None:
        bench = Bench()
        assert await bench.serve() == "silent"
        assert bench.client.disconnects == 1

    asyncio.run(scenario())


def test_a_status_notification_is_a_sign_of_life() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.serve(lambda: bench.client.on_value[STATUS_UUID](b""), bench.link.close)
        assert bench.signs_of_life == 1

    asyncio.run(scenario())


def test_writes_are_cut_and_never_mixed() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.serve(
            lambda: asyncio.gather(bench.link.acknowledge(MESSAGE), bench.link.command(MESSAGE)),
            bench.link.close,
        )
        pieces = cut(MESSAGE, 20, MESSAGE[1])
        assert bench.client.written == [
            *((ACKNOWLEDGE_UUID, piece, False) for piece in pieces),
            *((CONTROL_UUID, piece, True) for piece in pieces),
        ]

    asyncio.run(scenario())


def test_answers_of_an_update_are_subscribed_to_with_its_first_message() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.link.open()
        assert bench.link.takes_updates
        for _ in range(2):
            await bench.link.update(MESSAGE)
        assert bench.client.subscribed.count(FIRMWARE_UUID) == 1
        pieces = cut(MESSAGE, FakeGattClient.piece_bytes, MESSAGE[1])
        assert bench.client.written == [(FIRMWARE_UUID, piece, False) for piece in 2 * pieces]

    asyncio.run(scenario())


def test_a_failed_write_ends_the_link_and_later_calls_say_so() -> None:
    async def scenario() -> None:
        bench = Bench(failing="write")

        async def write_twice() -> None:
            for _ in range(2):
                with pytest.raises(LinkLost, match="timed out"):
                    await bench.link.acknowledge(MESSAGE)

        assert await bench.serve(write_twice) == "timed out"

    asyncio.run(scenario())


@pytest.mark.parametrize("call", ["connect", CONTROL_UUID, STATUS_UUID, "read"])
def test_a_link_that_does_not_open_is_let_go(call: str) -> None:
    async def scenario() -> None:
        bench = Bench(failing=call)
        with pytest.raises(RadioError):
            await bench.link.open()
        assert bench.client.disconnects == 1

    asyncio.run(scenario())


def test_a_link_without_frames_ends_with_its_reason() -> None:
    async def scenario() -> None:
        bench = Bench(failing=FRAMES_UUID)
        assert await bench.serve() == "timed out"
        assert bench.listener.told[-1] == ("disconnected", "timed out")

    asyncio.run(scenario())


def test_a_cancelled_link_says_goodbye() -> None:
    async def scenario() -> None:
        bench = Bench()
        status = await bench.link.open()
        task = asyncio.ensure_future(bench.link.serve(bench.listener, status))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.listener.told[-1] == ("disconnected", "closed")
        assert bench.client.disconnects == 1

    asyncio.run(scenario())


def test_a_listeners_own_fault_is_not_swallowed() -> None:
    async def scenario() -> None:
        bench = Bench()

        def fail(link: SensorLink) -> None:
            raise ZeroDivisionError

        bench.listener = Listener(fail)
        with pytest.raises(ZeroDivisionError):
            await bench.serve()

    asyncio.run(scenario())


def test_too_many_waiting_pieces_and_odd_ones_are_counted() -> None:
    async def scenario() -> None:
        bench = Bench()

        def flood() -> None:
            for _ in range(ble_link.MAX_WAITING_PIECES + 3):
                bench.client.on_value[FRAMES_UUID](b"\xff")

        await bench.serve(flood, bench.link.close)
        assert bench.refused_pieces("too many waiting") == 3
        assert bench.refused_pieces("piece too short") == ble_link.MAX_WAITING_PIECES

    asyncio.run(scenario())
