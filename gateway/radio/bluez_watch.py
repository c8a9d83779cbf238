"""Tells when BlueZ has ended a scan: bleak does not, and its scanner hears nothing any more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from dbus_fast import AuthError, BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from gateway.radio.ble_retries import RadioError, RadioFailure
from gateway.radio.bleak_port import radio_call

_ADAPTER_INTERFACE = "org.bluez.Adapter1"
_BUS = "org.freedesktop.DBus"


@contextlib.asynccontextmanager
async def watching_bluez(adapter: str, on_lost: Callable[[], None]) -> AsyncIterator[None]:
    """Call `on_lost` when bluetoothd ends, or the adapter is unplugged or switched off.

    Each of these ends every scan on it, and another has to be asked for. Raises RadioError.
    """

    def on_message(message: Message) -> None:
        if _ends_scans(message):
            on_lost()

    bus = MessageBus(bus_type=BusType.SYSTEM)
    bus.add_message_handler(on_message)
    try:
        async with radio_call():
            await _listen(bus, f"/org/bluez/{adapter}")
        yield
    finally:
        bus.disconnect()


async def _listen(bus: MessageBus, path: str) -> None:
    try:
        await bus.connect()
    except AuthError as error:
        raise RadioError(RadioFailure.ADAPTER_DOWN, str(error)) from error
    for rule in (
        f"sender={_BUS},member=NameOwnerChanged,arg0=org.bluez",
        f"sender=org.bluez,member=InterfacesRemoved,arg0path={path}",
        f"sender=org.bluez,member=PropertiesChanged,path={path},arg0={_ADAPTER_INTERFACE}",
    ):
        await _add_match(bus, f"type=signal,{rule}")


async def _add_match(bus: MessageBus, rule: str) -> None:
    reply = await bus.call(
        Message(_BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", signature="s", body=[rule])
    )
    if reply.message_type is MessageType.ERROR:
        raise RadioError(RadioFailure.OTHER, f"{reply.error_name}: {reply.body}")


def _ends_scans(message: Message) -> bool:
    match message.member:
        case "NameOwnerChanged":
            _, old_owner, _ = message.body
            return bool(old_owner)
        case "InterfacesRemoved":
            _, interfaces = message.body
            return _ADAPTER_INTERFACE in interfaces
        case "PropertiesChanged":
            _, changed, _ = message.body
            return "Powered" in changed and not changed["Powered"].value
    return False
