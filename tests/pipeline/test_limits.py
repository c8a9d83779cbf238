"""Other limits in mid-stream: they hold at once, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway import checkpoint
from gateway.config import AlarmLimits
from gateway.messages import Findings, RhythmEvent, RhythmKind
from gateway.pipeline import Pipeline
from tests.fakes import FakeClassifier
from tests.pipeline.streams import bits, cut, ecg_block, eventful_stream, joined, run

RATE = 250
OTHERS = AlarmLimits(
    asystole_s=9.0,
    pause_s=2.0,
    heart_rate_low_bpm=60.0,
    heart_rate_high_bpm=160.0,
    heart_rate_extreme_low_bpm=25.0,
    heart_rate_extreme_high_bpm=170.0,
    ventricular_beats_per_minute=2.0,
    abnormal_burden_percent=2.0,
)


def with_limits(limits: AlarmLimits) -> Pipeline:
    return Pipeline(RATE, FakeClassifier(), limits)


def changed_at(at_s: float, stream, before=AlarmLimits(), after=OTHERS) -> Findings:  # noqa: B008  frozen
    at = round(at_s * RATE)
    pipeline = with_limits(before)
    found = []
    for item in cut(stream, {at}):
        if item.start == at:
            pipeline.change_limits(after)
        found.append(pipeline.push(item))
    return joined([*found, pipeline.finish()])


def events_of(found: Findings, kind: RhythmKind) -> list[RhythmEvent]:
    return [event for event in found.events if event.kind is kind]


def begun_s(found: Findings, kind: RhythmKind) -> list[float]:
    """When each event of the kind was decided, seconds."""
    return [event.decided / RATE for event in events_of(found, kind) if event.end is None]


@pytest.mark.parametrize("at_s", [0.0, 7.7, 29.5, 45.0])
def test_no_beat_is_lost_or_changed(at_s):
    whole = run(with_limits(AlarmLimits()), eventful_stream(RATE))
    found = changed_at(at_s, eventful_stream(RATE))
    assert bits(replace(found, events=())) == bits(replace(whole, events=()))


def test_limits_from_the_start_are_those_that_it_was_built_with():
    stream = eventful_stream(RATE)
    assert bits(changed_at(0.0, stream)) == bits(run(with_limits(OTHERS), stream))
    assert bits(changed_at(0.0, stream)) != bits(run(with_limits(AlarmLimits()), stream))


def test_a_rate_that_is_beyond_the_new_limit_is_told_at_once():
    stream = [ecg_block(40, np.arange(0.5, 40, 0.6))]  # 100 bpm
    found = changed_at(20.0, stream, after=AlarmLimits(heart_rate_high_bpm=90.0))
    (decided_s,) = begun_s(found, RhythmKind.TACHYCARDIA)
    assert 20.0 <= decided_s <= 21.3


def test_a_rate_that_the_new_limit_allows_is_over_at_once():
    stream = [ecg_block(40, np.arange(0.5, 40, 0.46))]  # 130 bpm
    found = changed_at(20.0, stream, after=AlarmLimits(heart_rate_high_bpm=138.0))
    begun, ended = events_of(found, RhythmKind.TACHYCARDIA)
    assert (begun.end, ended.onset) == (None, begun.onset)
    assert 20.0 <= ended.decided / RATE <= 21.3


def test_slow_intervals_before_the_change_count_by_the_new_limit():
    stream = [ecg_block(40, np.arange(0.5, 40, 1.8))]  # 33 bpm
    slow = AlarmLimits(heart_rate_low_bpm=31.0, heart_rate_extreme_low_bpm=30.0)
    found = changed_at(20.0, stream, before=slow, after=AlarmLimits())
    (decided_s,) = begun_s(found, RhythmKind.EXTREME_BRADYCARDIA)
    assert 20.0 <= decided_s <= 21.3


def test_a_longer_asystole_is_waited_for():
    stream = [ecg_block(40, np.arange(0.5, 20, 0.8))]
    found = changed_at(22.0, stream)
    (decided_s,) = begun_s(found, RhythmKind.ASYSTOLE)
    assert decided_s == pytest.approx(19.7 + 9.3, abs=0.1)


def test_a_checkpoint_goes_on_under_other_limits():
    """As after a restart for which the house's limits were changed."""
    first, second = (
        [item for item in cut(eventful_stream(RATE), {9000}) if (item.end <= 9000) is early]
        for early in (True, False)
    )
    original = with_limits(AlarmLimits())
    for item in first:
        original.push(item)
    restored = with_limits(OTHERS)
    checkpoint.load(restored, checkpoint.save(original))
    original.change_limits(OTHERS)
    assert bits(run(restored, second)) == bits(run(original, second))
