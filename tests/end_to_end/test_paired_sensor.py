"""A new sensor is paired by its label, gets another root key while it sends, and is retired."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.messages import DeviceId
from gateway.radio.keyring import Keyring, create_sealing_key, read_sealing_key
from gateway.radio.sensor_label import SensorLabel
from gateway.store.reader import Reader
from tests.end_to_end.processes import Gateway, Simulator, free_port, new_keys, wait_until

pytestmark = pytest.mark.timeout(300)

SENSOR = DeviceId(1)
NAME = "ECG-00000001"
SPEED = 3.0
DONE_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What the commands said, and what is left."""

    paired: subprocess.CompletedProcess[str]
    rotated: subprocess.CompletedProcess[str]
    retired: subprocess.CompletedProcess[str]
    generations: set[int]
    acknowledged: int
    stored: int
    keys_left: int
    log: str
    secrets: tuple[bytes, ...]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("ward")
    (folder / "state").mkdir(mode=0o700)
    create_sealing_key(folder / "keyring-key")
    root_key = new_keys(folder / "root-keys.json", 1)[SENSOR]
    secret = new_keys(folder / "secrets.json", 1)[SENSOR]
    radio_port = free_port()
    gateway = Gateway(folder, [f"virtual:127.0.0.1:{radio_port}"])
    gateway.start()
    spec = f"{SENSOR:08X}:synthetic=normal*150"
    simulator = Simulator(
        [spec], folder / "root-keys.json", SPEED, radio_port, folder / "secrets.json"
    )
    reader = Reader(gateway.store)

    def generations() -> set[int]:
        return {stored.key_generation for stored in reader.sessions_of(SENSOR)}

    try:
        label = SensorLabel(SENSOR, secret).text
        paired = command(folder, "pair", given=label)
        wait_until(lambda: 1 in generations(), DONE_S, paired.stderr)
        rotated = command(folder, "sensors", "rotate-key", NAME)
        wait_until(lambda: 2 in generations(), DONE_S, rotated.stderr)
        simulator.wait_until(lambda sensor: sensor["held"] == 0, DONE_S)
        (sensor,) = simulator.sensors()
        keyring = Keyring(folder / "state/keyring", read_sealing_key(folder / "keyring-key"))
        (newest, oldest) = keyring.root_keys(SENSOR)
        assert oldest == root_key
        retired = command(folder, "sensors", "retire", NAME, "--yes")
        keyring.refresh()
        gateway.stop()  # what came in the last minute is indexed then
        stored = sum(
            last + 1 - first
            for each in reader.sessions_of(SENSOR)
            for first, last in reader.received_ranges(each.session)
        )
        yield Outcome(
            paired,
            rotated,
            retired,
            generations(),
            int(sensor["acknowledged"]),
            stored,
            len(keyring.root_keys(SENSOR)),
            (folder / "gateway.log").read_text(),
            (secret, oldest, newest),
        )
    finally:
        reader.close()
        simulator.stop()
        gateway.stop()


def command(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    config = ["--config", str(folder / "gateway.toml")]
    line = [sys.executable, "-m", "gateway", words[0], *config, *words[1:]]
    return subprocess.run(line, input=given, capture_output=True, text=True, check=False)


def test_the_label_is_enough_to_pair_it(outcome):
    assert outcome.paired.returncode == 0, outcome.paired.stderr
    assert outcome.paired.stdout.endswith("paired, key generation 1\n")


def test_another_root_key_costs_no_frame(outcome):
    assert outcome.rotated.stdout == f"{NAME} has a new root key, generation 2\n"
    assert outcome.generations == {1, 2}
    assert outcome.stored >= outcome.acknowledged > 0


def test_a_retired_sensor_has_no_key_left(outcome):
    assert outcome.retired.stdout == f"{NAME} is retired\n"
    assert outcome.keys_left == 0


def test_no_secret_is_in_the_log(outcome):
    for secret in outcome.secrets:
        assert secret.hex() not in outcome.log.lower()
