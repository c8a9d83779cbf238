"""The simulator as a process of its own: what a demo and an end-to-end test start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.simulator import __main__ as simulator
from gateway.simulator.sensor_spec import SpecError, parse_spec
from tests.simulated_ward import gateway_on, root_key


@pytest.fixture
def root_keys(tmp_path: Path) -> Path:
    path = tmp_path / "root_keys.json"
    path.touch(0o600)
    path.write_text(json.dumps({f"{n:08X}": root_key(n).hex() for n in (1, 2)}))
    return path


class Simulator:
    """A running simulator, its lines and its orders."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def order(self, text: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        return await self.line()

    async def stat(self, number: int) -> dict[str, object]:
        sensors = json.loads(await self.order("stat"))["sensors"]
        return dict(sensors[number - 1])


@contextlib.asynccontextmanager
async def simulating(*arguments: str) -> AsyncIterator[Simulator]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.simulator",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Simulator(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def test_a_record_is_played_once_and_done_when_all_is_acknowledged(root_keys: Path) -> None:
    async def scenario() -> None:
        arguments = ["--root-keys", str(root_keys), "--speed", "60", "--once"]
        sensors = [
            "--sensor",
            "00000001:synthetic=normal*20",
            "--sensor",
            "00000002:synthetic=vf*9",
        ]
        async with simulating(*arguments, *sensors) as running:
            address = (await running.line()).removeprefix("listening on ")
            async with gateway_on([f"virtual:{address}"]) as (_, gateway):
                assert {await running.line(), await running.line()} == {"done 1", "done 2"}
                lengths = sorted(len(frames) for frames in gateway.frames.values())
                assert lengths == [9 * 250 // 187, 20 * 250 // 187]
                stat = await running.stat(1)
                assert (stat["sensor"], stat["held"], stat["connected"]) == (
                    "ECG-00000001",
                    0,
                    True,
                )
                assert stat["produced"] == stat["acknowledged"] == 26
            assert [await running.order("drop 1") for _ in range(2)] == ["ok", "ok"]
            assert await running.order("drop 3") == "there is no sensor '3'"
            assert (await running.order("dance 1")).startswith("unknown order")

    asyncio.run(scenario())


def test_held_frames_and_boots_outlive_the_process(root_keys: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        common = ["--root-keys", str(root_keys), "--state-dir", str(tmp_path), "--once"]
        sensor = ["--sensor", "00000001:synthetic=normal*9", "--speed", "60"]
        async with simulating(*common, *sensor) as running:
            await running.line()
            while (await running.stat(1))["held"] != 9 * 250 // 187:
                await asyncio.sleep(0.05)
            assert running.process.stdin is not None
            running.process.stdin.write(b"quit\n")
            assert await running.process.wait() == 0
        async with simulating(*common, *sensor) as running:
            address = (await running.line()).removeprefix("listening on ")
            async with gateway_on([f"virtual:{address}"]) as (_, gateway):
                assert await running.line() == "done 1"
                boots = {session.boot_id: len(frames) for session, frames in gateway.frames.items()}
                assert boots == {1: 12, 2: 12}

    asyncio.run(scenario())


def test_a_ward_ends_with_whoever_started_it(root_keys: Path) -> None:
    async def scenario() -> None:
        sensor = ["--sensor", "00000001:synthetic", "--root-keys", str(root_keys)]
        async with simulating(*sensor) as running:
            await running.line()
            assert running.process.stdin is not None
            running.process.stdin.close()
            async with asyncio.timeout(10):
                assert await running.process.wait() == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:80", "here", "127.0.0.1:x"])
def test_it_listens_on_loopback_only(address: str) -> None:
    with pytest.raises(SpecError, match="loopback"):
        simulator._loopback(address)


def test_root_keys_that_others_can_read_are_refused(root_keys: Path) -> None:
    root_keys.chmod(0o644)
    with pytest.raises(SpecError, match="chmod 600"):
        simulator._read_root_keys(root_keys, [])


def test_a_sensor_without_a_root_key_is_an_error(root_keys: Path) -> None:
    with pytest.raises(SpecError, match="00000003"):
        simulator._read_root_keys(root_keys, [parse_spec("00000003")])


def test_a_key_file_of_another_kind_is_an_error(root_keys: Path) -> None:
    for content in ("[]", "{", '{"1": 2}', '{"x": "00"}'):
        root_keys.write_text(content)
        with pytest.raises(SpecError, match="not JSON of device ids"):
            simulator._read_root_keys(root_keys, [])
