"""A sensor is updated over the virtual radio while it is monitored, with a cut in mid-transfer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from Crypto.PublicKey import ECC

from gateway.messages import DeviceId
from gateway.store.reader import Reader
from tests.end_to_end.processes import (
    AUTO_ADMIT,
    Gateway,
    LineReader,
    Simulator,
    free_port,
    pair,
    wait_until,
)
from tests.firmware_image import SIGNER, image

pytestmark = pytest.mark.timeout(600)

SPEED = 5.0
SIZE = 150_000  # three blocks of flash
PATIENCE_S = 120.0


@dataclass(frozen=True)
class House:
    """A gateway, a sensor with a steady rhythm, and the command line beside them."""

    folder: Path
    gateway: Gateway
    simulator: Simulator

    def update(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "sensors"),
                *("--state-directory", str(self.folder / "state"), "update", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of an update."""
        process = self.update(*arguments)
        output, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output

    def image(self, name: str, *arguments: object, **named: object) -> str:
        path = self.folder / name
        path.write_bytes(image(*arguments, **named).encode())  # type: ignore[arg-type]  # its own
        return str(path)

    @property
    def sensor(self) -> dict:
        (sensor,) = self.simulator.sensors()
        return dict(sensor)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    keys, radio_port = pair(folder, 1), free_port()
    gateway = Gateway(folder, [f"virtual:127.0.0.1:{radio_port}"], beds=AUTO_ADMIT)
    gateway.start()
    try:
        options = ("--firmware-signer", SIGNER.hex())
        sensor = "00000001:synthetic=normal*600"
        simulator = Simulator([sensor], keys, SPEED, radio_port, options=options)
        try:
            simulator.wait_until(lambda one: one["acknowledged"] > 5, PATIENCE_S)
            yield House(folder, gateway, simulator)
        finally:
            simulator.stop()
    finally:
        gateway.kill()


def test_an_update_goes_on_after_a_lost_link_and_loses_no_frame(house: House) -> None:
    path = house.image("new", (0, 2, 0), SIZE)
    process = house.update(path, "--sensor", "ECG-00000001")
    output = LineReader(process)
    assert output.wait_for("0.2.0 for ESP32-C3, 150000 bytes")
    assert house.sensor["firmware"] == "0.1.0"
    percent = 0
    while percent < 20:
        line = output.wait_for("ECG-00000001: sends, ", PATIENCE_S)
        percent = int(line.split()[-2])
    house.simulator.order("linkloss 1")
    assert output.wait_for("ECG-00000001: runs 0.2.0", PATIENCE_S)
    assert process.wait(PATIENCE_S) == 0
    output.close()
    assert house.sensor["firmware"] == "0.2.0"
    assert house.ended(path) == (
        0,
        "0.2.0 for ESP32-C3, 150000 bytes\nECG-00000001: runs 0.2.0 already\n",
    )
    expect_every_frame(house)


def expect_every_frame(house: House) -> None:
    """Of the sessions before and after the restart, from the first one on."""
    reader = Reader(house.gateway.store)
    before, after = sorted(
        reader.sessions_of(DeviceId(1)), key=lambda stored: stored.session.boot_id
    )
    produced = house.sensor["produced"]

    def received() -> int:
        ranges = [reader.received_ranges(stored.session) for stored in (before, after)]
        assert all(found[0][0] == 0 and len(found) == 1 for found in ranges), ranges
        return sum(found[0][1] + 1 for found in ranges)

    try:
        wait_until(lambda: received() >= produced, PATIENCE_S, "frames are missing")
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"key": ECC.generate(curve="p256")}, "not signed by the key that the sensor trusts"),
        ({"chip": 13}, "the image is for another chip"),
    ],
)
def test_a_refusal_says_why(house: House, named: dict, reason: str) -> None:
    code, output = house.ended(house.image("refused", (0, 3, 0), **named))
    assert (code, reason in output) == (1, True), output


def test_failures_before_anything_is_sent_say_why(house: House) -> None:
    path = house.image("other", (0, 3, 0))
    assert house.ended(str(house.folder / "nothing"))[0] == 1
    code, output = house.ended(path, "--sensor", "bed 1")
    assert (code, "ecg-gateway sensors update: " in output) == (1, True), output
