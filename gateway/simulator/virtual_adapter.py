"""A Bluetooth adapter of the virtual ward, as a backend of bleak on a Bumble host.

The adapter's controller lives in the simulator's process; HCI packets go over a TCP connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Iterator
from typing import Any
from uuid import UUID as Uuid

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_16
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.hci import Address
from bumble.transport.common import Transport
from bumble.transport.tcp_client import open_tcp_client_transport

from gateway.radio.gatt import ATT_HEADER_BYTES, LEAST_MTU, WANTED_MTU

CONNECTION_TIMEOUT_S = 5.0  # a virtual sensor that advertises answers in milliseconds


class VirtualAdapter:
    """One adapter of the ward. `lost` is set when the simulator has gone."""

    def __init__(self, device: Device, transport: Transport) -> None:
        self._transport = transport
        self.lost = asyncio.Event()
        transport.source.terminated.add_done_callback(lambda _: self.lost.set())
        bound = {"device": device, "lost": self.lost}
        self.scanner_backend: type[BaseBleakScanner] = type("VirtualScanner", (_Scanner,), bound)
        self.client_backend: type[BaseBleakClient] = type("VirtualClient", (_Client,), bound)

    @classmethod
    async def open(cls, address: str) -> VirtualAdapter:
        """Plug into the ward at "HOST:PORT"; raises OSError or BleakError, ValueError elsewhere.

        Each connection is an adapter of its own; "HOST:PORT#2" only gives a second one its name.
        """
        host, _, port = address.partition("#")[0].rpartition(":")
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"a virtual adapter is on this machine alone, not on {host}")
        transport = await open_tcp_client_transport(f"{host}:{port}")
        own_address = Address.generate_static_address()
        device = Device.with_hci("gateway", own_address, transport.source, transport.sink)
        adapter = cls(device, transport)
        try:
            with _bleak_errors():
                await device.power_on()
        except BaseException:
            await adapter.close()
            raise
        return adapter

    async def close(self) -> None:
        await self._transport.close()
        await self.lost.wait()


@contextlib.contextmanager
def _bleak_errors() -> Iterator[None]:
    """Bumble's errors as bleak's, and only true cancellations as such.

    Bumble cancels what waits for an answer on a dead link; and its `asyncio.wait_for` (up to
    Python 3.11) swallows a cancellation that comes together with the answer.
    """
    task = asyncio.current_task()
    assert task is not None
    cancellations = task.cancelling()
    try:
        yield
    except BaseBumbleError as error:
        raise BleakError(str(error) or type(error).__name__) from error
    except asyncio.CancelledError as error:
        if task.cancelling() > cancellations:
            raise
        raise BleakError("device disconnected") from error
    if task.cancelling() > cancellations:
        raise asyncio.CancelledError


def _uuid_text(uuid: UUID) -> str:
    little_endian = uuid.to_bytes()
    if len(little_endian) == 2:
        return normalize_uuid_16(int.from_bytes(little_endian, "little"))
    return str(Uuid(bytes=little_endian[::-1]))


class _Scanner(BaseBleakScanner):
    device: Device
    lost: asyncio.Event

    def __init__(
        self, detection_callback: Any, service_uuids: list[str] | None, *_: Any, **__: Any
    ) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.device.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        with _bleak_errors():
            await self.device.start_scanning()

    async def stop(self) -> None:
        self.device.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        if not self.lost.is_set():  # a lost controller would never answer
            with _bleak_errors():
                await self.device.stop_scanning()

    def _on_advertisement(self, heard: Advertisement) -> None:
        lists = heard.data.get_all(
            AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS
        )
        uuids = [_uuid_text(uuid) for uuids in lists for uuid in uuids]
        if not self.is_allowed_uuid(uuids):
            return
        name = heard.data.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME)
        seen = AdvertisementData(name, {}, {}, uuids, None, heard.rssi, (heard,))
        address = heard.address.to_string(False)
        device = self.create_or_update_device(address, address, name, heard.address, seen)
        self.call_detection_callbacks(device, seen)


class _Client(BaseBleakClient):
    device: Device

    def __init__(self, address_or_ble_device: BLEDevice, **kwargs: Any) -> None:
        super().__init__(address_or_ble_device, **kwargs)
        self._peer_address: Address = address_or_ble_device.details
        self._connection: Connection | None = None

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return self._connection.att_mtu if self._connection else LEAST_MTU

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        try:
            with _bleak_errors():
                connection = await self.device.connect(
                    self._peer_address, timeout=CONNECTION_TIMEOUT_S
                )
                self._connection = connection
                connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
                peer = Peer(connection)
                await peer.request_mtu(WANTED_MTU)
                self.services = await self._discover(peer)
        except BaseException:
            await self.disconnect()
            raise

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for service in await peer.discover_services():
            bleak_service = BleakGATTService(service, service.handle, _uuid_text(service.uuid))
            found.add_service(bleak_service)
            for proxy in await service.discover_characteristics():
                properties = list(gatt_char_props_to_strs(proxy.properties))
                characteristic = BleakGATTCharacteristic(
                    proxy,
                    proxy.handle,
                    _uuid_text(proxy.uuid),
                    properties,
                    lambda: self.mtu_size - ATT_HEADER_BYTES,
                    bleak_service,
                )
                found.add_characteristic(characteristic)
                await proxy.discover_descriptors()
        return found

    def _on_disconnection(self, reason: int) -> None:
        self._connection = None
        if self._disconnected_callback:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        if self._connection:
            with _bleak_errors():
                await self._connection.disconnect()

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        with self._connected():
            return bytearray(await characteristic.obj.read_value())

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        with self._connected():
            await characteristic.obj.write_value(bytes(data), with_response=response)

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        with self._connected():
            await characteristic.obj.subscribe(lambda value: callback(bytearray(value)))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        with self._connected():
            await characteristic.obj.unsubscribe()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        if self._connection is None:
            raise BleakError("not connected")
        with _bleak_errors():
            yield

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        raise BleakError("a virtual adapter does not bond")

    async def unpair(self) -> None:
        raise BleakError("a virtual adapter does not bond")

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        with self._connected():
            return bytearray(await descriptor.obj.read_value())

    async def write_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, data: SizedBuffer
    ) -> None:
        with self._connected():
            await descriptor.obj.write_value(bytes(data), with_response=True)
