"""`make test-power-cut`: the box loses its power in mid-write, again and again.

    python -m tests.power_cut [--cuts 50] [--sensors 3] [--seed 1]
    python -m tests.power_cut --cuts 3 --without flush    # must fail: the harness proves itself

The gateway runs in a user-mode machine on an ext4 image behind a volatile write cache; the virtual
sensors are outside, as they are in a ward, and so is the list of what was acknowledged to them.
The machine is frozen and killed while its card is taking writes. What it had not flushed is lost:
all that was in its memory, and any part of what it was just handing over, torn at a sector now and
then. Within 30 s of each start of the gateway a frame must be acknowledged again, less the time for
which the host's other work kept the machine from a processor; and each frame that was acknowledged
before the cut must be in the store, once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.machine.air import Air, Sensors, UartAdapter, serial_line
from tests.machine.box import Box, powered, prepare
from tests.machine.card import Card, LostCache
from tests.machine.frame_ids import Verdict
from tests.machine.kernel import KERNEL
from tests.machine.machine import Machine, MachineError

BACK_S = 30.0  # of the box's own, from the service's start to the first acknowledgement
PATIENCE_S = 300.0  # for it to come at all
MOST_LIFE_S = 15.0  # between being back and the next cut: three of the store's commits
MID_WRITE_S = 60.0  # by then there is a write, or nothing is written any more
POLL_S = 0.0005  # a commit's writes take some milliseconds


@dataclass(frozen=True, slots=True)
class Life:
    """The box from a start to the next cut."""

    ready_s: float
    back_s: float
    withheld_s: float  # of it the host gave its processors to others
    verdict: Verdict
    cache: LostCache

    @property
    def own_s(self) -> float:
        """What it took to be back, on a host that has nothing else to do."""
        return self.back_s - self.withheld_s


class PowerCuts:
    def __init__(self, folder: Path, sensors: Sensors, draw: random.Random, preload: str) -> None:
        self._folder = folder
        self._preload = preload
        self._sensors = sensors
        self._draw = draw
        self.lives: list[Life] = []

    async def run(self, cuts: int, card: Card, air: Air) -> None:
        """`cuts` lives that end in mid-write, and one more that shows what is left."""
        for number in range(cuts + 1):
            line, adapter = await serial_line(air)
            try:
                self.lives.append(await self._live(card, line, adapter))
            finally:
                line.close()
            print(f"cut {number + 1}: {describe(self.lives[-1])}", flush=True)

    async def _live(self, card: Card, line: socket.socket, adapter: UartAdapter) -> Life:
        acknowledged = self._sensors.acknowledged_frames()
        async with powered(self._folder, card, line, adapter) as box:
            withheld_before_s = box.machine.withheld_s()
            ready_s, back_s = await self._until_back(box)
            withheld_s = box.machine.withheld_s() - withheld_before_s
            verdict = Verdict.of(acknowledged, await box.stored_frames())
            await asyncio.sleep(self._draw.uniform(0.0, MOST_LIFE_S))
            await self._freeze_in_mid_write(box.machine, card)
        return Life(ready_s, back_s, withheld_s, verdict, card.lose_power(self._draw))

    async def _until_back(self, box: Box) -> tuple[float, float]:
        """Both from the start of the service: when it was ready, when it acknowledged a frame."""
        begun_s, before = time.monotonic(), self._sensors.acknowledged
        ready_s = await box.start_gateway(self._preload)
        while self._sensors.acknowledged == before:
            if time.monotonic() - begun_s > PATIENCE_S:
                await box.keep_logs()
                raise MachineError(f"nothing was acknowledged within {PATIENCE_S:g} s")
            await asyncio.sleep(0.05)
        return ready_s, time.monotonic() - begun_s

    async def _freeze_in_mid_write(self, machine: Machine, card: Card) -> None:
        """Seen from outside a write may be over when it is seen: frozen, the card tells."""
        deadline_s = time.monotonic() + MID_WRITE_S
        while time.monotonic() < deadline_s:
            if card.is_taking_writes():
                await machine.freeze()
                if card.is_taking_writes():
                    return
                machine.thaw()
            await asyncio.sleep(POLL_S)
        raise MachineError(f"nothing was written for {MID_WRITE_S:g} s")


def describe(life: Life) -> str:
    verdict, cache = life.verdict, life.cache
    return (
        f"ready {life.ready_s:.1f} s, back {life.back_s:.1f} s, {life.own_s:.1f} s of its own;"
        f" missing {len(verdict.missing)}, repeated {len(verdict.repeated)};"
        f" {cache.held} writes in the cache, {cache.lost} lost, {cache.torn} torn"
    )


def judge(lives: list[Life], sensors: Sensors) -> list[str]:
    """Print the figures; returns what is wrong."""
    for name, figures in (
        ("ready after, median and longest, s", [life.ready_s for life in lives]),
        ("acknowledging after, median and longest, s", [life.back_s for life in lives]),
        ("the same less what the host withheld, s", [life.own_s for life in lives]),
    ):
        print(f"{name:<56}{statistics.median(figures):.1f}   {max(figures):.1f}")
    cut = lives[:-1]
    held, lost, torn = (
        [getattr(life.cache, name) for life in cut] for name in ("held", "lost", "torn")
    )
    print(f"{'cuts, of them with writes in the cache':<56}{len(cut)}   {sum(map(bool, held))}")
    print(f"{'writes in the cache, lost, torn':<56}{sum(held)}   {sum(lost)}   {sum(torn)}")
    missing = set().union(*(life.verdict.missing for life in lives))
    repeated = set().union(*(life.verdict.repeated for life in lives))
    acknowledged = len(sensors.acknowledged_frames())
    print(f"{'frames acknowledged, missing, more than once':<56}", end="")
    print(f"{acknowledged}   {len(missing)}   {len(repeated)}")
    found = [f"missing: {frame}" for frame in missing]
    found += [f"more than once: {frame}" for frame in repeated]
    late = [life.own_s for life in lives if life.own_s > BACK_S]
    return found + [f"back only after {own_s:.1f} s of its own" for own_s in late]


async def play(options: argparse.Namespace, folder: Path) -> list[str]:
    air = Air()
    sensors = Sensors(air, options.sensors)
    card = prepare(folder, sensors)
    running = asyncio.create_task(sensors.run())
    try:
        preload = f"{KERNEL}/no_flush.so" if options.without == "flush" else ""
        cuts = PowerCuts(folder, sensors, random.Random(options.seed), preload)
        await cuts.run(options.cuts, card, air)
        return judge(cuts.lives, sensors)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--sensors", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=("flush",))
    options = parser.parse_args()
    logging.getLogger("bumble").setLevel(logging.CRITICAL)  # it warns of packets of dropped links
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the machine goes with the test
    folder = Path(tempfile.mkdtemp(prefix="power-cut-"))
    found = asyncio.run(play(options, folder))
    if found:
        print("\n".join(found), f"The card and the logs are in {folder}", sep="\n")
        return 1
    shutil.rmtree(folder)
    print("nothing acknowledged was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
