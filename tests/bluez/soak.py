"""The soak itself: what is done to the links, how long each needs to come back, and the figures."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.messages import DeviceId
from gateway.simulator.board import Board
from tests.bluez.another_table import give_another_table
from tests.machine.air import Air, Sensors, UartAdapter
from tests.machine.box import Box
from tests.machine.frame_ids import Verdict

COMES_BACK_S = 60.0  # the gateway pauses 45 s at most between attempts
POLL_S = 0.05
RESTART_S = 2.0  # as the drop-in of bluetooth.service waits
UNPLUGGED_S = 5.0
REBOOTS_SHARE = 0.1  # of the disconnects; the others are drops and lost links
MINUTES_A_FAULT = 10.0  # of each kind, one at least
SETTLED_S = 75.0  # past the first entry into the tables: by then the store holds all its files
LIFE_S = 10.0  # without a fault, at the end


class SoakError(Exception):
    """Nothing came back in time; the message says what."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What the processes hold while all sensors are connected."""

    gateway_files: Counter[str]
    bluetoothd_files: Counter[str]
    bus_connections: Counter[str]
    gateway_kilobytes: int


class Soak:
    def __init__(
        self, box: Box, air: Air, adapter: UartAdapter, sensors: Sensors, draw: random.Random
    ) -> None:
        self._box = box
        self._air = air
        self._adapter = adapter
        self._sensors = sensors
        self._draw = draw
        self._back_s: dict[str, list[float]] = defaultdict(list)
        self._done: Counter[str] = Counter()
        self._found: list[str] = []

    async def run(self, seconds: float, disconnects: int) -> list[str]:
        """Returns what is wrong at the end; raises SoakError or MachineError."""
        ready_s = await self._box.start_gateway()
        self._tell("gateway ready after", f"{ready_s:.1f} s")
        first_s = await self._until_all_connected("at first")
        self._tell("all sensors found, connected, subscribed after", f"{first_s:.1f} s")
        self._tell("MTU of each characteristic, says bluetoothd", await self._mtu())
        await asyncio.sleep(SETTLED_S)
        before = await self._leftovers()
        async with asyncio.TaskGroup() as self._comebacks:
            for at_s, fault in self._schedule(seconds, disconnects):
                await asyncio.sleep(max(0.0, at_s - time.monotonic()))
                await fault()
        await self._until_all_connected("at the end")
        await asyncio.sleep(LIFE_S)
        after = await self._leftovers()
        return self._judge(before, after) + await self._judge_frames()

    def _schedule(
        self, seconds: float, disconnects: int
    ) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        """When what happens: disconnects evenly, the rarer faults between them."""
        begin_s = time.monotonic()
        each = max(1, round(seconds / 60 / MINUTES_A_FAULT))
        rare = each * [self._kill_bluetoothd, self._replug_adapter, self._change_table]
        times = [(i + 0.5) * seconds / len(rare) for i in range(len(rare))]
        plan = list(zip(times, rare, strict=True))
        plan += [((i + 1) * seconds / disconnects, self._disconnect) for i in range(disconnects)]
        return [(begin_s + at_s, fault) for at_s, fault in sorted(plan, key=lambda p: p[0])]

    async def _disconnect(self) -> None:
        """One sensor's link ends; it comes back while the next faults happen."""
        await self._until("any sensor", lambda: bool(self._sensors.connected))
        board = self._draw.choice(self._sensors.connected)
        if self._draw.random() < REBOOTS_SHARE:
            kind = "sensor restarted"
            board.reboot()
        elif self._draw.random() < 0.5:
            kind = "sensor dropped the link"
            await board.radio.drop()
        else:
            kind = "link lost"
            board.radio.lose_link()
        self._done[kind] += 1
        self._comebacks.create_task(self._note_comeback(kind, board))

    async def _kill_bluetoothd(self) -> None:
        await self._box.kill_bluetoothd()
        await asyncio.sleep(RESTART_S)
        await self._box.start_bluetoothd()
        await self._note_fault("bluetoothd killed")

    async def _replug_adapter(self) -> None:
        await self._box.detach_adapter()
        self._adapter.unplug()
        await asyncio.sleep(UNPLUGGED_S)
        self._adapter.plug_in()
        await self._box.attach_adapter()
        await self._note_fault("adapter unplugged")

    async def _change_table(self) -> None:
        """BlueZ remembers the services of a sensor whose firmware has meanwhile changed."""
        await self._until("any sensor", lambda: bool(self._sensors.connected))
        board = self._draw.choice(self._sensors.connected)
        number = self._sensors.boards.index(board) + 1
        await give_another_table(board, DeviceId(number), self._air)
        await self._note_fault("GATT table changed")

    async def _note_comeback(self, kind: str, board: Board) -> None:
        try:
            await self._until(kind, lambda: not is_connected(board))
            self._back_s[kind].append(await self._until(kind, lambda: is_connected(board)))
        except SoakError as error:
            self._note_failure(error)

    async def _note_fault(self, kind: str) -> None:
        """The fault is over when each sensor has had a frame acknowledged since."""
        self._done[kind] += 1
        try:
            back_s = await self._until_all_served(kind)
        except SoakError as error:
            self._note_failure(error)
            return
        self._back_s[kind].append(back_s)
        self._tell(f"  {self._done.total()} faults; {kind}, all served after", f"{back_s:.1f} s")

    def _note_failure(self, error: SoakError) -> None:
        """It counts at the end; until then the soak goes on."""
        self._found.append(str(error))
        self._tell(f"  {error}")

    async def _until_all_connected(self, when: str) -> float:
        everyone = len(self._sensors.boards)
        return await self._until(when, lambda: len(self._sensors.connected) == everyone)

    async def _until_all_served(self, after: str) -> float:
        before = [ledger.acknowledged for ledger in self._sensors.ledgers]
        return await self._until(
            after,
            lambda: all(
                ledger.acknowledged > acknowledged
                for ledger, acknowledged in zip(self._sensors.ledgers, before, strict=True)
            ),
        )

    async def _until(self, what: str, holds: Callable[[], bool]) -> float:
        begun_s = time.monotonic()
        while not holds():
            if time.monotonic() - begun_s > COMES_BACK_S:
                stats = [
                    (board.stat()["connected"], board.stat()["held"])
                    for board in self._sensors.boards
                ]
                raise SoakError(f"{what}: not all is back after {COMES_BACK_S:g} s: {stats}")
            await asyncio.sleep(POLL_S)
        return time.monotonic() - begun_s

    async def _mtu(self) -> str:
        ask = "dbus-send --system --print-reply --dest=org.bluez / "
        objects = await self._box.machine.run(
            f"{ask} org.freedesktop.DBus.ObjectManager.GetManagedObjects | grep -A1 '\"MTU\"'"
        )
        sizes = sorted({int(word) for word in objects.split() if word.isdecimal()})
        return ", ".join(map(str, sizes))

    async def _leftovers(self) -> Leftovers:
        return Leftovers(
            await self._box.open_files("gateway"),
            await self._box.open_files("bluetoothd"),
            Counter({"connection": await self._box.bus_connections()}),
            await self._box.resident_kilobytes("gateway"),
        )

    def _judge(self, before: Leftovers, after: Leftovers) -> list[str]:
        for kind, count in sorted(self._done.items()):
            back_s = self._back_s[kind] or [math.nan]
            middle_s = statistics.median(back_s)
            self._tell(f"{kind}: times; back after, median, longest", count, middle_s, max(back_s))
        found = self._found
        for name in ("gateway_files", "bluetoothd_files", "bus_connections"):
            held, holds = getattr(before, name), getattr(after, name)
            first, last = held.total(), holds.total()
            self._tell(f"{name.replace('_', ' ')}, at the beginning and the end", first, last)
            if last > first:
                found.append(f"{name}: {first} has become {last}, with {dict(holds - held)}")
        first_mb, last_mb = (part.gateway_kilobytes / 1024 for part in (before, after))
        self._tell("gateway's memory in MB, then and then", first_mb, last_mb)
        return found

    async def _judge_frames(self) -> list[str]:
        await self._box.stop_gateway()
        acknowledged = self._sensors.acknowledged_frames()
        stored = await self._box.stored_frames()
        verdict = Verdict.of(acknowledged, stored)
        resent = sum(ledger.resent for ledger in self._sensors.ledgers)
        self._tell("frames acknowledged, of them sent more than once", len(acknowledged), resent)
        self._tell("acknowledged and not in the store", len(verdict.missing))
        self._tell("in the store more than once", len(verdict.repeated))
        found = [f"missing: {frame}" for frame in verdict.missing]
        return found + [f"more than once: {frame}" for frame in verdict.repeated]

    def _tell(self, what: str, *figures: object) -> None:
        texts = [f"{f:.1f}" if isinstance(f, float) else str(f) for f in figures]
        print(f"{what:<64}{'   '.join(texts)}", flush=True)


def is_connected(board: Board) -> bool:
    return bool(board.stat()["connected"])
