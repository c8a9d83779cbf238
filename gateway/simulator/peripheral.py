"""A Bumble GATT server: the radio of a virtual sensor, on the ward's virtual air."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.data_types import CompleteListOf128BitServiceUUIDs, CompleteLocalName, Flags
from bumble.device import Connection, Device
from bumble.gatt import (
    GATT_DEVICE_INFORMATION_SERVICE,
    GATT_FIRMWARE_REVISION_STRING_CHARACTERISTIC,
    GATT_MODEL_NUMBER_STRING_CHARACTERISTIC,
    Characteristic,
    CharacteristicValue,
    Service,
)
from bumble.hci import Address, HCI_ErrorCode
from bumble.link import LocalLink
from bumble.profiles.battery_service import BatteryService

from gateway.messages import DeviceId
from gateway.radio.gatt import (
    ACKNOWLEDGE_UUID,
    ATT_HEADER_BYTES,
    CONTROL_UUID,
    FIRMWARE_UUID,
    FRAMES_UUID,
    PROVISION_UUID,
    SERVICE_UUID,
    STATUS_UUID,
)
from gateway.radio.message_codec import MAX_MESSAGE_BYTES
from gateway.radio.pieces import Reassembler, cut
from gateway.simulator.virtual_sensor import BATTERY_PERCENT

MODEL_NUMBER = "virtual ECG sensor"
ADVERTISING_INTERVAL_MS = 100
ACL_BYTES = 251  # what an ESP32 with data length extension offers; Bumble's default is 27

_FRAME_COUNTER_AT = 28  # the low byte of the sequence, and of a sealed message's counter
_MESSAGE_COUNTER_AT = 1
_FLAGS = AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE | (
    AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
)


def virtual_controller(name: str, link: LocalLink) -> Controller:
    """A controller on the virtual air, with packets as long as the real ones."""
    controller = Controller(name, link=link)
    controller.le_acl_data_packet_length = ACL_BYTES
    controller.supported_max_tx_octets = controller.supported_max_rx_octets = ACL_BYTES
    return controller


def lose_links(controller: Controller) -> None:
    """Out of range: both sides of each link see a supervision timeout.

    Bumble's virtual air has no such timeout of its own.
    """
    link = controller.link
    for connection in list(controller.le_connections.values()):
        peer = link.find_le_controller(connection.peer_address)
        controller.on_le_disconnected(connection, HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
        if peer and (other := peer.le_connections.get(connection.self_address)):
            peer.on_le_disconnected(other, HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)


class RadioOwner(Protocol):
    """What the radio tells, and asks of, the sensor that it belongs to."""

    def status(self) -> bytes: ...

    def firmware_version(self) -> str: ...

    def on_connected(self) -> None: ...

    def on_disconnected(self) -> None: ...

    def on_message(self, message: bytes) -> None:
        """A whole message arrived on acknowledge or control."""
        ...

    def on_provision(self, message: bytes) -> None: ...

    def on_update(self, message: bytes) -> None:
        """A whole message arrived on firmware."""
        ...


class Peripheral:
    """Advertises while it is free, and serves one central at a time."""

    def __init__(self, link: LocalLink, device_id: DeviceId, mtu: int, owner: RadioOwner) -> None:
        name = f"{device_id:08X}"
        self._link = link
        self._owner = owner
        self._controller = virtual_controller(name, link)
        address = Address("F0:EC:" + ":".join(name[at : at + 2] for at in range(0, 8, 2)))
        self._device = Device.with_hci(name, address, self._controller, self._controller)
        self._device.gatt_server.max_mtu = mtu
        self._device.advertising_data = _advertising_data(name)
        self._connection: Connection | None = None
        self._reassemblers: list[Reassembler] = []
        self._provision_count = 0
        self.wants_frames = False
        self._add_services()
        self._device.on(Device.EVENT_CONNECTION, self._on_connection)

    async def power_on(self) -> None:
        await self._device.power_on()
        await self._advertise()

    def power_off(self) -> None:
        """Leave the air: the link fades, and nobody hears the sensor any more."""
        self.lose_link()
        self._link.remove_controller(self._controller)
        # Bumble would go on advertising on the old one, and gives this no annotation
        self._controller.link = LocalLink()  # type: ignore[no-untyped-call]

    async def send_frame(self, sealed: bytes) -> None:
        """Notify a frame; returns when the radio has taken it. Nothing is sent without a link."""
        for piece in self._cut(sealed, sealed[_FRAME_COUNTER_AT]):
            if self._connection:
                await self._device.notify_subscriber(self._connection, self._frames, piece)
        if self._connection:
            await self._connection.drain()

    async def indicate(self, message: bytes) -> None:
        """Indicate a sealed message on control; each piece waits for the central."""
        for piece in self._cut(message, message[_MESSAGE_COUNTER_AT]):
            if self._connection:
                await self._device.indicate_subscriber(self._connection, self._control, piece)

    async def indicate_update(self, message: bytes) -> None:
        """Indicate the sealed answer to an update's message on firmware."""
        for piece in self._cut(message, message[_MESSAGE_COUNTER_AT]):
            if self._connection:
                await self._device.indicate_subscriber(self._connection, self._firmware, piece)

    async def indicate_provision(self, message: bytes) -> None:
        """Indicate a message of the pairing handshake; they are counted from the connection on."""
        for piece in self._cut(message, self._provision_count):
            if self._connection:
                await self._device.indicate_subscriber(self._connection, self._provision, piece)
        self._provision_count += 1

    async def notify_status(self) -> None:
        if self._connection:
            status = self._owner.status()[: self._connection.att_mtu - ATT_HEADER_BYTES]
            await self._device.notify_subscriber(self._connection, self._status, status)

    async def drop(self) -> None:
        """End the link from the sensor's side, unless the central was faster."""
        if self._connection:
            with contextlib.suppress(BaseBumbleError):
                await self._connection.disconnect()

    def lose_link(self) -> None:
        lose_links(self._controller)

    def _cut(self, message: bytes, low_byte: int) -> list[bytes]:
        if self._connection is None:
            return []
        return cut(message, self._connection.att_mtu - ATT_HEADER_BYTES, low_byte)

    def _add_services(self) -> None:
        properties = Characteristic.Properties
        readable, writeable = Characteristic.READABLE, Characteristic.WRITEABLE
        self._frames = Characteristic[bytes](FRAMES_UUID, properties.NOTIFY, readable)
        self._control = Characteristic[bytes](
            CONTROL_UUID,
            properties.WRITE | properties.INDICATE,
            writeable,
            self._gathering(lambda message: self._owner.on_message(message)),
        )
        self._provision = Characteristic[bytes](
            PROVISION_UUID,
            properties.WRITE | properties.INDICATE,
            writeable,
            self._gathering(lambda message: self._owner.on_provision(message)),
        )
        self._firmware = Characteristic[bytes](
            FIRMWARE_UUID,
            properties.WRITE_WITHOUT_RESPONSE | properties.INDICATE,
            writeable,
            self._gathering(self._owner.on_update),
        )
        self._status = Characteristic[bytes](
            STATUS_UUID,
            properties.READ | properties.NOTIFY,
            readable,
            CharacteristicValue(read=lambda _: self._owner.status()),
        )
        acknowledge = Characteristic[bytes](
            ACKNOWLEDGE_UUID,
            properties.WRITE_WITHOUT_RESPONSE,
            writeable,
            self._gathering(lambda message: self._owner.on_message(message)),
        )
        self._frames.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        table = [
            self._frames,
            acknowledge,
            self._control,
            self._status,
            self._provision,
            self._firmware,
        ]
        model = Characteristic[bytes](
            GATT_MODEL_NUMBER_STRING_CHARACTERISTIC,
            properties.READ,
            readable,
            MODEL_NUMBER.encode(),
        )
        firmware = Characteristic[bytes](
            GATT_FIRMWARE_REVISION_STRING_CHARACTERISTIC,
            properties.READ,
            readable,
            CharacteristicValue(read=lambda _: self._owner.firmware_version().encode()),
        )
        self._device.add_services(
            [
                Service(SERVICE_UUID, table),
                Service(GATT_DEVICE_INFORMATION_SERVICE, [model, firmware]),
                BatteryService(lambda _: BATTERY_PERCENT),
            ]
        )

    def _gathering(self, on_message: Callable[[bytes], None]) -> CharacteristicValue[bytes]:
        reassembler = Reassembler(MAX_MESSAGE_BYTES)
        self._reassemblers.append(reassembler)

        def on_write(_: Connection, piece: bytes) -> None:
            now_s = asyncio.get_running_loop().time()
            message = reassembler.push(bytes(piece), now_s)
            if message is not None:
                on_message(message)

        return CharacteristicValue(write=on_write)

    async def _advertise(self) -> None:
        await self._device.start_advertising(
            auto_restart=True,
            advertising_interval_min=ADVERTISING_INTERVAL_MS,
            advertising_interval_max=ADVERTISING_INTERVAL_MS,
        )

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        self._provision_count = 0
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        self._owner.on_connected()

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self.wants_frames = False
        for reassembler in self._reassemblers:
            reassembler.drop()
        self._owner.on_disconnected()

    def _on_subscription(self, _: Connection, notify: bool, _indicate: bool) -> None:
        self.wants_frames = notify


def _advertising_data(name: str) -> bytes:
    """Flags, service and name: 31 bytes, all that an advertisement holds."""
    return bytes(
        AdvertisingData(
            [
                Flags(_FLAGS),
                CompleteListOf128BitServiceUUIDs([UUID(SERVICE_UUID)]),
                CompleteLocalName(name),
            ]
        )
    )
