"""The virtual ward: sensors on one virtual air, and a TCP port that is a row of adapters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial

from bumble.link import LocalLink
from bumble.transport.common import PacketParser

from gateway.simulator.board import Board
from gateway.simulator.peripheral import lose_links, virtual_controller


class AdapterPort(asyncio.Protocol):
    """One TCP client: a controller on the virtual air, for as long as the client lives."""

    def __init__(self, link: LocalLink, open_ports: set[AdapterPort]) -> None:
        self._link = link
        self._open_ports = open_ports
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._controller = virtual_controller("adapter", self._link)
        self._controller.set_packet_sink(_TransportSink(transport))
        self._parser = PacketParser(self._controller)
        self._open_ports.add(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The gateway died, or closed: its sensors see the link fade."""
        self._controller.set_packet_sink(None)
        lose_links(self._controller)
        self._link.remove_controller(self._controller)
        self._open_ports.discard(self)
        self._closed.set()

    async def close(self) -> None:
        self._transport.abort()
        await self._closed.wait()


class _TransportSink:
    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def on_packet(self, packet: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(packet)


class Ward:
    """Sensors, numbered from 1 in their order, and the orders that a test may give them."""

    def __init__(self, link: LocalLink, boards: Sequence[Board]) -> None:
        self._link = link
        self._boards = boards
        self._ports: set[AdapterPort] = set()

    async def run(
        self,
        host: str,
        port: int,
        on_listening: Callable[[int], None],
        on_done: Callable[[int], None],
    ) -> None:
        """Serve adapters at the port (0: any) until cancelled; tells which sensor is done."""
        server = await asyncio.get_running_loop().create_server(
            lambda: AdapterPort(self._link, self._ports), host, port
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, board in enumerate(self._boards, 1):
                    tasks.create_task(board.run(partial(on_done, number)))
                on_listening(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            for adapter in list(self._ports):
                await adapter.close()
            for board in self._boards:
                board.save()

    async def obey(self, order: str) -> str:
        """Do `drop N`, `linkloss N`, `reboot N`, `button N` or `stat`; gives a line of answer."""
        word, _, number = order.partition(" ")
        if word == "stat":
            return json.dumps({"sensors": [board.stat() for board in self._boards]})
        if not number.isdecimal() or not 1 <= int(number) <= len(self._boards):
            return f"there is no sensor {number!r}"
        board = self._boards[int(number) - 1]
        match word:
            case "drop":
                await board.radio.drop()
            case "linkloss":
                board.radio.lose_link()
            case "reboot":
                board.reboot()
            case "button":
                board.press_button()
            case _:
                return f"unknown order {word!r}: drop N, linkloss N, reboot N, button N, stat, quit"
        return "ok"
