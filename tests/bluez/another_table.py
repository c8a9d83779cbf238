"""A sensor that comes back with one more GATT service before its own: each handle has moved."""

from __future__ import annotations

from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from gateway.messages import DeviceId
from gateway.radio.gatt import WANTED_MTU
from gateway.simulator.board import Board
from gateway.simulator.peripheral import Peripheral
from tests.machine.air import Air

NEW_SERVICE = UUID("0b1e0001-7f4a-4b9e-8c55-5a3c9d0e4f10")
NEW_VALUE = UUID("0b1e0002-7f4a-4b9e-8c55-5a3c9d0e4f10")


class _LaterFirmware(Peripheral):
    def _add_services(self) -> None:
        value = Characteristic[bytes](
            NEW_VALUE, Characteristic.Properties.READ, Characteristic.READABLE, b"new"
        )
        self._device.add_services([Service(NEW_SERVICE, [value])])
        super()._add_services()


async def give_another_table(board: Board, device_id: DeviceId, air: Air) -> None:
    """The later firmware, or the earlier one where it has that."""
    kind = Peripheral if isinstance(board.radio, _LaterFirmware) else _LaterFirmware
    board.radio.power_off()
    board.radio = kind(air, device_id, WANTED_MTU, board)
    await board.radio.power_on()
