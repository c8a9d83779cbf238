from __future__ import annotations

import numpy as np
import pytest

from gateway.messages import (
    Beat,
    BeatClass,
    BeatLabel,
    Minute,
    Quality,
    SampleIndex,
    Variability,
    VitalSigns,
)
from gateway.minutes import Minutes

RATE = 250
NORMAL = BeatLabel(BeatClass.NORMAL, 0.1)


def second(number: int) -> VitalSigns:
    start = SampleIndex(number * RATE)
    return VitalSigns(start, 75.0, Quality(start, 1.0, frozenset(), True, True))


def swinging_beats(seconds: float) -> list[Beat]:
    beats, now_s, rr_ms = [], 0.5, None
    while now_s < seconds:
        beats.append(Beat(SampleIndex(round(now_s * RATE)), 1000.0, rr_ms, False, NORMAL))
        rr_ms = 800.0 + 40.0 * np.sin(np.pi * now_s / 2)
        now_s += rr_ms / 1000.0
    return beats


def minutes_of(beats: list[Beat], seconds: int) -> list[Minute]:
    """A second at a time, each with the beats of the second before it."""
    minutes = Minutes(RATE)
    found = []
    for number in range(seconds):
        due = [beat for beat in beats if number - 1 <= beat.r_sample / RATE < number]
        found += minutes.push(due, [second(number)])
    return [*found, *minutes.finish()]


def test_each_minute_has_its_rmssd_and_from_the_fifth_on_five_minutes_variability():
    found = minutes_of(swinging_beats(420.0), 420)
    assert [minute.rmssd_ms is not None for minute in found] == [True] * 7
    # a swing of 40 ms RMS/√2, sampled each 0.8 s of its 4 s: 2·40/√2·sin(π·0.8/4)
    assert [minute.rmssd_ms for minute in found] == pytest.approx([33.2] * 7, rel=0.1)
    assert [minute.variability == Variability() for minute in found] == [*[True] * 4, *[False] * 3]
    assert found[5].variability.sdnn_ms == pytest.approx(40.0 / np.sqrt(2), rel=0.05)


def test_a_minute_without_labels_has_no_rmssd():
    unlabelled = [
        Beat(beat.r_sample, beat.amplitude_uv, beat.rr_ms, False, None)
        for beat in swinging_beats(120.0)
    ]
    assert [minute.rmssd_ms for minute in minutes_of(unlabelled, 120)] == [None, None]
