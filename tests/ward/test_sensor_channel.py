"""One sensor's frames, from arrival to the store, through gaps, restarts and new sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.messages import SAMPLES_PER_FRAME
from gateway.radio.frame_codec import FrameRefusal, FrameRefused
from gateway.radio.message_codec import HeldSession
from gateway.store.entries import Checkpoint, DeclaredGap, StoredFrame
from tests.ward.bench import (
    FRAME_S,
    NOW_S,
    RATE_HZ,
    SESSION,
    ChannelBench,
    heart,
    next_boot,
    seal,
)

ECG = heart(60.0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ChannelBench]:
    bench = ChannelBench(tmp_path, ECG)
    yield bench
    bench.close()


def held(oldest: int, end: int) -> HeldSession:
    return HeldSession(SESSION.boot_id, SESSION.salt, oldest, end)


def test_nothing_is_acknowledged_before_it_is_durable(bench):
    bench.send(range(10))
    assert bench.acknowledged().next_expected == 0
    bench.commit()
    assert bench.acknowledged().next_expected == 10


def test_beats_of_a_regular_heart_are_found_once(bench):
    bench.send(range(len(ECG)))
    bench.commit()
    rr_ms = [beat.rr_ms for beat in bench.beats() if beat.rr_ms is not None]
    assert len(rr_ms) > 60
    assert np.allclose(rr_ms, 800.0, atol=5.0)


def test_a_repeat_is_acknowledged_again_and_stored_once(bench):
    bench.send(range(3))
    bench.commit()
    bench.send([1])
    commit = bench.commit()
    assert commit.frames == {SESSION: (1,)}
    assert len(bench.reader.frames(SESSION, 0, 100)) == 3


def test_other_bytes_under_a_known_sequence_are_a_conflict(bench):
    bench.send(range(3))
    bench.commit()
    bench.take(seal(ECG[5], 1))
    commit = bench.commit()
    assert [conflict.sequence for conflict in commit.conflicts] == [1]
    assert not commit.frames


def test_a_gap_is_declared_after_the_grace_and_filled_late(bench):
    bench.send([*range(20), *range(25, 50)], wait_s=0.05)
    bench.commit()
    (gap,) = bench.reader.gaps_to_fill(SESSION)
    assert (gap.start, gap.length) == (20 * SAMPLES_PER_FRAME, 5 * SAMPLES_PER_FRAME)
    assert bench.acknowledged().ranges == ((25, 49),)
    bench.send(range(20, 24))
    bench.commit()
    assert bench.channel.gaps_filled(SESSION) == []
    bench.send([24])
    bench.commit()
    before = {beat.r_sample for beat in bench.beats()}
    bench.analyse_late()
    late = [beat for beat in bench.beats() if beat.r_sample not in before]
    assert 3 <= len(late) <= 6
    assert all(gap.start <= beat.r_sample < gap.end for beat in late)
    assert bench.channel.gaps_filled(SESSION) == []
    assert bench.acknowledged().next_expected == 50


def test_what_the_sensor_gave_up_is_a_permanent_gap(bench):
    bench.send([*range(5), *range(8, 30)], wait_s=0.05)
    bench.commit()
    assert bench.acknowledged().next_expected == 5
    assert bench.channel.sensor_holds(held(oldest=7, end=30)) == SESSION
    assert bench.acknowledged().next_expected == 7
    bench.channel.sensor_holds(held(oldest=8, end=30))
    assert bench.acknowledged().next_expected == 30
    assert [g.start for g in bench.channel.gaps_filled(SESSION)] == [5 * SAMPLES_PER_FRAME]


def test_a_session_never_heard_of_is_not_acknowledged(bench):
    assert bench.channel.sensor_holds(held(0, 5)) is None
    assert bench.channel.acknowledgement(SESSION) is None


def test_a_new_boot_ends_the_session_and_an_older_one_is_history(bench):
    bench.send(range(30))
    bench.send(range(5), session=next_boot())
    bench.send([30, 31])
    bench.commit()
    assert [stored.session for stored in bench.reader.open_sessions()] == [next_boot()]
    late = [entry.frame.sequence for entry in journal(bench) if entry.frame.late]
    assert late == [30, 31]
    bench.channel.sensor_holds(held(oldest=32, end=32))
    bench.commit()
    bench.analyse_late()
    assert max(beat.r_sample for beat in bench.beats()) > 29 * SAMPLES_PER_FRAME


def test_a_history_session_first_heard_of_raises_nothing_live(bench):
    bench.send(range(5), session=next_boot())
    assert bench.send(range(5)) == []
    assert bench.channel.live_session == next_boot()
    bench.commit()
    assert [stored.session for stored in bench.reader.open_sessions()] == [next_boot()]


def test_another_sample_rate_within_a_session_is_refused(bench):
    bench.send([0])
    with pytest.raises(FrameRefused) as refused:
        bench.take(seal(ECG[1], 1, rate_hz=500))
    assert refused.value.reason is FrameRefusal.ILLEGAL_CONTENT


def test_a_long_gap_starts_the_analysis_anew(bench):
    long = 61 * RATE_HZ // SAMPLES_PER_FRAME + 1
    bench.ecg = heart(150.0)
    bench.send([*range(10), *range(10 + long, 60 + long)], wait_s=0.05)
    bench.commit()
    gap_end = (10 + long) * SAMPLES_PER_FRAME
    after = [beat for beat in bench.beats() if beat.r_sample >= gap_end]
    assert after
    assert after[0].rr_ms is None


def test_minutes_are_summed_up_once(bench):
    bench.ecg = heart(150.0)
    bench.send(range(len(bench.ecg)))
    bench.commit()
    first, second = bench.reader.summaries(SESSION)
    assert second.minute_s - first.minute_s == 60
    assert first.beats == pytest.approx(75, abs=2)
    assert second.heart_rate_mean_bpm == pytest.approx(75.0, abs=0.5)
    assert second.gap_s == 0


def test_a_checkpoint_that_does_not_fit_is_counted_and_the_journal_goes_on(bench):
    bench.send(range(30))
    bench.parts.record(Checkpoint(SESSION, b"of another version"))
    bench.commit()
    bench.restart()
    bench.send(range(30, 60))
    bench.commit()
    assert bench.counters.value("ecg_checkpoints_refused_total") == 1
    assert max(beat.r_sample for beat in bench.beats()) > 50 * SAMPLES_PER_FRAME


def test_beats_of_a_replay_are_not_counted_again(bench):
    bench.send(range(40))
    bench.commit()
    assert bench.channel.beats > 20
    bench.restart()
    assert bench.channel.beats == 0


def test_an_orderly_stop_saves_the_analysis(bench):
    bench.send(range(10))
    bench.channel.save()
    assert isinstance(bench.recorded[-1], Checkpoint)


ARRIVALS = [*range(20), 22, *range(24, 60), 23, 20, *range(60, len(ECG))]
PLANS = st.lists(
    st.tuples(st.integers(1, len(ARRIVALS)), st.integers(0, 30)),
    max_size=4,
    unique_by=lambda p: p[0],
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLANS)
def test_kills_anywhere_bring_the_same_beats(tmp_path_factory, plan):
    """A restarted gateway gets again what was not acknowledged, and finds what it had found."""
    bench = ChannelBench(tmp_path_factory.mktemp("killed"), ECG)
    try:
        send_through_kills(bench, dict(plan))
        restarted = (journal_order(bench), bench.beats(), bench.reader.summaries(SESSION))
    finally:
        bench.close()
    whole = ChannelBench(tmp_path_factory.mktemp("whole"), ECG)
    try:
        replay_order(whole, restarted[0])
        assert (journal_order(whole), whole.beats()) == restarted[:2]
        assert whole.reader.summaries(SESSION) == pytest.approx(restarted[2])
    finally:
        whole.close()


def send_through_kills(bench: ChannelBench, kills: dict[int, int]) -> None:
    """`kills` says after how many arrivals, and how many of the entries since were durable."""
    unacknowledged: list[int] = []
    for count, sequence in enumerate(ARRIVALS, 1):
        bench.send([sequence], wait_s=0.3)
        unacknowledged.append(sequence)
        if count in kills:
            durable = {s for _, group in bench.commit(kills[count]).frames.items() for s in group}
            bench.restart()
            again = [s for s in unacknowledged if s not in durable]
            bench.send(again, wait_s=0.3)
            unacknowledged = again
        if count % 16 == 0:
            bench.commit()
            unacknowledged.clear()
    bench.commit()


def journal(bench: ChannelBench) -> list:
    entries = bench.reader.journal_after(SESSION, None)
    return [entry for entry in entries if hasattr(entry, "frame")]


def journal_order(bench: ChannelBench) -> list:
    """What the analysis saw, in short: 3 for a live frame, (3, "late"), ("gap", start, length)."""
    order = []
    for entry in bench.reader.journal_after(SESSION, None):
        if not hasattr(entry, "frame"):
            order.append(("gap", entry.gap.start, entry.gap.length))
        elif entry.frame.late:
            order.append((entry.frame.sequence, "late"))
        else:
            order.append(entry.frame.sequence)
    return order


def replay_order(bench: ChannelBench, order: list) -> None:
    """Send so that the same journal arises, without a kill."""
    for step in order:
        if isinstance(step, int):
            bench.send([step], wait_s=0.001)
            bench.wait(1.0)
        elif step[1] == "late":
            bench.send([step[0]], wait_s=0.001)
    bench.commit()


def test_gaps_and_frames_are_recorded_in_the_order_of_the_analysis(bench):
    bench.send([0, 2], wait_s=0.01)
    bench.wait(1.0)
    kinds = [
        type(entry) for entry in bench.recorded if isinstance(entry, StoredFrame | DeclaredGap)
    ]
    assert kinds == [StoredFrame, DeclaredGap, StoredFrame]


def test_monitoring_goes_on_where_the_store_has_no_room(bench):
    bench.send(range(20))
    bench.channel.storing = False
    found = [beat for signal in bench.send(range(20, 40)) for beat in signal.findings.beats]
    bench.channel.storing = True
    assert len(found) > 15
    bench.send(range(40, len(ECG)))
    bench.commit()
    assert bench.acknowledged().next_expected == 20  # the rest is still the sensor's
    bench.send(range(20, 40))
    bench.commit()
    assert bench.acknowledged().next_expected == len(ECG)
    bench.analyse_late()
    rr_ms = [beat.rr_ms for beat in bench.beats() if beat.rr_ms is not None]
    assert len(bench.beats()) > 60
    assert np.allclose(rr_ms, 800.0, atol=5.0)


def test_a_restart_finds_a_gap_where_the_store_had_no_room(bench):
    bench.send(range(20))
    bench.channel.storing = False
    bench.send(range(20, 40))
    bench.channel.storing = True
    bench.send(range(40, 50))
    bench.commit()
    bench.restart()
    bench.send(range(50, len(ECG)))
    bench.commit()
    assert [(gap.start, gap.length) for gap in bench.reader.gaps_to_fill(SESSION)] == [
        (20 * SAMPLES_PER_FRAME, 20 * SAMPLES_PER_FRAME)
    ]


def test_a_session_of_an_unset_clock_says_so_until_the_clock_is_set(bench):
    is_set = False
    bench.parts = replace(bench.parts, clock_is_set=lambda: is_set)
    bench.restart()
    bench.send(range(5))
    bench.commit()
    stored = bench.reader.session(SESSION)
    assert stored.clock_unsynced
    is_set = True
    bench.now_s += 1_000_000.0  # NTP has answered
    bench.send(range(5, 8))
    bench.commit()
    corrected = bench.reader.session(SESSION)
    assert not corrected.clock_unsynced
    assert corrected.start_s - stored.start_s == pytest.approx(1_000_000.0, abs=10.0)
    assert corrected.wall_offset_s == pytest.approx(corrected.start_s)  # as rows are dated


def minutes_of(bench):
    return [minute.minute_s for minute in bench.reader.summaries(SESSION)]


@pytest.fixture
def long_bench(tmp_path: Path) -> Iterator[ChannelBench]:
    """Of four minutes."""
    bench = ChannelBench(tmp_path, heart(250.0), checkpoint_interval_s=1000.0)
    yield bench
    bench.close()


def begun_unsynced(bench, frames):
    """A session whose first frames came before anybody had set the clock."""
    bench.parts = replace(bench.parts, clock_is_set=lambda: False)
    bench.restart()
    bench.send(range(frames), wait_s=FRAME_S)
    bench.commit()


def test_minutes_after_the_clock_was_set_follow_those_before(long_bench):
    begun_unsynced(long_bench, 170)
    long_bench.now_s += 1_000_000.0
    long_bench.channel.clock_stepped(1_000_000.0)
    assert long_bench.channel.take_redating() == pytest.approx(1_000_000.0, abs=1.0)
    long_bench.send(range(170, len(long_bench.ecg)), wait_s=FRAME_S)
    long_bench.commit()
    assert minutes_of(long_bench)[0] < NOW_S + 100  # it waits for its turn
    long_bench.redate()
    first, *rest = minutes_of(long_bench)
    assert first == pytest.approx(NOW_S + 1_000_000, abs=5)
    assert rest == [first + 60, first + 120]


def test_a_restart_after_the_clock_was_set_finds_no_minute_twice(long_bench):
    begun_unsynced(long_bench, 200)
    long_bench.now_s += 1_000_000.0
    long_bench.channel.clock_stepped(1_000_000.0)
    long_bench.send(range(200, 210), wait_s=FRAME_S)
    long_bench.commit()
    found = len(minutes_of(long_bench))
    long_bench.restart()
    long_bench.commit()
    assert len(minutes_of(long_bench)) == found > 0
