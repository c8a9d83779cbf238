"""The command line against a running ward."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.__main__ import main
from gateway.control.beds import bed_commands
from gateway.control.socket import SOCKET_NAME, ControlServer
from tests.ward.bench import heart
from tests.ward.conftest import open_ward
from tests.ward.test_ward import admitted, connect, stream


@pytest.fixture
def commands(tmp_path, capsys):
    """Runs command lines in a thread, against a ward with one patient whose heart stops."""

    def run(*lines: str) -> list[tuple[int, str]]:
        async def scenario() -> list[tuple[int, str]]:
            async with open_ward(tmp_path) as bench:
                link = await connect(bench)
                await admitted(bench, link)
                stream(bench, link, range(1, 40), heart(40.0, stops_at_s=20.0))
                server = ControlServer(tmp_path / SOCKET_NAME, bed_commands(bench.ward))
                await server.start()
                try:
                    return [await asyncio.to_thread(one, line) for line in lines]
                finally:
                    await server.stop()

        def one(line: str) -> tuple[int, str]:
            command, *rest = line.split("|")
            code = main([command, "--state-directory", str(tmp_path), *rest])
            printed = capsys.readouterr()
            return code, printed.out + printed.err

        return asyncio.run(scenario())

    return run


def test_alarms_are_listed_acknowledged_and_paused(commands):
    listed, acknowledged, again, paused = commands(
        "alarms",
        "alarms|acknowledge|Bed 1|asystole",
        "alarms|--json",
        "alarms|pause|--seconds|60",
    )
    assert listed[0] == 0
    assert listed[1].splitlines()[1].split()[:5] == ["Bed", "1", "asystole", "high", "active"]
    assert acknowledged == (0, "1 acknowledged\n")
    assert json.loads(again[1])[0]["state"] == "acknowledged"
    assert paused[1].startswith("silent until ")


def test_what_can_not_be_done_is_said(commands):
    bed, kind, seconds, sensor = commands(
        "alarms|acknowledge|Bed 9",
        "alarms|acknowledge|Bed 1|hiccups",
        "alarms|pause|--seconds|1000",
        "beds|assign|ecg-1|Bed 1",
    )
    assert bed == (1, "ecg-gateway: Bed 9: no such bed; there are: Bed 1\n")
    assert kind[1].startswith("ecg-gateway: hiccups: no such alarm; the kinds are: asystole, ")
    assert seconds == (1, "ecg-gateway: a pause lasts 0 to 120 seconds\n")
    assert "looks like ECG-0000002A" in sensor[1]


def test_a_bed_goes_through_its_life(commands):
    steps = commands(
        "beds|standby|Bed 1",
        "beds|resume|Bed 1",
        "beds|discharge|Bed 1",
        "beds|discharge|Bed 1",
        "beds|add|Bed 2",
        "beds|release|ECG-0000002A",
        "beds|assign|ECG-0000002A|Bed 2",
        "beds",
    )
    assert [code for code, _ in steps] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert "the bed is vacant" in steps[3][1]
    rows = [line.split() for line in steps[-1][1].splitlines()]
    assert rows[1:] == [
        ["Bed", "1", "vacant", "—", "0"],
        ["Bed", "2", "vacant", "ECG-0000002A", "0"],
    ]


def test_a_beds_limits_are_shown_changed_and_taken_back(commands):
    shown, changed, again, taken_back, vacant = commands(
        "beds|limits|Bed 1",
        "beds|limits|Bed 1|--rate-low|45|--asystole|5",
        "beds|--json|limits|Bed 1|--rate-high|130",
        "beds|--json|limits|Bed 1|--reset",
        "beds|discharge|Bed 1",
    )
    assert shown[1].splitlines()[1].split() == ["heart_rate_low_bpm", "50.0", "50.0"]
    assert changed[1].splitlines()[1].split() == ["heart_rate_low_bpm", "45.0", "50.0"]
    applies = {row["limit"]: row["applies"] for row in json.loads(again[1])}
    assert (applies["heart_rate_low_bpm"], applies["heart_rate_high_bpm"]) == (45.0, 130.0)
    assert applies["asystole_s"] == 5.0
    assert all(row["applies"] == row["house"] for row in json.loads(taken_back[1]))
    assert vacant[0] == 0


def test_limits_that_can_not_be_are_refused_with_the_reason(commands):
    out_of_bounds, crossed, nothing, unknown, left, vacant = commands(
        "beds|limits|Bed 1|--rate-low|500",
        "beds|limits|Bed 1|--rate-high|150",
        "beds|limits|Bed 1|--pause|nan",
        "beds|limits|Bed 9|--pause|2",
        "beds|discharge|Bed 1",
        "beds|limits|Bed 1|--pause|2",
    )
    said = "ecg-gateway: heart_rate_low_bpm: 500.0 must be a number from 15.0 to 120.0\n"
    assert out_of_bounds == (1, said)
    assert crossed[1] == (
        "ecg-gateway: heart_rate_high_bpm (150) must not be above "
        "heart_rate_extreme_high_bpm (140)\n"
    )
    assert "pause_s: nan must be a number from 1.5 to 10.0" in nothing[1]
    assert "Bed 9: no such bed; there are: Bed 1" in unknown[1]
    assert (left[0], vacant[1]) == (0, "ecg-gateway: Bed 1: the bed is vacant\n")


def test_sensors_are_listed(commands):
    ((code, text),) = commands("sensors")
    assert code == 0
    assert text.splitlines()[1].split()[:5] == ["ECG-0000002A", "Bed", "1", "yes", "40"]


def test_without_a_gateway_the_reason_is_said(tmp_path, capsys):
    assert main(["alarms", "--state-directory", str(tmp_path)]) == 1
    assert "no gateway is running" in capsys.readouterr().err
