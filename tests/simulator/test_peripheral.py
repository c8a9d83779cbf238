"""The virtual sensor's GATT table, as any Bluetooth client sees it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bleak import BleakClient, BleakScanner

from gateway.radio.gatt import SERVICE_UUID
from gateway.radio.message_codec import SensorStatus
from gateway.simulator.peripheral import MODEL_NUMBER
from gateway.simulator.virtual_adapter import VirtualAdapter
from gateway.simulator.virtual_sensor import BATTERY_PERCENT
from tests.simulated_ward import SimulatedWard

MODEL_NUMBER_UUID = "00002a24-0000-1000-8000-00805f9b34fb"
FIRMWARE_REVISION_UUID = "00002a26-0000-1000-8000-00805f9b34fb"
BATTERY_LEVEL_UUID = "00002a19-0000-1000-8000-00805f9b34fb"
STATUS_UUID = "b1ec0005-7a4d-4c55-9f0e-5d1c3a2e9b70"


def test_the_standard_services_agree_with_the_status() -> None:
    async def scenario() -> tuple[str, str, int, SensorStatus]:
        ward = SimulatedWard()
        board = ward.add(1)
        updated = replace(SensorStatus.decode(board.status()), firmware_version=(4, 5, 6))
        board.status = updated.encode
        async with ward.open():
            adapter = await VirtualAdapter.open(ward.adapter.removeprefix("virtual:"))
            device = await BleakScanner.find_device_by_filter(
                lambda _, advertisement: SERVICE_UUID in advertisement.service_uuids,
                backend=adapter.scanner_backend,
            )
            assert device is not None
            async with BleakClient(device, backend=adapter.client_backend) as client:
                model = await client.read_gatt_char(MODEL_NUMBER_UUID)
                firmware = await client.read_gatt_char(FIRMWARE_REVISION_UUID)
                battery = await client.read_gatt_char(BATTERY_LEVEL_UUID)
                status = await client.read_gatt_char(STATUS_UUID)
            await adapter.close()
            return model.decode(), firmware.decode(), battery[0], SensorStatus.decode(bytes(status))

    model, firmware, battery, status = asyncio.run(scenario())
    assert model == MODEL_NUMBER
    assert firmware == "4.5.6"
    assert status.firmware_version == (4, 5, 6)
    assert battery == status.battery_percent == BATTERY_PERCENT
