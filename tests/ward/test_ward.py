"""Links, beds and alarms around a real store."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import closing

import numpy as np
import pytest

from gateway.alarm_policy import AGGREGATED_S
from gateway.messages import AlarmKind, AlarmState, BedState, DeviceId, SessionId
from gateway.radio.gatt import GattCharacteristic
from gateway.radio.message_codec import (
    Answer,
    AnswerCode,
    HeldSession,
    MessageType,
    encode_held_report,
)
from gateway.store.database import writer_engine
from gateway.store.entries import (
    Admit,
    BedCommandRefused,
    Checkpoint,
    Discharge,
    SetLimits,
    Standby,
)
from gateway.store.outbox import Lane, OutboxReader
from gateway.store.recorder import MAX_QUEUED_FRAMES
from gateway.store.transactions import StoreWriter
from gateway.ward.rotation import RotationFailed
from tests.ward.bench import DEVICE, SESSION, heart, next_boot, seal
from tests.ward.links import FakeLink, status

FRAMES = GattCharacteristic.FRAMES
CONTROL = GattCharacteristic.CONTROL
ECG = heart(40.0)


def stream(bench, link, sequences, ecg=ECG, session=SESSION):
    """Frames come as their samples were taken."""
    for sequence in sequences:
        bench.now_s += 0.748
        bench.ward.received(link, FRAMES, seal(ecg[sequence], sequence, session))


async def connect(bench, session=SESSION) -> FakeLink:
    link = FakeLink(session)
    bench.ward.connected(link, status(session).encode())
    await bench.until(lambda: len(link.commands) == 2)
    return link


async def admitted(bench, link) -> None:
    """The first frame brings a bed of its own."""
    stream(bench, link, [0])
    await bench.until(lambda: any(side.bed.stay for side in bench.ward.beds))


def only_bed(bench):
    (side,) = bench.ward.beds
    return side


def test_a_sensor_is_asked_for_its_status_and_told_the_time(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        (first, request), (second, time) = link.commands
        assert (request.type, time.type) == (
            MessageType.REQUEST_STATUS,
            MessageType.SET_UNIX_TIME,
        )
        assert time.number == int(bench.now_s * 1e6)
        assert first < second

    with_ward(scenario)


def test_what_is_durable_is_acknowledged_on_the_link(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        stream(bench, link, range(5))
        await bench.until(lambda: link.acknowledgements[-1:] != [])
        await bench.until(lambda: link.acknowledgements[-1].next_expected == 5)
        assert link.acknowledgements[-1].salt == SESSION.salt
        assert len(bench.reader.frames(SESSION, 0, 10)) == 5

    with_ward(scenario)


def test_a_reconnected_sensor_is_told_at_once_what_is_durable(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        stream(bench, link, range(5))
        await bench.until(lambda: link.acknowledgements[-1:] != [])
        await bench.until(lambda: link.acknowledgements[-1].next_expected == 5)
        bench.ward.disconnected(link, "lost")
        again = await connect(bench)
        await bench.until(lambda: bool(again.acknowledgements))
        assert again.acknowledgements[-1].next_expected == 5

    with_ward(scenario)


def test_frames_of_an_ended_session_do_not_change_how_a_restarted_sensor_is_talked_to(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        stream(bench, link, range(3))
        bench.ward.disconnected(link, "lost")
        again = await connect(bench, next_boot())
        stream(bench, again, range(3, 5))  # what it held of the former boot comes first
        rotation = asyncio.create_task(bench.ward.rotate_key(DEVICE))
        await bench.until(lambda: len(again.commands) == 3)
        stream(bench, again, [0], session=next_boot())
        counter, order = again.commands[-1]
        assert order.type is MessageType.ROTATE_KEY
        refusal = Answer(order.type, AnswerCode.BUSY, b"")
        bench.ward.received(again, CONTROL, again.answer(counter, refusal))
        with pytest.raises(RotationFailed, match="busy"):
            await rotation
        assert len(again.commands) == 3

    with_ward(scenario)


def test_a_stranger_is_shown_the_door(with_ward):
    async def scenario(bench):
        link = FakeLink()
        unknown = SessionId(DeviceId(99), 1, bytes(16))
        bench.ward.connected(link, status(unknown).encode())
        await bench.until(lambda: link.closed)
        garbled = FakeLink()
        bench.ward.connected(garbled, b"nonsense")
        await bench.until(lambda: garbled.closed)
        assert bench.counters.value("ecg_links_refused_total") == 1
        assert bench.counters.value("ecg_status_refused_total") == 1

    with_ward(scenario)


def test_a_passed_counter_makes_the_gateway_go_on_from_there(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        counter, command = link.commands[0]
        bench.ward.received(
            link, CONTROL, link.answer(counter, Answer.counter_passed(command.type, 1000))
        )
        await bench.until(lambda: len(link.commands) == 3)
        assert link.commands[-1] == (1001, command)

    with_ward(scenario)


def test_a_sealed_status_reaches_the_screen_and_a_forged_one_does_not(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        counter, command = link.commands[0]
        forged = FakeLink.stranger().done(counter, command.type, status().encode())
        bench.ward.received(link, CONTROL, forged)
        assert bench.live_view.summary(bench.now_s)[0]["battery_percent"] is None
        bench.ward.received(link, CONTROL, link.done(counter, command.type, status().encode()))
        assert bench.live_view.summary(bench.now_s)[0]["battery_percent"] == 80
        assert bench.counters.value("ecg_messages_refused_total", reason="not authentic") == 1

    with_ward(scenario)


def test_a_sensor_that_begins_another_session_is_spoken_to_under_it(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        stream(bench, link, range(3))
        await bench.until(lambda: bool(link.acknowledgements))
        newer = FakeLink(next_boot())
        link.command, link.acknowledge = newer.command, newer.acknowledge
        stream(bench, link, range(3), session=next_boot())
        await bench.until(lambda: len(newer.commands) == 2 and bool(newer.acknowledgements))

    with_ward(scenario)


def test_what_waits_when_another_session_begins_is_not_sent_under_the_old_one(with_ward):
    async def scenario(bench):
        link = FakeLink()
        link.takes_commands.clear()
        bench.ward.connected(link, status().encode())
        await bench.until(lambda: link.waiting == 1)
        stream(bench, link, [0])
        newer = FakeLink(next_boot())
        link.command, link.acknowledge = newer.command, newer.acknowledge
        stream(bench, link, [0], session=next_boot())
        link.takes_commands.set()
        await bench.until(lambda: len(newer.commands) == 2)
        assert [command.type for _, command in link.commands] == [MessageType.REQUEST_STATUS]

    with_ward(scenario)


def test_frames_that_were_given_up_are_closed_by_a_held_report(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        stream(bench, link, [0, 3])
        await bench.until(lambda: bool(link.acknowledgements))
        held = HeldSession(SESSION.boot_id, SESSION.salt, 3, 4)
        bench.ward.received(link, CONTROL, link.report(encode_held_report([held])))
        await bench.until(lambda: link.acknowledgements[-1].next_expected == 3)

    with_ward(scenario)


def test_hostile_values_are_refused_and_counted(with_ward):
    async def scenario(bench):
        draw = random.Random(3)
        link = await connect(bench)
        for _ in range(5000):
            bench.ward.received(link, FRAMES, draw.randbytes(draw.choice([0, 43, 434, 500])))
            bench.ward.received(link, CONTROL, draw.randbytes(draw.randrange(300)))
        assert bench.counters.value("ecg_frames_refused_total") == 5000
        assert bench.counters.value("ecg_messages_refused_total") == 5000
        stream(bench, link, range(3))
        await bench.until(lambda: len(bench.reader.frames(SESSION, 0, 10)) == 3)

    with_ward(scenario)


def test_a_heart_that_stops_raises_a_lethal_alarm_that_is_stored_and_sent(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        ecg = heart(40.0, stops_at_s=20.0)
        stream(bench, link, range(1, 40), ecg)
        assert [alarm.kind for alarm in only_bed(bench).open_alarms] == [AlarmKind.ASYSTOLE]
        await bench.until(lambda: bool(bench.reader.open_alarms()))
        (stored,) = bench.reader.open_alarms()
        assert stored.stay == only_bed(bench).bed.stay
        with closing(OutboxReader(bench.store)) as outbox:
            (row,) = outbox.pending(Lane.ALARM, after_id=0, limit=10)
        assert json.loads(row.payload)["alarm"] == "asystole"
        assert len(only_bed(bench).acknowledge(AlarmKind.ASYSTOLE, bench.now_s)) == 1
        assert only_bed(bench).open_alarms[0].state is AlarmState.ACKNOWLEDGED

    with_ward(scenario)


def test_an_alarm_that_is_open_when_the_clock_is_set_stays_one_alarm(with_ward):
    async def scenario(bench):
        bench.clock_is_set = False
        link = await connect(bench)
        await admitted(bench, link)
        ecg = heart(40.0, stops_at_s=20.0)
        stream(bench, link, range(1, 40), ecg)
        (raised,) = only_bed(bench).open_alarms
        bench.now_s += 1_000_000.0
        stream(bench, link, range(40, 42), ecg)
        (moved,) = only_bed(bench).open_alarms
        assert moved.onset_s - raised.onset_s == pytest.approx(1_000_000.0, abs=2.0)
        assert moved.escalated_s is None  # nobody was away for eleven days
        only_bed(bench).acknowledge(AlarmKind.ASYSTOLE, bench.now_s)
        await bench.until(lambda: len(told(bench)) == 3)
        (stored,) = bench.reader.open_alarms()
        assert stored.alarm == only_bed(bench).open_alarms[0]
        wrong, correction, acknowledged = told(bench)
        assert correction["of"] == {wrong["id"]: acknowledged["alarm_id"]}

    with_ward(scenario)


def told(bench):
    with closing(OutboxReader(bench.store)) as outbox:
        rows = outbox.pending(Lane.ALARM, after_id=0, limit=10)
    return [{**json.loads(row.payload), "id": row.message_id} for row in rows]


def test_a_silent_sensor_is_an_alarm_unless_its_bed_is_on_standby(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        side = only_bed(bench)
        side.tick((), bench.now_s + 9.9)
        assert side.open_alarms == ()
        side.tick((), bench.now_s + 10.0)
        assert [alarm.kind for alarm in side.open_alarms] == [AlarmKind.SENSOR_SILENT]
        await bench.ward.command(Standby(side.bed.name))
        assert side.open_alarms == ()
        side.tick((), bench.now_s + 100.0)
        assert side.open_alarms == ()

    with_ward(scenario)


def test_a_disk_that_refuses_is_an_alarm_until_it_takes_again(with_ward, monkeypatch):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        monkeypatch.setattr("gateway.ward.ward.TICK_S", 0.01)
        working = asyncio.get_running_loop().create_task(bench.ward.run())
        monkeypatch.setattr(bench.recorder, "_failing_because", "database or disk is full")
        await bench.until(lambda: bool(only_bed(bench).open_alarms))
        assert [a.kind for a in only_bed(bench).open_alarms] == [AlarmKind.NOT_STORED]
        shown = bench.live_view.summary(bench.now_s)[0]["alarms"]
        assert [alarm["kind"] for alarm in shown] == ["not stored"]
        await bench.until(lambda: not only_bed(bench).open_alarms)  # a commit has succeeded
        working.cancel()

    with_ward(scenario)


def test_a_sensor_whose_battery_is_low_is_an_alarm(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        bench.ward.sensor_status(DEVICE, status(battery_percent=9))
        assert [a.kind for a in only_bed(bench).open_alarms] == [AlarmKind.BATTERY_LOW]
        bench.ward.sensor_status(DEVICE, status(battery_percent=80))
        assert only_bed(bench).open_alarms == ()

    with_ward(scenario)


def test_what_is_wrong_with_the_machine_is_an_alarm_at_each_bed(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        bench.ward.beds.tick({AlarmKind.CLOCK_NOT_SET})
        assert [a.kind for a in only_bed(bench).open_alarms] == [AlarmKind.CLOCK_NOT_SET]
        bench.ward.beds.tick(())
        assert only_bed(bench).open_alarms == ()

    with_ward(scenario)


def test_bed_commands_change_the_screen_and_say_what_does_not_fit(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        name = only_bed(bench).bed.name
        await bench.ward.command(Discharge(name, bench.now_s))
        assert only_bed(bench).bed.state is BedState.VACANT
        with pytest.raises(BedCommandRefused, match="the bed is vacant"):
            await bench.ward.command(Discharge(name, bench.now_s))

    with_ward(scenario)


def test_an_open_alarm_survives_a_restart(with_ward):
    async def before(bench):
        link = await connect(bench)
        await admitted(bench, link)
        stream(bench, link, range(1, 40), heart(40.0, stops_at_s=20.0))
        await bench.until(lambda: bool(bench.reader.open_alarms()))

    async def after(bench):
        assert [alarm.kind for alarm in only_bed(bench).open_alarms] == [AlarmKind.ASYSTOLE]
        assert only_bed(bench).bed.device_id == DEVICE

    with_ward(before)
    with_ward(after)


def test_limits_of_a_bed_hold_at_once_and_after_a_restart(with_ward):
    async def before(bench):
        link = await connect(bench)
        await admitted(bench, link)
        stream(bench, link, range(1, 20))
        assert only_bed(bench).open_alarms == ()
        await bench.ward.command(SetLimits("Bed 1", {"heart_rate_high_bpm": 70.0}))
        stream(bench, link, range(20, 23))  # 75 bpm
        assert [alarm.kind for alarm in only_bed(bench).open_alarms] == [AlarmKind.TACHYCARDIA]
        await bench.until(lambda: bench.reader.checkpoint(SESSION) is not None)

    async def after(bench):
        assert only_bed(bench).limits.heart_rate_high_bpm == 70.0
        assert bench.counters.value("ecg_checkpoints_refused_total") == 0
        link = await connect(bench)
        stream(bench, link, range(23, 30))
        assert [alarm.kind for alarm in only_bed(bench).open_alarms] == [AlarmKind.TACHYCARDIA]
        await bench.ward.command(Discharge("Bed 1", bench.now_s))
        await bench.ward.command(Admit("Bed 1", bench.now_s))
        assert only_bed(bench).limits == only_bed(bench).house_limits
        stream(bench, link, range(30, 50))
        assert only_bed(bench).open_alarms == ()

    with_ward(before)
    with_ward(after)


def test_a_fault_of_our_own_in_the_background_ends_the_ward(with_ward):
    async def scenario(bench):
        async def broken(message: bytes) -> None:
            raise ZeroDivisionError

        link = FakeLink()
        link.command = broken
        working = asyncio.get_running_loop().create_task(bench.ward.run())
        bench.ward.connected(link, status().encode())
        with pytest.raises(ExceptionGroup) as failed:
            await working
        assert failed.group_contains(ZeroDivisionError)

    with_ward(scenario)


def test_a_frame_that_the_store_has_no_room_for_is_analysed_and_not_stored(with_ward, monkeypatch):
    async def scenario(bench):
        link = await connect(bench)
        monkeypatch.setattr(bench.recorder, "_frames_queued", MAX_QUEUED_FRAMES)
        stream(bench, link, [0])
        assert bench.counters.value("ecg_frames_unstored_total") == 1
        monkeypatch.setattr(bench.recorder, "_frames_queued", 0)
        await bench.until(lambda: bench.recorder.has_room)
        stream(bench, link, [0])
        await bench.until(lambda: bool(link.acknowledgements))

    with_ward(scenario)


def test_late_signal_is_analysed_in_the_background(with_ward):
    async def scenario(bench):
        link = await connect(bench)
        working = asyncio.get_running_loop().create_task(bench.ward.run())
        stream(bench, link, [*range(15), *range(20, 40)])
        await asyncio.sleep(0.6)  # the grace for what is missing runs on the loop's own clock
        stream(bench, link, [40, *range(15, 20)])
        start = 15 * 187
        await bench.until(lambda: len(bench.reader.beats(SESSION, start, start + 5 * 187)) >= 3)
        working.cancel()

    with_ward(scenario)


def test_an_alarm_whose_finding_a_restart_could_not_take_up_ends(with_ward, tmp_path):
    async def before(bench):
        link = await connect(bench)
        await admitted(bench, link)
        ecg = heart(60.0, rr_s=0.46)
        stream(bench, link, range(1, 60), ecg)
        assert [alarm.kind for alarm in only_bed(bench).open_alarms] == [AlarmKind.TACHYCARDIA]
        await bench.until(lambda: bool(bench.reader.open_alarms()))

    async def after(bench):
        only_bed(bench).tick((), bench.now_s + AGGREGATED_S)
        kinds = {AlarmKind.SENSOR_SILENT}
        assert {alarm.kind for alarm in only_bed(bench).open_alarms} == kinds
        await bench.until(lambda: {s.alarm.kind for s in bench.reader.open_alarms()} == kinds)

    with_ward(before)
    writer = StoreWriter(writer_engine(tmp_path / "gateway.sqlite3"), now=lambda: 0.0)
    writer.write([Checkpoint(SESSION, b"of another version")])
    writer.close()
    with_ward(after)


def test_a_heart_that_stopped_in_late_signal_leaves_one_notice(with_ward, monkeypatch):
    async def scenario(bench):
        link = await connect(bench)
        await admitted(bench, link)
        monkeypatch.setattr("gateway.ward.ward.TICK_S", 60.0)  # a slow test is no silent sensor
        working = asyncio.get_running_loop().create_task(bench.ward.run())
        ecg = np.concatenate([heart(30.0, stops_at_s=15.0), heart(30.0)])
        stream(bench, link, [*range(1, 15), *range(45, 60)], ecg)
        await asyncio.sleep(0.6)  # the grace for what is missing runs on the loop's own clock
        stream(bench, link, [60, *range(15, 45)], ecg)
        await bench.until(lambda: bool(only_bed(bench).open_alarms))
        (notice,) = only_bed(bench).open_alarms
        assert (notice.kind, notice.state) == (AlarmKind.LATE_ASYSTOLE, AlarmState.LATCHED)
        await bench.until(lambda: bool(bench.reader.alarm_history(10)))
        with closing(OutboxReader(bench.store)) as outbox:
            told = outbox.pending(Lane.ALARM, after_id=0, limit=10)
        assert [json.loads(row.payload)["state"] for row in told] == ["latched"]
        working.cancel()

    with_ward(scenario)
