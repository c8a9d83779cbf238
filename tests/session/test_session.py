"""Order, grace, gaps and lateness, with the clock in the test's hand."""

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import SessionConfig
from gateway.messages import (
    DeviceId,
    Frame,
    FrameFlags,
    FrameSequence,
    Gap,
    GapReason,
    SampleBlock,
    SessionId,
)
from gateway.session import (
    MAX_WAITING_FRAMES,
    LateFrame,
    LiveFrame,
    MissingFrames,
    RepeatedFrame,
    SequenceRanges,
    SessionTrack,
    frame_items,
)

SESSION = SessionId(DeviceId(1), 1, bytes(16))
GRACE_S = SessionConfig().grace_s


def frame(sequence: int, steps: np.ndarray | None = None, flags: int = 0) -> Frame:
    steps = np.zeros(187, dtype=np.int16) if steps is None else steps
    return Frame(SESSION, FrameSequence(sequence), FrameFlags(flags), 0, 250, steps, b"")


def told(steps: list) -> list:
    """Steps in short: 3 for a live frame, ("late", 3), ("again", 3), ("missing", 1, 2)."""
    names = {LateFrame: "late", RepeatedFrame: "again"}
    return [
        ("missing", step.first, step.last)
        if isinstance(step, MissingFrames)
        else step.frame.sequence
        if isinstance(step, LiveFrame)
        else (names[type(step)], step.frame.sequence)
        for step in steps
    ]


def push_all(track: SessionTrack, sequences: list[int], now_s: float = 0.0) -> list:
    return [step for sequence in sequences for step in told(track.push(frame(sequence), now_s))]


def test_frames_in_order_go_straight_through():
    track = SessionTrack(SessionConfig())
    assert push_all(track, [0, 1, 2]) == [0, 1, 2]
    assert track.deadline_s is None


def test_a_swapped_frame_waits_within_the_grace():
    track = SessionTrack(SessionConfig())
    assert push_all(track, [0, 2]) == [0]
    assert track.deadline_s == GRACE_S
    assert track.tick(GRACE_S - 0.001) == []
    assert push_all(track, [1], now_s=GRACE_S - 0.001) == [1, 2]
    assert track.deadline_s is None


def test_a_repeat_of_what_still_waits_is_no_step():
    track = SessionTrack(SessionConfig())
    assert push_all(track, [0, 2, 2, 1, 2]) == [0, 1, 2, ("again", 2)]


def test_after_the_grace_the_missing_become_a_gap_and_then_late():
    track = SessionTrack(SessionConfig())
    push_all(track, [0, 3, 4])
    assert told(track.tick(GRACE_S)) == [("missing", 1, 2), 3, 4]
    assert push_all(track, [2, 1, 2]) == [("late", 2), ("late", 1), ("again", 2)]


def test_two_holes_each_get_their_grace():
    track = SessionTrack(SessionConfig())
    push_all(track, [0, 2, 4])
    assert told(track.tick(GRACE_S)) == [("missing", 1, 1), 2]
    assert track.deadline_s == 2 * GRACE_S
    assert told(track.tick(2 * GRACE_S)) == [("missing", 3, 3), 4]


def test_a_session_first_seen_in_its_middle_starts_with_a_gap():
    assert push_all(SessionTrack(SessionConfig()), [5, 6]) == [("missing", 0, 4), 5, 6]


def test_a_finished_session_is_history():
    track = SessionTrack(SessionConfig())
    push_all(track, [0, 2, 5])
    assert told(track.finish()) == [("missing", 1, 1), 2, ("missing", 3, 4), 5]
    assert push_all(track, [3, 7]) == [("late", 3), ("late", 7)]


def test_a_session_that_was_over_before_its_first_frame_has_no_live_edge():
    track = SessionTrack(SessionConfig())
    assert track.finish() == []
    assert push_all(track, [4, 3]) == [("late", 4), ("late", 3)]


def test_a_restored_track_goes_on_at_its_edge():
    track = SessionTrack(SessionConfig(), received=((0, 3), (6, 8)), edge=9)
    assert push_all(track, [8, 4, 9]) == [("again", 8), ("late", 4), 9]


def test_what_waits_is_bounded():
    track = SessionTrack(SessionConfig())
    waiting = list(range(2, 2 + MAX_WAITING_FRAMES))
    assert push_all(track, [0, *waiting]) == [0]
    beyond = waiting[-1] + 1
    assert push_all(track, [beyond]) == [("missing", 1, 1), *waiting, beyond]


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_each_frame_is_applied_once_and_the_axis_has_no_hole(order, waits):
    track = SessionTrack(SessionConfig())
    now_s, steps = 0.0, []
    for sequence, wait in zip(order, waits, strict=True):
        now_s += GRACE_S if wait else 0.001
        steps += told(track.tick(now_s)) + told(track.push(frame(sequence), now_s))
    steps += told(track.finish())
    axis = [
        list(range(step[1], step[2] + 1)) if isinstance(step, tuple) else [step]
        for step in steps
        if isinstance(step, int) or step[0] == "missing"
    ]
    late = [step[1] for step in steps if isinstance(step, tuple) and step[0] == "late"]
    live = [step for step in steps if isinstance(step, int)]
    flat = list(chain.from_iterable(axis))
    assert flat == list(range(len(flat)))
    assert sorted(live + late) == list(range(12))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=30))
def test_sequence_ranges_are_a_set(pairs):
    ranges, expected = SequenceRanges(), set()
    for first, extra in pairs:
        ranges.add(first, first + extra)
        expected |= set(range(first, first + extra + 1))
    assert {i for i in range(60) if i in ranges} == expected
    assert all(after[0] > before[1] + 1 for before, after in pairwise(ranges.ranges()))
    assert ranges.first_missing() == min(set(range(60)) - expected)
    assert ranges.covers(3, 6) == ({3, 4, 5, 6} <= expected)


def test_samples_come_out_in_microvolts():
    steps = np.arange(187, dtype=np.int16)
    (block,) = frame_items(frame(2, steps, flags=FrameFlags.CLIPPED))
    assert isinstance(block, SampleBlock)
    assert (block.start, block.clipped, block.lead_off) == (374, True, False)
    assert np.array_equal(block.amplitude_uv, steps * 5.0)


@pytest.mark.parametrize("flag", [FrameFlags.LEAD_OFF_POSITIVE, FrameFlags.LEAD_OFF_NEGATIVE])
def test_either_pin_is_lead_off(flag):
    (block,) = frame_items(frame(0, flags=flag))
    assert isinstance(block, SampleBlock)
    assert block.lead_off


def test_invalid_samples_are_a_gap():
    steps = np.ones(187, dtype=np.int16)
    steps[[0, 100, 101, 186]] = -32768
    items = frame_items(frame(1, steps))
    assert [type(item) for item in items] == [Gap, SampleBlock, Gap, SampleBlock, Gap]
    assert [(item.start, item.end) for item in items] == [
        (187, 188),
        (188, 287),
        (287, 289),
        (289, 373),
        (373, 374),
    ]
    assert all(item.reason is GapReason.INVALID for item in items if isinstance(item, Gap))
