"""Ventricular runs through all stages: told in time, whatever the cutting, unbroken by noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import AlarmLimits
from gateway.messages import (
    LEGAL_SAMPLE_RATES_HZ,
    BeatClass,
    BeatLabel,
    BeatWindow,
    Gap,
    RhythmKind,
    SampleBlock,
    SampleIndex,
)
from gateway.pipeline import Pipeline
from tests.fakes import FakeClassifier
from tests.pipeline.streams import bits, cut, ecg_block, run

RATE = 250
RUN_FROM_S = 20.0
DECIDED_S = 1.0  # from the fifth R peak: 0.85 s to its label, and what is asked in between


class RunClassifier(FakeClassifier):
    """Calls the beats from 20 s on ventricular, so many of them; all others normal."""

    def __init__(self, rate: int, beats: int) -> None:
        super().__init__()
        first_s, past_s = RUN_FROM_S - 0.1, RUN_FROM_S + 0.4 * beats - 0.1
        self._first, self._past = first_s * rate, past_s * rate

    def classify(self, windows: Sequence[BeatWindow]) -> list[BeatLabel]:
        inside = [self._first <= window.r_sample < self._past for window in windows]
        normal = BeatLabel(BeatClass.NORMAL, 0.1)
        return [BeatLabel(BeatClass.VENTRICULAR, 0.9) if run else normal for run in inside]


def pipeline(beats: int, rate: int = RATE) -> Pipeline:
    return Pipeline(rate, RunClassifier(rate, beats), AlarmLimits())


@cache
def with_run(beats: int, rate: int = RATE) -> SampleBlock:
    """Beats at 75 bpm; from 20 s on so many at 150."""
    run_s = RUN_FROM_S + 0.4 * np.arange(beats)
    before_s = np.arange(0.5, RUN_FROM_S - 0.3, 0.8)
    after_s = np.arange(run_s[-1] + 0.8, 32.0, 0.8)
    return ecg_block(32, [*before_s, *run_s, *after_s], rate)


def tachycardias(found):
    kind = RhythmKind.VENTRICULAR_TACHYCARDIA
    return [event for event in found.events if event.kind is kind and event.end is None]


@pytest.mark.parametrize(("beats", "found"), [(3, 0), (4, 0), (5, 1), (6, 1), (9, 1)])
def test_five_in_a_row_are_a_tachycardia_told_in_time(beats, found):
    events = tachycardias(run(pipeline(beats), [with_run(beats)]))
    assert len(events) == found
    for event in events:
        assert event.onset / RATE == pytest.approx(RUN_FROM_S, abs=0.02)
        assert event.decided - event.evidence[-1] <= DECIDED_S * RATE
        assert event.decided - event.onset <= 10 * RATE


@settings(max_examples=10, deadline=None)
@given(
    rate=st.sampled_from(LEGAL_SAMPLE_RATES_HZ),
    cuts_s=st.lists(st.floats(0.0, 32.0), max_size=40),
)
def test_when_it_is_told_does_not_depend_on_the_cutting(rate, cuts_s):
    block = with_run(9, rate)
    whole = run(pipeline(9, rate), [block])
    assert tachycardias(whole)
    pieces = cut([block], {round(cut_s * rate) for cut_s in cuts_s})
    assert bits(run(pipeline(9, rate), pieces)) == bits(whole)


@pytest.mark.parametrize("lost", ["gap", "lead off"])
def test_a_run_that_is_lost_in_the_middle_is_none(lost):
    """Four of nine before and two after a stretch that nobody saw."""
    first, past = round(21.3 * RATE), round(22.7 * RATE)
    items = list(cut([with_run(9)], {first, past}))
    if lost == "gap":
        items[1] = Gap(SampleIndex(first), past - first)
    else:
        flat = np.zeros(past - first)
        items[1] = replace(items[1], amplitude_uv=flat, lead_off=True)
    assert tachycardias(run(pipeline(9), items)) == []
