"""Each kind of failure has its own first delays, which double and are jittered."""

from __future__ import annotations

import asyncio

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.radio.ble_retries import BACKOFFS, RadioError, RadioFailure, retry_delay_s
from gateway.radio.bleak_port import classify, radio_call


@pytest.mark.parametrize(
    ("failure", "delays_s"),
    [
        (RadioFailure.BUSY, [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]),
        (RadioFailure.RACE, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]),
        (RadioFailure.VANISHED, [1.0, 2.0, 4.0, 8.0, 8.0]),
        (RadioFailure.TIMEOUT, [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (RadioFailure.ADAPTER_DOWN, [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (RadioFailure.NOT_A_SENSOR, [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 600.0]),
        (RadioFailure.OTHER, [2.0, 4.0, 8.0, 16.0, 30.0]),
    ],
)
def test_first_delays(failure: RadioFailure, delays_s: list[float]) -> None:
    attempts = range(1, len(delays_s) + 1)
    assert [retry_delay_s(failure, attempt, 0.0) for attempt in attempts] == delays_s


@settings(deadline=None)
@given(
    st.sampled_from(RadioFailure),
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_bounded_and_jittered_upwards(
    failure: RadioFailure, attempt: int, jitter: float
) -> None:
    plain_s = retry_delay_s(failure, attempt, 0.0)
    assert plain_s <= retry_delay_s(failure, attempt, jitter) <= 1.5 * BACKOFFS[failure].longest_s


def dbus(name: str, text: str = "") -> BleakDBusError:
    return BleakDBusError(name, [text])


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TimeoutError(), RadioFailure.TIMEOUT),
        (EOFError(), RadioFailure.ADAPTER_DOWN),
        (ConnectionResetError(), RadioFailure.ADAPTER_DOWN),
        (
            BleakBluetoothNotAvailableError("", BleakBluetoothNotAvailableReason.POWERED_OFF),
            RadioFailure.ADAPTER_DOWN,
        ),
        (dbus("org.bluez.Error.NotReady", "Resource Not Ready"), RadioFailure.ADAPTER_DOWN),
        (dbus("org.freedesktop.DBus.Error.NoReply"), RadioFailure.ADAPTER_DOWN),
        (dbus("org.bluez.Error.InProgress", "In Progress"), RadioFailure.BUSY),
        (dbus("org.bluez.Error.Failed", "le-connection-abort-by-local"), RadioFailure.RACE),
        (BleakError("failed to discover services, device disconnected"), RadioFailure.RACE),
        (BleakError("Not connected"), RadioFailure.RACE),
        (BleakError("Service Discovery has not been performed yet"), RadioFailure.RACE),
        (AssertionError(), RadioFailure.RACE),
        (dbus("org.freedesktop.DBus.Error.UnknownObject"), RadioFailure.VANISHED),
        (BleakDeviceNotFoundError("F0:EC"), RadioFailure.VANISHED),
        (BleakCharacteristicNotFoundError("b1ec"), RadioFailure.NOT_A_SENSOR),
        (BleakError("what nobody has seen"), RadioFailure.OTHER),
    ],
)
def test_each_error_has_its_kind(error: Exception, failure: RadioFailure) -> None:
    assert classify(error) is failure


@pytest.mark.parametrize(
    "text",
    ["Device F0:EC:00:00:12:34 was not found", "no /org/bluez/hci0/dev_F0_EC_00_00_12_34/service"],
)
def test_a_whole_address_is_in_no_error(text: str) -> None:
    async def fail() -> None:
        async with radio_call():
            raise BleakError(text)

    with pytest.raises(RadioError) as caught:
        asyncio.run(fail())
    assert "F0" not in str(caught.value)
    assert caught.value.detail.count("12") == 1  # the end of it stays, as in the link's name


def test_a_call_has_its_time() -> None:
    async def wait() -> None:
        async with radio_call(0.01):
            await asyncio.Event().wait()

    with pytest.raises(RadioError) as caught:
        asyncio.run(wait())
    assert caught.value.failure is RadioFailure.TIMEOUT
