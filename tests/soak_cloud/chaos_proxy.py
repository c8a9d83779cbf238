"""A TCP proxy that cuts, delays, repeats bytes and answers nonsense."""

from __future__ import annotations

import asyncio
import random
import threading

CHUNK = 4096
LONGEST_DELAY_S = 0.3
# chances for each connection: it is cut after some bytes, of one way or the other; its answer is
# nonsense; some of its bytes come twice; the rest lives
CUT, NONSENSE, REPEAT = 0.5, 0.1, 0.1


class ChaosProxy:
    """On a thread of its own. `calm` lets everything through; `closed` lets nothing in."""

    def __init__(self, upstream_port: int, seed: int) -> None:
        self.closed = True
        self.calm = False
        self.connections = 0
        self.cuts = 0
        self._upstream_port = upstream_port
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._listening.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0)
        )
        self.port: int = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()

    async def _connection(self, down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.connections += 1
        fate = self._random.random()
        if self.closed:
            back.close()
            return
        if not self.calm and fate < NONSENSE:
            back.write(self._random.randbytes(200))
            back.close()
            return
        try:
            up, forth = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            back.close()
            return
        await self._pass_on(fate, down, forth, up, back)

    async def _pass_on(
        self,
        fate: float,
        down: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
        up: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        budget = {True: -1, False: -1}  # bytes until the cut, by whether they go to the broker
        if not self.calm and fate < NONSENSE + CUT:
            budget[self._random.random() < 0.5] = self._random.randint(500, 30_000)
        repeats = not self.calm and NONSENSE + CUT <= fate < NONSENSE + CUT + REPEAT
        ways = [
            asyncio.create_task(self._pump(down, forth, budget[True], repeats)),
            asyncio.create_task(self._pump(up, back, budget[False], False)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for writer in (forth, back):
            writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, budget: int, repeats: bool
    ) -> None:
        try:
            while chunk := await source.read(CHUNK):
                if not self.calm and self._random.random() < 0.05:
                    await asyncio.sleep(LONGEST_DELAY_S * self._random.random())
                if budget >= 0 and (budget := budget - len(chunk)) < 0:
                    self.cuts += 1
                    return
                sink.write(chunk)
                if repeats and self._random.random() < 0.05:
                    sink.write(chunk)
                await sink.drain()
        except OSError:
            return
