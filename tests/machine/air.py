"""Virtual sensors outside the machine, and the adapter inside it at the end of a serial line."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.hci import Address, LeFeatureMask
from bumble.link import LocalLink
from bumble.transport.common import PacketParser

from gateway.messages import DeviceId, SessionId
from gateway.radio.frame_codec import ROOT_KEY_BYTES
from gateway.radio.keyring import Keyring, create_sealing_key
from gateway.simulator.board import Board
from gateway.simulator.ecg_sources import packaged_ecg
from gateway.simulator.flash import Flash
from gateway.simulator.outbox import Outbox
from gateway.simulator.peripheral import lose_links, virtual_controller
from gateway.simulator.virtual_sensor import boot_twin
from tests.machine.frame_ids import FrameId, frame_id

ADAPTER_ADDRESS = "B8:27:EB:00:00:01"  # of the Raspberry Pi Foundation's range
SAMPLE_RATE_HZ = 250
PATIENCE_S = 60.0  # with a stranger: on a busy host discovery alone outlasts a sensor's 10 s
RING_FRAMES = 40_000  # nothing may be overwritten, however long the gateway is away

# The kernel would use them, and Bumble's virtual air does not know them.
_UNSUPPORTED = LeFeatureMask.LL_PRIVACY | LeFeatureMask.LE_EXTENDED_ADVERTISING


class Ledger(Outbox):
    """An outbox that remembers each frame that it ever held."""

    def __init__(self) -> None:
        super().__init__(RING_FRAMES)
        self._made: set[FrameId] = set()

    def add(self, session: SessionId, sequence: int, sealed: bytes, live: bool) -> None:
        self._made.add(frame_id(sealed))
        super().add(session, sequence, sealed, live)

    def acknowledged_frames(self) -> set[FrameId]:
        """Made, and no longer held: nothing is overwritten."""
        assert not self.overwritten
        return self._made - set(map(frame_id, self.frames()))


class Air(LocalLink):
    """A link whose packets carry the address that their connection has, public or random."""

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is not None and receiver is not None:
            asyncio.get_running_loop().call_soon(
                receiver.on_link_acl_data, connection.self_address, transport, data
            )


class UartAdapter(asyncio.Protocol):
    """A controller on the air whose host is a machine, over H4 on its serial line."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._controller: Controller | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self.plug_in()

    def plug_in(self) -> None:
        """A controller that knows nothing of what was before."""
        self.unplug()
        controller = virtual_controller("adapter", self._air)
        controller.public_address = Address(ADAPTER_ADDRESS, Address.PUBLIC_DEVICE_ADDRESS)
        controller.le_features &= ~_UNSUPPORTED
        controller.set_packet_sink(self)
        self._parser = PacketParser(controller)
        self._controller = controller

    def unplug(self) -> None:
        """Gone: each sensor sees its link fade."""
        if self._controller is not None:
            self._controller.set_packet_sink(None)
            lose_links(self._controller)
            self._air.remove_controller(self._controller)
            self._controller = None

    def data_received(self, data: bytes) -> None:
        if self._controller is not None:
            self._parser.feed_data(data)

    def on_packet(self, packet: bytes) -> None:
        self._transport.write(packet)

    def connection_lost(self, exc: Exception | None) -> None:
        self.unplug()


class Sensors:
    """Numbered from 1; their root keys are in the keyring that `pair` makes."""

    def __init__(self, air: Air, count: int) -> None:
        self.ledgers = [Ledger() for _ in range(count)]
        self.keys = {number: secrets.token_bytes(ROOT_KEY_BYTES) for number in range(1, count + 1)}
        self.boards = [
            _board(air, number, self.keys[number], ledger)
            for number, ledger in enumerate(self.ledgers, 1)
        ]

    def pair(self, folder: Path) -> None:
        """A keyring and the key that opens it, for the machine to copy."""
        keyring = Keyring(folder / "keyring", create_sealing_key(folder / "keyring-key"))
        for number, key in self.keys.items():
            keyring.add(DeviceId(number), key)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for board in self.boards:
                tasks.create_task(board.run(lambda: None))

    def stats(self) -> Iterator[Mapping[str, object]]:
        return (board.stat() for board in self.boards)

    @property
    def connected(self) -> list[Board]:
        return [board for board in self.boards if board.stat()["connected"]]

    @property
    def acknowledged(self) -> int:
        return sum(ledger.acknowledged for ledger in self.ledgers)

    def acknowledged_frames(self) -> set[FrameId]:
        return set().union(*(ledger.acknowledged_frames() for ledger in self.ledgers))


def _board(air: Air, number: int, root_key: bytes, ledger: Ledger) -> Board:
    return Board(
        DeviceId(number),
        root_key,
        lambda rate_hz: packaged_ecg(rate_hz or SAMPLE_RATE_HZ, loop=True, skip_s=20.0 * number),
        ledger,
        boot_twin(ledger),
        Flash(None, ""),
        air,
        mtu=247,
        speed=1.0,
        patience_s=PATIENCE_S,
    )


async def serial_line(air: Air) -> tuple[socket.socket, UartAdapter]:
    """The machine's end of an adapter's serial line, and the adapter at the other."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    _, adapter = await loop.connect_accepted_socket(lambda: UartAdapter(air), ours)
    return theirs, adapter
