"""The local way in for the command line: one JSON line asks, one answers, over a Unix socket.

Who may open the socket file may command the gateway, so it belongs to the gateway's user alone.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

MAX_LINE_BYTES = 64 * 1024  # a ward's whole alarm history of a day fits
TIMEOUT_S = 10.0  # a command waits for its commit; a disk that needs longer is an error
SOCKET_NAME = "control.sock"

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Arguments: TypeAlias = "dict[str, Json]"
Handler = Callable[[Arguments], Awaitable[Json]]


class ControlRefused(Exception):
    """The command can't be done; the message is for the person who gave it."""


class NoGateway(ControlRefused):
    """None is running with its state in that directory."""


class NoAnswer(ControlRefused):
    """It was asked, and what came of it is not known."""


class ControlServer:
    """Answers commands by name until it is closed."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket file that an ended gateway left behind is replaced."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, self._path, limit=MAX_LINE_BYTES
        )
        self._path.chmod(0o600)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._answer(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError, TimeoutError):
            pass  # a line without an end, or a client that went away: nobody waits for an answer
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Arguments:
        try:
            request = json.loads(line)
            handler = self._handlers[request.pop("command")]
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"error": "not a command of this gateway"}
        try:
            return {"result": await handler(request)}
        except ControlRefused as refused:
            return {"error": str(refused)}


def ask(state_directory: Path, command: str, **arguments: Json) -> Json:
    """Ask the running gateway; raises ControlRefused with its reason, NoGateway, NoAnswer."""
    path = state_directory / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT_S)
        try:
            client.connect(str(path))
            client.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            with client.makefile("rb") as stream:
                line = stream.readline(MAX_LINE_BYTES * 16)
            if not line:
                raise ConnectionError("it closed the connection")
            answer = json.loads(line)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoGateway(f"no gateway is running with its state in {state_directory}") from error
        except TimeoutError as error:
            raise NoAnswer(f"the gateway did not answer within {TIMEOUT_S:g} s") from error
        except (OSError, ValueError) as error:
            raise NoAnswer(f"the gateway did not answer: {error}") from error
    if "error" in answer:
        raise ControlRefused(answer["error"])
    result: Json = answer["result"]
    return result
