"""A gateway's box: bus, bluetoothd, adapter and the unmodified gateway in a user-mode machine."""

from __future__ import annotations

import compileall
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from tests.machine.air import Sensors, UartAdapter
from tests.machine.card import Card
from tests.machine.frame_ids import FrameId, read_frames
from tests.machine.kernel import KERNEL, PROJECT
from tests.machine.machine import Machine, MachineError, python

STATE = "/var/lib/ecg-gateway"
BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
MODULES = "hci_uart ecb cmac ecdh_generic hmac algif_hash algif_skcipher"
ATTACH_ATTEMPTS = 5
ADAPTER_IS_KNOWN = (
    "dbus-send --system --print-reply --dest=org.bluez /org/bluez/hci0"
    " org.freedesktop.DBus.Properties.Get string:org.bluez.Adapter1 string:Address >/dev/null 2>&1"
)
CONFIG = """\
state_directory = "/var/lib/ecg-gateway"
[keyring]
key_file = "{folder}/keyring-key"
[beds]
auto_admit = true
"""


class Box:
    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self._folder = folder
        self._pids: dict[str, int] = {}

    async def start_system(self, card: Card) -> None:
        """What is there before the gateway's service starts: its state, and Bluetooth."""
        await self.machine.run("dmesg -n 1")  # what the kernel has to say is in its log
        await self.machine.run(card.mount(STATE))
        await self.machine.run(f"cp -n {self._folder}/keyring {STATE}/ && chmod 700 {STATE}")
        await self.machine.run(f"modprobe -d {KERNEL} -a {MODULES}")
        await self.machine.run("dbus-daemon --system --fork")
        await self.start_bluetoothd()
        await self.attach_adapter()

    async def start_bluetoothd(self) -> None:
        await self._spawn("bluetoothd", f"{BLUETOOTHD} --nodetach")

    async def attach_adapter(self) -> None:
        """Again where the kernel's first command had no answer in 2 s: the host was busy."""
        for _ in range(ATTACH_ATTEMPTS):
            await self._spawn("btattach", "btattach --bredr /dev/ttyS0 --protocol h4")
            known = f"for i in $(seq 30); do {ADAPTER_IS_KNOWN} && break; sleep 0.1; done"
            if await self.machine.run(f"{known}; {ADAPTER_IS_KNOWN} && echo known || true"):
                return
            await self.detach_adapter()
        raise MachineError("bluetoothd knows no adapter")

    async def detach_adapter(self) -> None:
        await self.machine.run(f"kill {self._pids['btattach']}")

    async def kill_bluetoothd(self) -> None:
        await self.machine.run(f"kill -9 {self._pids['bluetoothd']}")

    async def start_gateway(self, preload: str = "") -> float:
        """Returns how many seconds it took until it was ready."""
        begun_s = time.monotonic()
        command = python(f"gateway run --config {self._folder}/gateway.toml")
        await self._spawn("gateway", f"env LD_PRELOAD={preload} {command}")
        pid = self._pids["gateway"]
        is_ready = "grep -q 'The page is at' /run/gateway.log"
        await self.machine.run(f"until {is_ready}; do kill -0 {pid} || break; sleep 0.1; done")
        await self.machine.run(f"{is_ready} || {{ tail -20 /run/gateway.log; false; }}")
        return time.monotonic() - begun_s

    async def stop_gateway(self) -> None:
        """As systemd does."""
        pid = self._pids["gateway"]
        await self.machine.run(f"kill {pid}; while kill -0 {pid}; do sleep 0.1; done 2>/dev/null")

    async def stored_frames(self) -> list[FrameId]:
        """The frames that the store has now."""
        listing = self.machine.shared / "stored"
        await self.machine.run(python(f"tests.machine.stored {STATE}/gateway.sqlite3 {listing}"))
        return read_frames(listing)

    async def open_files(self, name: str) -> Counter[str]:
        """How often a process holds what: a file by its path, a socket or a pipe by its kind."""
        links = await self.machine.run(f"readlink /proc/{self._pids[name]}/fd/*")
        return Counter(link.partition(":[")[0] for link in links.splitlines())

    async def resident_kilobytes(self, name: str) -> int:
        status = f"/proc/{self._pids[name]}/status"
        return int(await self.machine.run(f"awk '/VmRSS/ {{ print $2 }}' {status}"))

    async def bus_connections(self) -> int:
        """Unique names on the system bus, less the asking one's."""
        ask = "dbus-send --system --print-reply --dest=org.freedesktop.DBus / "
        names = await self.machine.run(f"{ask} org.freedesktop.DBus.ListNames")
        return names.count('string ":') - 1

    async def keep_logs(self) -> None:
        await self.machine.run(f"dmesg >/run/kernel.log; cp /run/*.log {self.machine.shared}/")

    async def _spawn(self, name: str, command: str) -> None:
        self._pids[name] = await self.machine.spawn(name, command)


def prepare(folder: Path, sensors: Sensors) -> Card:
    """The card, the keys and the configuration of a box that is new."""
    for package in ("gateway", "tests/machine"):
        compileall.compile_dir(PROJECT / package, quiet=1)  # the machine can't write there
    sensors.pair(folder)
    (folder / "gateway.toml").write_text(CONFIG.format(folder=folder))
    card = Card(folder / "card")
    card.format()
    return card


@contextlib.asynccontextmanager
async def powered(
    folder: Path, card: Card, serial_line: socket.socket, adapter: UartAdapter
) -> AsyncIterator[Box]:
    """A box whose system runs; its power is cut at the end."""
    machine = Machine(folder, card, serial_line)
    box = Box(machine, folder)
    adapter.plug_in()
    try:
        await machine.boot()
        await box.start_system(card)
        yield box
    finally:
        await machine.cut_power()
        adapter.unplug()
