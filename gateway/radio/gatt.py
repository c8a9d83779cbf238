"""The sensor's GATT table (docs/protocol.md, "GATT")."""

from __future__ import annotations

import enum

SERVICE_UUID = "b1ec0001-7a4d-4c55-9f0e-5d1c3a2e9b70"
FRAMES_UUID = "b1ec0002-7a4d-4c55-9f0e-5d1c3a2e9b70"
ACKNOWLEDGE_UUID = "b1ec0003-7a4d-4c55-9f0e-5d1c3a2e9b70"
CONTROL_UUID = "b1ec0004-7a4d-4c55-9f0e-5d1c3a2e9b70"
STATUS_UUID = "b1ec0005-7a4d-4c55-9f0e-5d1c3a2e9b70"
PROVISION_UUID = "b1ec0006-7a4d-4c55-9f0e-5d1c3a2e9b70"
FIRMWARE_UUID = "b1ec0007-7a4d-4c55-9f0e-5d1c3a2e9b70"

ATT_HEADER_BYTES = 3  # opcode and handle, in each notification, indication or write
WANTED_MTU = 517  # the largest ATT MTU of a 512-byte value
LEAST_MTU = 23  # Bluetooth Core 5.3, Vol 3, Part F, 3.2.8


class GattCharacteristic(enum.StrEnum):
    """The characteristics that carry pieces towards the gateway."""

    FRAMES = FRAMES_UUID
    CONTROL = CONTROL_UUID
    PROVISION = PROVISION_UUID
    FIRMWARE = FIRMWARE_UUID
