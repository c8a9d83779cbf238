"""`make test-bluez`: the unmodified gateway with bleak on a real bluetoothd, in a machine.

    python -m tests.bluez [--minutes 30] [--disconnects 300] [--sensors 5] [--seed 1]

Virtual sensors send in real time over Bumble's virtual air to an adapter on the machine's UART.
Links are dropped by the sensor, lost, or end with a restart of the sensor; between them bluetoothd
is killed, the adapter is unplugged, and a sensor comes back with another GATT table than the one
that BlueZ remembers. At the end each frame that was acknowledged must be in the store, once, and
the gateway and bluetoothd must hold no more files and bus connections than at the beginning.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.bluez.soak import Soak, SoakError
from tests.machine.air import Air, Sensors, serial_line
from tests.machine.box import powered, prepare


async def play(options: argparse.Namespace, folder: Path) -> list[str]:
    """What is wrong at the end; nothing is the goal."""
    air = Air()
    sensors = Sensors(air, options.sensors)
    card = prepare(folder, sensors)
    line, adapter = await serial_line(air)
    running = asyncio.create_task(sensors.run())
    try:
        async with powered(folder, card, line, adapter) as box:
            soak = Soak(box, air, adapter, sensors, random.Random(options.seed))
            found: list[str] = []
            try:
                found = await soak.run(60.0 * options.minutes, options.disconnects)
            except* SoakError as errors:
                found = list(map(str, errors.exceptions))
            finally:
                await box.keep_logs()
            return found
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        line.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--disconnects", type=int, default=300)
    parser.add_argument("--sensors", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("bumble").setLevel(logging.CRITICAL)  # it warns of packets of dropped links
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the machine goes with the test
    folder = Path(tempfile.mkdtemp(prefix="bluez-"))
    found = asyncio.run(play(options, folder))
    if found:
        print("\n".join(found), f"The logs are in {folder}/shared", sep="\n")
        return 1
    shutil.rmtree(folder)
    print("every acknowledged frame is in the store, once; nothing leaks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
