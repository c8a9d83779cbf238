"""Asystole through all stages: each is found in time, and none is invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages import LEGAL_SAMPLE_RATES_HZ, Gap, RhythmKind, SampleIndex
from tests.pipeline.streams import cut, ecg_block, make_pipeline, run

rates = st.sampled_from(LEGAL_SAMPLE_RATES_HZ)
rr_intervals_s = st.floats(0.4, 1.4)
LATEST_S = 5.0  # 4 s without a beat, and at most one more to say so


def asystoles(items, rate):
    """Onset and decision, s, of each asystole."""
    events = run(make_pipeline(rate), items).events
    begun = [e for e in events if e.kind is RhythmKind.ASYSTOLE and e.end is None]
    return [(e.onset / rate, e.decided / rate) for e in begun]


def with_pause(rr_s, last_s, pause_s):
    """Regular beats, none between `last_s` and `last_s + pause_s`, both of which are beats."""
    before = np.arange(last_s, 0.3, -rr_s)[::-1]
    after = np.arange(last_s + pause_s, 40.0, rr_s)
    return [*before, *after]


@settings(max_examples=30, deadline=None)
@given(rates, rr_intervals_s, st.floats(12.0, 14.0), st.floats(4.05, 12.0))
def test_each_asystole_is_found_in_time(rate, rr_s, last_s, pause_s):
    block = ecg_block(40, with_pause(rr_s, last_s, pause_s), rate)
    ((onset_s, decided_s),) = asystoles([block], rate)
    assert onset_s == pytest.approx(last_s, abs=0.03)
    assert decided_s <= onset_s + max(LATEST_S, pause_s + 1.3 if pause_s < 4.4 else 0.0)


@settings(max_examples=30, deadline=None)
@given(rates, rr_intervals_s, st.floats(12.0, 14.0), st.floats(1.5, 3.9))
def test_no_shorter_pause_is_one(rate, rr_s, last_s, pause_s):
    assert asystoles([ecg_block(40, with_pause(rr_s, last_s, pause_s), rate)], rate) == []


@settings(max_examples=40, deadline=None)
@given(
    rates,
    rr_intervals_s,
    st.lists(st.tuples(st.floats(0.1, 39.0), st.floats(0.01, 12.0), st.booleans()), max_size=6),
)
def test_neither_gap_nor_lead_off_invents_one(rate, rr_s, losses):
    items = [ecg_block(40, np.arange(0.5, 40, rr_s), rate)]
    for start_s, length_s, is_gap in losses:
        first, past = round(start_s * rate), round((start_s + length_s) * rate) + 1
        items = [
            lost(item, is_gap) if first <= item.start and item.end <= past else item
            for item in cut(items, {first, past})
        ]
    assert asystoles(items, rate) == []


def lost(item, is_gap):
    """The item as a gap, or as the flat line of an open lead that the pins report."""
    if isinstance(item, Gap):
        return item
    if is_gap:
        return Gap(item.start, item.end - item.start)
    return replace(item, amplitude_uv=np.zeros(item.amplitude_uv.size), lead_off=True)


def test_a_flat_line_with_the_leads_on_is_found_at_once():
    block = ecg_block(40, np.arange(0.5, 20, 0.8), 250)
    flat = block.amplitude_uv.copy()
    flat[20 * 250 :] = 0.0
    ((onset_s, decided_s),) = asystoles([replace(block, amplitude_uv=flat)], 250)
    assert (onset_s, decided_s) == pytest.approx((19.7, 24.0), abs=0.03)


def test_a_stream_that_begins_flat_is_an_asystole_from_its_start():
    block = replace(ecg_block(10, [], 250, start_s=100.0), amplitude_uv=np.zeros(2500))
    assert asystoles([block], 250) == [(100.0, 104.3)]
    assert block.start == SampleIndex(25_000)
