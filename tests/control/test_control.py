"""The control socket: one line asks, one answers, and nothing that comes in can harm."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.control.socket import MAX_LINE_BYTES, SOCKET_NAME, ControlRefused, ControlServer, ask


async def echo(asked):
    return asked


async def refuse(asked):
    raise ControlRefused("not today")


def serve(folder: Path, talk: Callable[[], object]) -> object:
    """What `talk`, in a thread, gets from a server in `folder`."""

    async def main() -> object:
        server = ControlServer(folder / SOCKET_NAME, {"echo": echo, "refuse": refuse})
        await server.start()
        try:
            return await asyncio.to_thread(talk)
        finally:
            await server.stop()

    return asyncio.run(main())


def say(folder: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / SOCKET_NAME))
        client.sendall(line)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").readline()


def test_an_answer_comes_back(tmp_path):
    assert serve(tmp_path, lambda: ask(tmp_path, "echo", bed="3")) == {"bed": "3"}


def test_a_refusal_says_why(tmp_path):
    def talk():
        with pytest.raises(ControlRefused, match="not today"):
            ask(tmp_path, "refuse")

    serve(tmp_path, talk)


def test_only_the_owner_may_open_the_socket(tmp_path):
    mode = serve(tmp_path, lambda: (tmp_path / SOCKET_NAME).stat().st_mode & 0o777)
    assert mode == 0o600
    assert not (tmp_path / SOCKET_NAME).exists()


def test_a_socket_that_was_left_behind_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET_NAME))
    assert serve(tmp_path, lambda: ask(tmp_path, "echo")) == {}


def test_no_gateway_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ControlRefused, match="no gateway is running"):
        ask(tmp_path, "echo")


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"3\n", b'{"command": "fly"}\n', b'{"command": []}\n', b"\xff\n"]
)
def test_nonsense_is_answered_with_an_error(tmp_path, line):
    answer = json.loads(serve(tmp_path, lambda: say(tmp_path, line)))
    assert answer == {"error": "not a command of this gateway"}


def test_a_line_without_end_is_dropped(tmp_path):
    def talk():
        answer = say(tmp_path, b"x" * (2 * MAX_LINE_BYTES))
        return answer, ask(tmp_path, "echo")

    assert serve(tmp_path, talk) == (b"", {})
