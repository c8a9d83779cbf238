"""The firmware's own core in the place of its Python twin."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.messages import DeviceId, FrameFlags, SessionId
from gateway.radio.frame_codec import derive_frame_key, open_frame, read_header
from gateway.radio.message_codec import (
    Acknowledgement,
    Answer,
    AnswerCode,
    Command,
    Direction,
    MessageKey,
    MessageType,
    SensorStatus,
    StatusFlags,
    decode_held_report,
)
from gateway.simulator import c_core
from gateway.simulator.c_core import CCore, CSensor
from gateway.simulator.outbox import LEAST_HELD_FRAMES, Outbox
from gateway.simulator.sensor_core import CoreError, SensorIdentity
from gateway.simulator.virtual_sensor import VirtualSensor
from tests.simulated_ward import gateway_on, root_key

ROOT_KEY = bytes(range(32))
STEPS = np.arange(-93, 94, dtype=np.int16)
HELD_LIMIT = LEAST_HELD_FRAMES + 200


@pytest.fixture
def core() -> CCore:
    return CCore(HELD_LIMIT)


def boot(core: CCore, boot_id: int = 1) -> CSensor:
    return core.boot(SensorIdentity(DeviceId(42), boot_id, ROOT_KEY), 250, 10.0)


def say(sensor: CSensor | VirtualSensor, kind: MessageType, counter: int, payload: bytes = b""):
    key = MessageKey(ROOT_KEY, sensor.session, Direction.DOWN)
    up = MessageKey(ROOT_KEY, sensor.session, Direction.UP)
    return [up.open(reply) for reply in sensor.received(key.seal(kind, counter, payload), 7.0)]


def sequences(frames: Iterator[bytes] | list[bytes]) -> list[int]:
    return [read_header(sealed).sequence for sealed in frames]


def test_frames_open_to_what_was_sampled(core: CCore) -> None:
    sensor = boot(core)
    sensor.sampled(STEPS, FrameFlags.CLIPPED, 123)
    (sealed,) = core.frames()
    frame = open_frame(derive_frame_key(ROOT_KEY, sensor.session), sealed)
    assert (frame.sequence, frame.flags, frame.device_time_us) == (0, FrameFlags.CLIPPED, 123)
    assert frame.sample_rate_hz == 250
    assert np.array_equal(frame.steps, STEPS)


def test_a_restart_finds_all_frames_again_under_their_old_names(core: CCore) -> None:
    first = boot(core)
    for _ in range(3):
        first.sampled(STEPS, FrameFlags(0), 0)
    before, session = list(core.frames()), first.session
    second = boot(core, boot_id=2)
    assert list(core.frames()) == before
    assert second.session != session
    second.connected(0.0)
    report = say(second, MessageType.REQUEST_STATUS, 1)[1]
    rows = decode_held_report(report.payload)
    assert [(row.salt, row.oldest, row.next) for row in rows] == [
        (session.salt, 0, 3),
        (second.session.salt, 0, 0),
    ]


def test_commands_are_answered(core: CCore) -> None:
    sensor = boot(core)
    answer, _ = say(sensor, MessageType.REQUEST_STATUS, 1)
    status = Answer.decode(answer.payload).body
    assert status == sensor.status()
    decoded = SensorStatus.decode(status)
    assert decoded.session == sensor.session
    assert decoded.flags == StatusFlags.PROVISIONED | StatusFlags.SAMPLING
    command = Command.set_sample_rate(500)
    (answer,) = say(sensor, command.type, 2, command.argument)
    assert Answer.decode(answer.payload).code is AnswerCode.DONE
    assert (sensor.sample_rate_hz, sensor.frame_period_s) == (500, 187 / 500)


def test_noise_is_counted_over_boots(core: CCore) -> None:
    for boot_id in (1, 2):
        sensor = boot(core, boot_id)
        assert sensor.received(bytes(50), 0.0) == []
        assert sensor.refusals == boot_id


def test_a_stranger_is_dropped(core: CCore) -> None:
    sensor = boot(core)
    sensor.connected(1.0)
    assert not sensor.must_drop(10.9)
    assert sensor.must_drop(11.0)
    sensor.disconnected()
    assert not sensor.must_drop(99.0)


def test_a_frame_given_up_is_counted_and_reported(core: CCore) -> None:
    sensor = boot(core)
    sensor.connected(0.0)
    say(sensor, MessageType.REQUEST_STATUS, 1)
    assert sensor.overdue_report() == []
    for _ in range(HELD_LIMIT + 1):
        sensor.sampled(STEPS, FrameFlags(0), 0)
    (report,) = sensor.overdue_report()
    key = MessageKey(ROOT_KEY, sensor.session, Direction.UP)
    (row,) = decode_held_report(key.open(report).payload)
    assert core.overwritten == row.oldest == 8  # a sector of the flash


def test_held_frames_of_a_former_run_are_taken_over(core: CCore) -> None:
    sensor = boot(core)
    sensor.sampled(STEPS, FrameFlags(0), 0)
    other = CCore(HELD_LIMIT)
    for sealed in core.frames():
        other.add(sensor.session, 0, sealed, live=False)
    boot(other, boot_id=2)
    assert list(other.frames()) == list(core.frames())


def test_twin_and_core_say_the_same(core: CCore) -> None:
    """The same events, drawn at random: the same frames go out, and the same is held."""
    outbox = Outbox(LEAST_HELD_FRAMES + 200)
    twin = VirtualSensor(SensorIdentity(DeviceId(42), 1, ROOT_KEY), 250, outbox, bytes)
    sensor = boot(core)
    draw = np.random.default_rng(7)
    now_s, made, received = 100.0, 0, set[int]()
    for counter in range(1, 400):
        now_s += float(draw.integers(0, 4)) / 4
        match draw.integers(0, 6):
            case 0 | 1:
                for each in (twin, sensor):
                    each.sampled(STEPS, FrameFlags(0), 0)
                made += 1
            case 2:
                for each in (twin, sensor):
                    each.connected(now_s)
            case 3 if draw.integers(0, 5) == 0:
                for each in (twin, sensor):
                    each.disconnected()
            case 4:
                next_expected = next(n for n in range(made + 1) if n not in received)
                for each in (twin, sensor):
                    acknowledge(each, next_expected, counter, now_s)
        sent = sequences(outbox.take(now_s, 0.748))
        assert sequences(core.take(now_s, 0.748)) == sent
        received |= {sequence for sequence in sent if draw.integers(0, 3)}
        assert sequences(core.frames()) == sequences(outbox.frames())
        assert (core.held, core.acknowledged, core.resent) == (
            outbox.held,
            outbox.acknowledged,
            outbox.resent,
        )
    assert core.acknowledged > 50


def acknowledge(
    sensor: CSensor | VirtualSensor, next_expected: int, counter: int, now_s: float
) -> None:
    session: SessionId = sensor.session
    payload = Acknowledgement(session.boot_id, session.salt, next_expected).encode()
    key = MessageKey(ROOT_KEY, session, Direction.DOWN)
    sensor.received(key.seal(MessageType.ACKNOWLEDGEMENT, counter, payload), now_s)


def test_the_simulator_runs_the_c_core_over_the_virtual_radio(tmp_path: Path) -> None:
    keys = tmp_path / "root_keys.json"
    keys.touch(0o600)
    keys.write_text(json.dumps({"00000001": root_key(1).hex()}))

    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.simulator", "--core", "c", "--speed", "40", "--once"),
            *("--root-keys", str(keys), "--sensor", "00000001:synthetic=normal*240,mtu=100"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        try:
            async with gateway_on([address.replace("listening on ", "virtual:")]) as (_, gateway):
                await gateway.until(lambda: gateway.frames_received > 10)
                process.stdin.write(b"drop 1\nreboot 1\n")
                assert [(await process.stdout.readline()).decode() for _ in "12"] == ["ok\n"] * 2
                assert (await process.stdout.readline()).decode() == "done 1\n"
                assert len(gateway.frames) == 2  # sessions: before the restart, and after it
                assert sum(map(len, gateway.frames.values())) == 240 * 250 // 187
        finally:
            process.terminate()
            await process.communicate()

    asyncio.run(scenario())


def test_without_sources_or_a_compiler_the_error_says_what_to_do(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(c_core.shutil, "which", lambda _: None)
    with pytest.raises(CoreError, match="libmbedtls-dev"):
        c_core.load_core()
    monkeypatch.undo()
    monkeypatch.setattr(c_core, "FIRMWARE", tmp_path)
    with pytest.raises(CoreError, match="sources"):
        c_core.load_core()
