"""A small org.bluez on a private D-Bus, in front of one adapter of a virtual ward.

bleak's BlueZ backend, unmodified, talks to it as it does to bluetoothd.
"""

# D-Bus signatures are written as annotations, which linters take for forward references.
# ruff: noqa: F722, F821

import asyncio
import contextlib
import ctypes
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from dbus_fast import DBusError, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_property, method

from gateway.radio.gatt import SERVICE_UUID
from gateway.simulator.virtual_adapter import VirtualAdapter

ADAPTER_PATH = "/org/bluez/hci0"
PR_SET_PDEATHSIG = 1
READ = PropertyAccess.READ


def failed(text: str) -> DBusError:
    return DBusError("org.bluez.Error.Failed", text)


@contextlib.asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[str]:
    """A dbus-daemon that dies with the test; gives its address."""
    process = await asyncio.create_subprocess_exec(
        "dbus-daemon",
        "--session",
        "--nofork",
        "--nopidfile",
        "--print-address",
        f"--address=unix:path={folder}/bus",
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.communicate()


class FakeBlueZ:
    """The objects under /org/bluez, and what a test wants to know or to break."""

    def __init__(self, address: str, bus: MessageBus, virtual: VirtualAdapter) -> None:
        self.address = address  # of the bus
        self.bus = bus
        self.virtual = virtual
        self.calls: list[str] = []
        self.connect_faults: list[DBusError] = []
        self.written: list[bytes] = []
        self.remembered_uuids = [SERVICE_UUID]
        self._adapter = Adapter(self)
        self._devices: dict[str, Device] = {}
        self._scanner = BleakScanner(
            self._on_advertisement, [SERVICE_UUID], backend=virtual.scanner_backend
        )

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, bus_address: str, ward_address: str) -> "AsyncIterator[FakeBlueZ]":
        bus = await MessageBus(bus_address=bus_address).connect()
        virtual = await VirtualAdapter.open(ward_address)
        try:
            bluez = cls(bus_address, bus, virtual)
            bluez.plug_in()
            await bus.request_name("org.bluez")
            yield bluez
        finally:
            await virtual.close()
            await bluez.vanish()

    async def vanish(self) -> None:
        """As when bluetoothd is killed: no signal, no answer, nothing."""
        self.bus.disconnect()
        await self.bus.wait_for_disconnect()

    async def unplug(self) -> None:
        """The adapter goes, and its devices, and the scan that somebody has asked for."""
        await self._end_scan_and_links()
        for path in self._devices:
            self.bus.unexport(path)
        self._devices.clear()
        self.bus.unexport(ADAPTER_PATH)

    def plug_in(self) -> None:
        self.bus.export(ADAPTER_PATH, self._adapter)

    def remember_services(self, uuids: list[str]) -> None:
        """As when a link is lost before each service of the sensor is found."""
        self.remembered_uuids = uuids
        for device in self._devices.values():
            device.emit_properties_changed({"UUIDs": uuids})

    async def switch_off_and_on(self) -> None:
        await self._end_scan_and_links()
        for powered in (False, True):
            self._adapter.emit_properties_changed({"Powered": powered})

    async def _end_scan_and_links(self) -> None:
        await self.scan(False)
        for device in self._devices.values():
            await device.end_link()

    async def scan(self, on: bool) -> None:
        await (self._scanner.start() if on else self._scanner.stop())

    def _on_advertisement(self, heard: BLEDevice, data: AdvertisementData) -> None:
        path = f"{ADAPTER_PATH}/dev_{heard.address.replace(':', '_')}"
        if path not in self._devices:
            self._devices[path] = Device(self, path, heard, data.local_name or "")
            self.bus.export(path, self._devices[path])
        else:
            self._devices[path].emit_properties_changed({"RSSI": -60})


class Adapter(ServiceInterface):
    def __init__(self, bluez: FakeBlueZ) -> None:
        super().__init__("org.bluez.Adapter1")
        self._bluez = bluez

    @dbus_property(access=READ)
    def Address(self) -> "s":
        return "00:11:22:33:44:55"

    @dbus_property(access=READ)
    def Powered(self) -> "b":
        return True

    @dbus_property(access=READ)
    def Discovering(self) -> "b":
        return True

    @dbus_property(access=READ)
    def Roles(self) -> "as":
        return ["central"]

    @method()
    def SetDiscoveryFilter(self, wanted: "a{sv}") -> None:
        self._bluez.calls.append("SetDiscoveryFilter")

    @method()
    async def StartDiscovery(self) -> None:
        await self._bluez.scan(True)

    @method()
    async def StopDiscovery(self) -> None:
        await self._bluez.scan(False)


class Device(ServiceInterface):
    def __init__(self, bluez: FakeBlueZ, path: str, heard: BLEDevice, name: str) -> None:
        super().__init__("org.bluez.Device1")
        self._bluez = bluez
        self._path = path
        self._heard = heard
        self._name = name
        self._connected = self._resolved = False
        self._exported: list[str] = []
        self._client: BleakClient | None = None

    @dbus_property(access=READ)
    def Address(self) -> "s":
        return self._heard.address

    @dbus_property(access=READ)
    def Name(self) -> "s":
        return self._name

    @dbus_property(access=READ)
    def Alias(self) -> "s":
        return self._name

    @dbus_property(access=READ)
    def Adapter(self) -> "o":
        return ADAPTER_PATH

    @dbus_property(access=READ)
    def UUIDs(self) -> "as":
        return self._bluez.remembered_uuids

    @dbus_property(access=READ)
    def RSSI(self) -> "n":
        return -60

    @dbus_property(access=READ)
    def Paired(self) -> "b":
        return False

    @dbus_property(access=READ)
    def Connected(self) -> "b":
        return self._connected

    @dbus_property(access=READ)
    def ServicesResolved(self) -> "b":
        return self._resolved

    @method()
    async def Connect(self) -> None:
        self._bluez.calls.append("Connect")
        if self._bluez.connect_faults:
            raise self._bluez.connect_faults.pop(0)
        self._client = BleakClient(
            self._heard, self._on_disconnect, backend=self._bluez.virtual.client_backend
        )
        try:
            await self._client.connect()
        except BleakError as error:
            raise failed(str(error)) from error
        self._export_services(self._client)
        self._connected = self._resolved = True
        self.emit_properties_changed({"Connected": True, "ServicesResolved": True})

    @method()
    async def Disconnect(self) -> None:
        await self.end_link()

    async def end_link(self) -> None:
        if self._client:
            await self._client.disconnect()

    def _export_services(self, client: BleakClient) -> None:
        for service in client.services:
            path = f"{self._path}/service{service.handle:04x}"
            self._export(path, Service(service.uuid, self._path))
            for characteristic in service.characteristics:
                char_path = f"{path}/char{characteristic.handle - 1:04x}"
                self._export(char_path, Char(self._bluez, client, characteristic, path))

    def _export(self, path: str, interface: ServiceInterface) -> None:
        self._bluez.bus.export(path, interface)
        self._exported.append(path)

    def _on_disconnect(self, _: BleakClient) -> None:
        for path in reversed(self._exported):
            self._bluez.bus.unexport(path)
        self._exported.clear()
        self._connected = self._resolved = False
        self.emit_properties_changed({"ServicesResolved": False, "Connected": False})


class Service(ServiceInterface):
    def __init__(self, uuid: str, device_path: str) -> None:
        super().__init__("org.bluez.GattService1")
        self._uuid = uuid
        self._device_path = device_path

    @dbus_property(access=READ)
    def UUID(self) -> "s":
        return self._uuid

    @dbus_property(access=READ)
    def Device(self) -> "o":
        return self._device_path

    @dbus_property(access=READ)
    def Primary(self) -> "b":
        return True


class Char(ServiceInterface):
    def __init__(
        self,
        bluez: FakeBlueZ,
        client: BleakClient,
        characteristic: BleakGATTCharacteristic,
        service_path: str,
    ) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._bluez = bluez
        self._client = client
        self._characteristic = characteristic
        self._service_path = service_path

    @dbus_property(access=READ)
    def UUID(self) -> "s":
        return self._characteristic.uuid

    @dbus_property(access=READ)
    def Service(self) -> "o":
        return self._service_path

    @dbus_property(access=READ)
    def Flags(self) -> "as":
        return self._characteristic.properties

    @dbus_property(access=READ)
    def MTU(self) -> "q":
        return self._characteristic.max_write_without_response_size + 3

    @dbus_property(access=READ)
    def NotifyAcquired(self) -> "b":
        return False

    @dbus_property(access=READ)
    def Value(self) -> "ay":
        return b""

    @method()
    async def ReadValue(self, options: "a{sv}") -> "ay":
        return bytes(await self._client.read_gatt_char(self._characteristic))

    @method()
    async def WriteValue(self, value: "ay", options: "a{sv}") -> None:
        self._bluez.written.append(value)
        response = options.get("type", Variant("s", "request")).value == "request"
        await self._client.write_gatt_char(self._characteristic, value, response=response)

    @method()
    async def StartNotify(self) -> None:
        self._bluez.calls.append("StartNotify")
        await self._client.start_notify(
            self._characteristic,
            lambda _, value: self.emit_properties_changed({"Value": bytes(value)}),
        )

    @method()
    def AcquireNotify(self, options: "a{sv}") -> "hq":
        self._bluez.calls.append("AcquireNotify")
        raise failed("bluetoothd would crash when this link is dropped")
