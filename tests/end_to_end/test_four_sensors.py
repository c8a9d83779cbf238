"""Four patients, ten minutes each, over the virtual radio, through kills and lost links.

Records 100, 119, 208 and 231 of MIT-BIH are played six times faster than real time by four
virtual sensors to a gateway that is killed five times and loses twenty links on the way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    DeviceId,
    Frame,
    FrameFlags,
    FrameSequence,
    SampleIndex,
    SessionId,
)
from gateway.radio.keyring import Keyring, read_sealing_key
from gateway.radio.session_keys import SessionKeys
from gateway.simulator.ecg_sources import RecordSlice, wfdb_ecg
from gateway.store.answers import StoredSession
from gateway.store.reader import Reader
from tests.end_to_end.offline import OfflineRun, wait_for_late_analysis
from tests.end_to_end.processes import AUTO_ADMIT, Gateway, Simulator, free_port, pair, wait_until

pytestmark = [pytest.mark.recordings, pytest.mark.timeout(600)]

RECORDS = ("100", "119", "208", "231")
SECONDS = 600
RATE_HZ = 360
SPEED = 6.0
KILLS = 5
LOST_LINKS = 20
MATCH_S = 0.150  # ANSI/AAMI EC57
DONE_S = 300.0


@dataclass(frozen=True)
class Outcome:
    """What the gateway had stored at the end, and what the sensors say they did."""

    folder: Path
    reader: Reader
    keys: SessionKeys
    sensors: list
    exit_code: int

    def session(self, number: int) -> StoredSession:
        (session,) = self.reader.sessions_of(DeviceId(number))
        return session


@pytest.fixture(scope="module")
def outcome(ecg_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("ward")
    specs = [
        f"{number:08X}:record={ecg_data}/mitdb/{record},seconds={SECONDS}"
        for number, record in enumerate(RECORDS, 1)
    ]
    keys, radio_port = pair(folder, len(RECORDS)), free_port()
    gateway = Gateway(
        folder,
        [f"virtual:127.0.0.1:{radio_port}"],
        session={"grace_s": 0.1},
        store={"commit_interval_s": 0.2, "checkpoint_interval_s": 20.0},
        beds=AUTO_ADMIT,
    )
    gateway.start()
    simulator = Simulator(specs, keys, SPEED, radio_port)
    try:
        harass(simulator, gateway, random.Random(1))
        simulator.wait_until(lambda one: has_produced(1.0, one) and not one["held"], DONE_S)
        sensors = simulator.sensors()
        wait_for_late_analysis(gateway.store, DONE_S)
        exit_code = gateway.stop()
    finally:
        simulator.stop()
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()
    keyring = Keyring(folder / "state/keyring", read_sealing_key(folder / "keyring-key"))
    reader = Reader(gateway.store)
    yield Outcome(folder, reader, SessionKeys(keyring), sensors, exit_code)
    reader.close()


def harass(simulator: Simulator, gateway: Gateway, draw: random.Random) -> None:
    """Drop and lose links, and kill the gateway, while the sensors stream."""
    blows = ["kill"] * KILLS + ["drop", "linkloss"] * (LOST_LINKS // 2)
    draw.shuffle(blows)
    for number, blow in enumerate(blows, 1):
        simulator.wait_until(partial(has_produced, number / (len(blows) + 2)), DONE_S)
        if blow == "kill":
            gateway.kill()
            gateway.start()
        else:
            simulator.order(f"{blow} {connected_sensor(simulator, draw)}")


def connected_sensor(simulator: Simulator, draw: random.Random) -> int:
    """The number of a sensor whose link there is to lose; waits for one."""
    return draw.choice(
        wait_until(lambda: connected_sensors(simulator), DONE_S, "no sensor was ever connected")
    )


def connected_sensors(simulator: Simulator) -> list[int]:
    sensors = enumerate(simulator.sensors(), 1)
    return [number for number, sensor in sensors if sensor["connected"]]


def has_produced(share: float, sensor: Mapping) -> bool:
    frames = -(-SECONDS * RATE_HZ // SAMPLES_PER_FRAME)
    return sensor["produced"] >= share * frames


def source_steps(ecg_data: Path, record: str) -> np.ndarray:
    """What the sensor measured, shape (frames, 187), in steps of 5 µV."""
    source = wfdb_ecg(RecordSlice(ecg_data / "mitdb" / record, 0, 0.0, SECONDS), None, loop=False)
    frames = []
    while (frame := source.next_frame()) is not None:
        frames.append(frame.steps)
    return np.stack(frames)


def source_frame(stored: StoredSession, steps: np.ndarray, sequence: FrameSequence) -> Frame:
    """The frame as its sensor sealed it."""
    samples, rate_hz = steps[sequence].copy(), stored.sample_rate_hz
    return Frame(stored.session, sequence, FrameFlags(0), 0, rate_hz, samples, b"")


def annotated_beats(ecg_data: Path, record: str) -> np.ndarray:
    """R samples of the reference beats (PhysioNet's beat symbols)."""
    import wfdb

    reference = wfdb.rdann(str(ecg_data / "mitdb" / record), "atr", sampto=SECONDS * 360)
    is_beat = [symbol in "NLRBAaJSVrFejnE/fQ?" for symbol in reference.symbol]
    return reference.sample[np.array(is_beat)]


def stored_beats(outcome: Outcome, session: SessionId) -> list[Beat]:
    stored = outcome.reader.beats(session, SampleIndex(0), SampleIndex(2**40))
    return [each.beat for each in stored]


def test_the_gateway_stops_in_order(outcome):
    assert outcome.exit_code == 0
    assert sum(sensor["overwritten"] for sensor in outcome.sensors) == 0


@pytest.mark.parametrize("number", range(1, 5))
def test_every_sample_is_stored_exactly_once(outcome, ecg_data, number):
    session = outcome.session(number).session
    expected = source_steps(ecg_data, RECORDS[number - 1])
    stored = outcome.reader.frames(session, FrameSequence(0), FrameSequence(2**31))
    assert [frame.sequence for frame in stored] == list(range(len(expected)))
    opened = np.stack([outcome.keys.open(frame.sealed)[0].steps for frame in stored])
    assert np.array_equal(opened, expected)
    assert outcome.reader.received_ranges(session) == ((0, len(expected) - 1),)


def test_raw_samples_are_not_in_any_file(outcome, ecg_data):
    files = [path.read_bytes() for path in (outcome.folder / "state").iterdir() if path.is_file()]
    for record in RECORDS:
        steps = source_steps(ecg_data, record)
        for frame in steps[:: len(steps) // 50]:
            raw = frame[80:92].astype("<i2").tobytes()
            assert not any(raw in content for content in files)


@pytest.mark.parametrize("number", range(1, 5))
def test_beats_agree_with_the_annotations(outcome, ecg_data, number):
    found = np.array([b.r_sample for b in stored_beats(outcome, outcome.session(number).session)])
    reference = annotated_beats(ecg_data, RECORDS[number - 1])
    reference = reference[reference < found[-1] + 360]
    tolerance = MATCH_S * 360
    nearest = np.abs(reference[:, None] - found[None, :])
    sensitivity = np.mean(nearest.min(axis=1) <= tolerance)
    precision = np.mean(nearest.min(axis=0) <= tolerance)
    print(f"record {RECORDS[number - 1]}: Se {sensitivity:.4f} +P {precision:.4f}")
    assert sensitivity >= 0.98
    assert precision >= 0.98
    assert np.all(np.diff(found) > tolerance / 2), "a heartbeat was counted twice"


@pytest.mark.parametrize("number", range(1, 5))
def test_labels_equal_an_offline_run(outcome, number, ecg_data):
    """The same samples, gaps and order of arrival, given to fresh stages in one go."""
    stored = outcome.session(number)
    journal = list(outcome.reader.journal_after(stored.session, None))
    frame_at = partial(source_frame, stored, source_steps(ecg_data, RECORDS[number - 1]))
    expected = OfflineRun(stored.sample_rate_hz, journal, frame_at).beats()
    assert stored_beats(outcome, stored.session) == expected
    assert sum(beat.label is not None for beat in expected) > 0.9 * len(expected)
