"""The one place that knows bleak: its calls get a timeout, and its errors a name."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZDiscoveryFilters
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTServiceCollection
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
)

from gateway.radio.ble_retries import RadioError, RadioFailure
from gateway.radio.gatt import ACKNOWLEDGE_UUID, SERVICE_UUID

CONNECT_TIMEOUT_S = 20.0  # connection, MTU and discovery: 0.2 s as a rule, 10 s at worst
CALL_TIMEOUT_S = 5.0  # a killed bluetoothd never answers, and bleak alone would wait for it

# OSError holds TimeoutError; D-Bus ends with EOFError; bleak 3.1 asserts that it has a link
_ERRORS = (BleakError, EOFError, OSError, AssertionError)
_BUSY = {"org.bluez.Error.InProgress", "org.bluez.Error.Busy"}
_VANISHED = {"org.freedesktop.DBus.Error.UnknownObject", "org.bluez.Error.DoesNotExist"}
_DOWN = {
    "org.bluez.Error.NotReady",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.ServiceUnknown",
}
_ADDRESS = re.compile("(?:[0-9A-F]{2}[:_]){4}", re.IGNORECASE)  # all but its last two bytes
_RACES = (
    "abort-by-local",
    "device disconnected",
    "not connected",
    "service discovery has not been performed",  # any more: the link was lost since
)


def classify(error: Exception) -> RadioFailure:
    """The kind of failure behind an error of bleak, D-Bus or a socket."""
    match error:
        case TimeoutError():
            return RadioFailure.TIMEOUT
        case BleakBluetoothNotAvailableError() | EOFError() | OSError():
            return RadioFailure.ADAPTER_DOWN
        case BleakCharacteristicNotFoundError():
            return RadioFailure.NOT_A_SENSOR
        case BleakDeviceNotFoundError():
            return RadioFailure.VANISHED
        case AssertionError():
            return RadioFailure.RACE
        case BleakDBusError() if error.dbus_error in _BUSY:
            return RadioFailure.BUSY
        case BleakDBusError() if error.dbus_error in _VANISHED:
            return RadioFailure.VANISHED
        case BleakDBusError() if error.dbus_error in _DOWN:
            return RadioFailure.ADAPTER_DOWN
    text = str(error).lower()
    return RadioFailure.RACE if any(race in text for race in _RACES) else RadioFailure.OTHER


def is_sensor_name(local_name: str | None) -> bool:
    """Is it the 8 hex digits that a sensor advertises?"""
    return re.fullmatch("[0-9A-Fa-f]{8}", local_name or "") is not None


@contextlib.asynccontextmanager
async def radio_call(timeout_s: float = CALL_TIMEOUT_S) -> AsyncIterator[None]:
    """Limit a call's time, and raise RadioError for whatever it raises of the radio's."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except _ERRORS as error:
        raise RadioError(classify(error), _ADDRESS.sub("…", str(error))) from error


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A sensor that was heard; `device` is what `connect` wants back."""

    address: str
    local_name: str | None
    device: BLEDevice


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter as bleak sees it: a BlueZ name, or a backend of its own."""

    name: str
    scanner_backend: type[BaseBleakScanner] | None = None
    client_backend: type[BaseBleakClient] | None = None
    lost: asyncio.Event = field(default_factory=asyncio.Event)  # it must be opened again

    @contextlib.asynccontextmanager
    async def scanning(self, on_heard: Callable[[Advertisement], None]) -> AsyncIterator[None]:
        """Scan for sensors while the context is open; raises RadioError."""

        def on_advertisement(device: BLEDevice, heard: AdvertisementData) -> None:
            if SERVICE_UUID in heard.service_uuids or is_sensor_name(heard.local_name):
                on_heard(Advertisement(device.address, heard.local_name, device))

        # DuplicateData: a sensor that comes back must be reported, although it was seen before.
        # UUIDs: bluetoothd looks for them on the air. bleak's own filter looks at what bluetoothd
        # remembers, and a link lost in mid-discovery leaves it without our service, for good.
        filters: BlueZDiscoveryFilters = {"DuplicateData": True, "UUIDs": [SERVICE_UUID]}
        scanner = BleakScanner(
            on_advertisement,
            bluez={"adapter": self.name, "filters": filters},
            backend=self.scanner_backend,
        )
        async with radio_call():
            await scanner.start()
        try:
            yield
        finally:
            with contextlib.suppress(RadioError):
                async with radio_call():
                    await scanner.stop()

    def client(self, heard: Advertisement) -> GattClient:
        """A client for one attempt to connect: a used one may say "already connected"."""
        return GattClient(self, heard.device)


class GattClient:
    """A sensor's GATT server, for one connection. Calls raise RadioError."""

    def __init__(self, adapter: Adapter, device: BLEDevice) -> None:
        self._on_disconnect: Callable[[], None] = lambda: None
        self._client = BleakClient(
            device,
            lambda _: self._on_disconnect(),
            timeout=CONNECT_TIMEOUT_S,
            bluez={"adapter": adapter.name},
            backend=adapter.client_backend,
        )

    async def connect(self, on_disconnect: Callable[[], None]) -> None:
        self._on_disconnect = on_disconnect
        async with radio_call(CONNECT_TIMEOUT_S):
            await self._client.connect()

    @property
    def piece_bytes(self) -> int:
        """The longest value of a write, MTU − 3. (On BlueZ `mtu_size` says 23 whatever it is.)"""
        return self._characteristic(ACKNOWLEDGE_UUID).max_write_without_response_size

    def offers(self, uuid: str) -> bool:
        """Has the connected sensor this characteristic?"""
        return self._services().get_characteristic(uuid) is not None

    async def read(self, uuid: str) -> bytes:
        async with radio_call():
            return bytes(await self._client.read_gatt_char(uuid))

    async def write(self, uuid: str, value: bytes, response: bool) -> None:
        async with radio_call():
            await self._client.write_gatt_char(uuid, value, response=response)

    async def subscribe(self, uuid: str, on_value: Callable[[bytes], None]) -> None:
        """Have each notification or indication given to `on_value`, once."""

        def on_notification(_: BleakGATTCharacteristic, value: bytearray) -> None:
            on_value(bytes(value))

        async with radio_call():
            # StartNotify: with AcquireNotify bluetoothd crashes when a held link is dropped
            await self._client.start_notify(uuid, on_notification, bluez={"use_start_notify": True})

    async def disconnect(self) -> None:
        """End the link as well as that can be done; never raises RadioError."""
        with contextlib.suppress(RadioError):
            async with radio_call():
                await self._client.disconnect()

    async def forget(self) -> None:
        """Have BlueZ drop what it remembers of the sensor; never raises RadioError."""
        with contextlib.suppress(RadioError):
            async with radio_call():
                await self._client.unpair()  # we do not pair: it removes the device

    def _characteristic(self, uuid: str) -> BleakGATTCharacteristic:
        characteristic = self._services().get_characteristic(uuid)
        if characteristic is None:
            raise RadioError(RadioFailure.NOT_A_SENSOR, uuid)
        return characteristic

    def _services(self) -> BleakGATTServiceCollection:
        try:
            return self._client.services
        except BleakError as error:
            raise RadioError(classify(error), str(error)) from error
