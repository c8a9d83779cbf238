"""Beds, sensors and stays: who lies where, and whose signal it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    BedState,
    DeviceId,
    FrameSequence,
    SampleIndex,
    SessionId,
)
from gateway.store.answers import Bed, Sensor
from gateway.store.entries import (
    AddBed,
    Admit,
    AssignSensor,
    BedCommand,
    BedCommandRefused,
    BedId,
    BedRefusal,
    Discharge,
    Found,
    ReleaseSensor,
    Resume,
    SessionStarted,
    SetLimits,
    Standby,
    StoredFrame,
)
from gateway.store.reader import Reader
from gateway.store.reader_engine import reader_engine
from gateway.store.transactions import StoreWriter

SENSOR = DeviceId(7)
OTHER_SENSOR = DeviceId(8)


def do(writer: StoreWriter, *commands: BedCommand) -> None:
    commit = writer.write(commands)
    assert commit.refused == {}


def refusal(writer: StoreWriter, command: BedCommand) -> BedCommandRefused:
    commit = writer.write([command])
    return commit.refused[0]


def states(reader: Reader) -> list[BedState]:
    return [bed.state for bed in reader.beds()]


def test_a_stay_runs_from_admission_to_discharge(writer: StoreWriter, reader: Reader) -> None:
    do(writer, AddBed("Bed 1"))
    assert reader.beds() == [Bed(BedId(1), "Bed 1", BedState.VACANT, None, None)]
    do(writer, Admit("Bed 1", 10.0))
    (stay,) = reader.stays(BedId(1))
    assert reader.beds() == [Bed(BedId(1), "Bed 1", BedState.MONITORING, stay.id, None)]
    do(writer, Standby("Bed 1"))
    assert states(reader) == [BedState.STANDBY]
    do(writer, Resume("Bed 1"))
    assert states(reader) == [BedState.MONITORING]
    do(writer, Discharge("Bed 1", 20.0), Admit("Bed 1", 30.0))
    assert [(s.admitted_s, s.discharged_s) for s in reader.stays(BedId(1))] == [
        (30.0, None),
        (10.0, 20.0),
    ]


def test_limits_end_with_the_stay(writer: StoreWriter, reader: Reader) -> None:
    do(writer, AddBed("Bed 1"))
    assert refusal(writer, SetLimits("Bed 1", {"pause_s": 2.0})).reason is BedRefusal.VACANT
    do(writer, Admit("Bed 1", 10.0), SetLimits("Bed 1", {"pause_s": 2.0}))
    assert [bed.limits for bed in reader.beds()] == [{"pause_s": 2.0}]
    do(writer, Discharge("Bed 1", 20.0))
    assert [bed.limits for bed in reader.beds()] == [None]
    do(writer, Admit("Bed 1", 30.0))
    assert [bed.limits for bed in reader.beds()] == [None]


def test_limits_can_be_taken_back(writer: StoreWriter, reader: Reader) -> None:
    do(writer, AddBed("Bed 1"), Admit("Bed 1", 10.0), SetLimits("Bed 1", {"pause_s": 2.0}))
    do(writer, SetLimits("Bed 1", None))
    assert [bed.limits for bed in reader.beds()] == [None]


def test_a_bed_on_standby_can_be_discharged(writer: StoreWriter, reader: Reader) -> None:
    do(writer, AddBed("Bed 1"), Admit("Bed 1", 1.0), Standby("Bed 1"), Discharge("Bed 1", 2.0))
    assert states(reader) == [BedState.VACANT]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (AddBed("occupied"), BedRefusal.NAME_TAKEN),
        (Admit("nowhere", 5.0), BedRefusal.UNKNOWN_BED),
        (Admit("occupied", 5.0), BedRefusal.NOT_VACANT),
        (Discharge("vacant", 5.0), BedRefusal.VACANT),
        (Standby("vacant"), BedRefusal.NOT_MONITORING),
        (Resume("occupied"), BedRefusal.NOT_ON_STANDBY),
        (AssignSensor(OTHER_SENSOR, "occupied", 5.0), BedRefusal.BED_HAS_SENSOR),
        (ReleaseSensor(OTHER_SENSOR, 5.0), BedRefusal.NOT_ASSIGNED),
    ],
)
def test_a_command_that_does_not_fit_is_refused_and_changes_nothing(
    writer: StoreWriter, reader: Reader, command: BedCommand, reason: BedRefusal
) -> None:
    do(writer, AddBed("occupied"), AddBed("vacant"), Admit("occupied", 1.0))
    do(writer, AssignSensor(SENSOR, "occupied", 2.0))
    before = (reader.beds(), reader.sensors())
    assert refusal(writer, command).reason is reason
    assert (reader.beds(), reader.sensors()) == before


def test_a_refused_command_does_not_stop_its_batch(writer: StoreWriter, reader: Reader) -> None:
    commit = writer.write([Standby("nowhere"), AddBed("Bed 1"), AddBed("Bed 1")])
    assert {place: refused.reason for place, refused in commit.refused.items()} == {
        0: BedRefusal.UNKNOWN_BED,
        2: BedRefusal.NAME_TAKEN,
    }
    assert [bed.name for bed in reader.beds()] == ["Bed 1"]


def test_a_sensor_watches_one_bed(writer: StoreWriter, reader: Reader) -> None:
    do(writer, AddBed("Bed 1"), AddBed("Bed 2"), AssignSensor(SENSOR, "Bed 1", 1.0))
    do(writer, AssignSensor(SENSOR, "Bed 1", 2.0))  # once more: nothing new
    do(writer, AssignSensor(SENSOR, "Bed 2", 3.0))
    assert [bed.device_id for bed in reader.beds()] == [None, SENSOR]
    assert reader.sensors() == [Sensor(SENSOR, 1.0, BedId(2))]
    do(writer, ReleaseSensor(SENSOR, 4.0))
    assert reader.sensors() == [Sensor(SENSOR, 1.0, None)]


def frame_at(session: SessionId, second: int) -> StoredFrame:
    """The frame that holds this second of the session; 187 samples at 125 Hz are 1.496 s."""
    sequence = FrameSequence(second * 125 // SAMPLES_PER_FRAME)
    return StoredFrame(session, sequence, bytes(434), received_s=1e9)


def stays_of_rows(store: Path, table: str, order: str) -> list[int | None]:
    engine = reader_engine(store)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT stay_id FROM {table} ORDER BY {order}").all()
    engine.dispose()
    return [stay_id for (stay_id,) in rows]


def test_signal_belongs_to_the_stay_of_its_own_time_not_of_its_arrival(
    writer: StoreWriter, store: Path, session: SessionId
) -> None:
    do(writer, AddBed("Bed 1"), AddBed("Bed 2"), AssignSensor(SENSOR, "Bed 1", 0.0))
    do(writer, Admit("Bed 1", 100.0), Discharge("Bed 1", 200.0))
    do(writer, Admit("Bed 1", 300.0), Admit("Bed 2", 0.0))
    do(writer, AssignSensor(SENSOR, "Bed 2", 400.0), ReleaseSensor(SENSOR, 500.0))
    seconds = [50, 150, 250, 350, 450, 550]
    beats = tuple(Beat(SampleIndex(125 * s), 900.0, None, False, None) for s in seconds)
    writer.write(
        [
            SessionStarted(session, 125, 0, first_received_s=1e9, wall_offset_s=0.0),
            *(frame_at(session, second) for second in seconds),
            Found(session, "0123abcd", beats),
        ]
    )
    expected = [None, 1, None, 2, 3, None]
    assert stays_of_rows(store, "frame_runs", "first_sequence") == expected
    assert stays_of_rows(store, "beats", "r_sample") == expected


def test_a_new_admission_counts_for_the_frames_that_follow(
    writer: StoreWriter, store: Path, session: SessionId
) -> None:
    do(writer, AddBed("Bed 1"), AssignSensor(SENSOR, "Bed 1", 0.0), Admit("Bed 1", 0.0))
    writer.write(
        [
            SessionStarted(session, 125, 0, first_received_s=0.0, wall_offset_s=0.0),
            frame_at(session, 10),
            Discharge("Bed 1", 20.0),
            frame_at(session, 30),
            Admit("Bed 1", 40.0),
            frame_at(session, 50),
        ]
    )
    assert stays_of_rows(store, "frame_runs", "first_sequence") == [1, None, 2]


def test_without_a_clock_the_time_of_arrival_decides(
    writer: StoreWriter, store: Path, session: SessionId
) -> None:
    do(writer, AddBed("Bed 1"), AssignSensor(SENSOR, "Bed 1", 0.0), Admit("Bed 1", 2e9))
    writer.write([SessionStarted(session, 125, 0, 1e9, wall_offset_s=None), frame_at(session, 10)])
    assert stays_of_rows(store, "frame_runs", "first_sequence") == [None]
