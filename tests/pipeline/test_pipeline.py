from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import AlarmLimits
from gateway.dsp.notch import NotchMode
from gateway.messages import (
    LEGAL_SAMPLE_RATES_HZ,
    Findings,
    Gap,
    QualityReason,
    RhythmKind,
    SampleBlock,
    SampleIndex,
)
from gateway.pipeline import Pipeline
from gateway.wfdb_files import read_lead
from tests.fakes import FakeClassifier
from tests.pipeline.streams import bits, cut, ecg_block, eventful_stream, make_pipeline, run

RATE = 250
REGULAR_S = np.arange(0.5, 30, 0.8)


@cache
def uncut(rate: int) -> Findings:
    return run(make_pipeline(rate), eventful_stream(rate))


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from(LEGAL_SAMPLE_RATES_HZ),
    cuts_s=st.lists(st.floats(0.0, 60.0), max_size=60),
)
def test_findings_do_not_depend_on_how_the_signal_was_cut(rate, cuts_s):
    pieces = cut(eventful_stream(rate), {round(cut_s * rate) for cut_s in cuts_s})
    assert bits(run(make_pipeline(rate), pieces)) == bits(uncut(rate))


def test_findings_are_the_same_sample_by_sample():
    pieces = cut(eventful_stream(125), range(60 * 125))
    assert bits(run(make_pipeline(125), pieces)) == bits(uncut(125))


def test_the_eventful_stream_has_all_that_the_cutting_must_not_change():
    found = uncut(RATE)
    kinds = {event.kind for event in found.events}
    assert {RhythmKind.ASYSTOLE, RhythmKind.TACHYCARDIA, RhythmKind.BRADYCARDIA} <= kinds
    assert {beat.label and beat.label.beat_class.value for beat in found.beats} == {"N", "V", None}


def test_each_beat_comes_once_and_in_order():
    found = run(make_pipeline(RATE), cut([ecg_block(30, REGULAR_S)], range(0, 7500, 187)))
    at_s = np.array([beat.r_sample for beat in found.beats]) / RATE
    assert at_s == pytest.approx(REGULAR_S, abs=0.02)


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_beat_is_labelled_within_0_85_seconds(rate):
    """Beats at every phase of the hops that quality is judged in."""
    pipeline, labelled = make_pipeline(rate), 0
    for item in cut([ecg_block(40, np.arange(0.5, 40, 0.77), rate)], range(40 * rate)):
        for beat in pipeline.push(item).beats:
            labelled += beat.label is not None
            assert beat.searched_back or item.end - beat.r_sample <= 0.85 * rate + 1
    assert labelled >= 47


@pytest.mark.recordings
@pytest.mark.parametrize("name", ["119", "203"])
def test_labels_of_a_recording_come_within_0_9_seconds(ecg_data, name):
    """Two minutes, with ventricular beats and noise, in pieces of 11 ms."""
    lead = read_lead(ecg_data / "mitdb" / name, None)
    rate = lead.sample_rate_hz
    signal = SampleBlock(SampleIndex(0), rate, lead.amplitude_uv[: 120 * rate])
    pipeline, delays_s = make_pipeline(rate), []
    for item in cut([signal], range(0, 120 * rate, 4)):
        beats = pipeline.push(item).beats
        delays_s += [(item.end - b.r_sample) / rate for b in beats if not b.searched_back]
    assert len(delays_s) > 100
    assert max(delays_s) <= 0.9


def test_an_unusable_second_gives_neither_rate_nor_label():
    block = ecg_block(30, REGULAR_S)
    edges = range(10 * RATE, 12 * RATE + 1, 2 * RATE)
    before, off, after = cut([block], edges)
    found = run(make_pipeline(RATE), [before, replace(off, lead_off=True), after])
    for second in found.vitals:
        assert second.quality.rate_usable or second.heart_rate_bpm is None
    labelled_s = [beat.r_sample // RATE for beat in found.beats if beat.label]
    assert not {10, 11} & {*labelled_s}
    assert {9, 13} <= {*labelled_s}


def test_heart_rate_of_each_second():
    found = run(make_pipeline(RATE), [ecg_block(30, REGULAR_S)])
    settled = [second.heart_rate_bpm for second in found.vitals[8:]]
    assert settled == pytest.approx([75.0] * len(settled), abs=0.5)


def test_no_rate_rests_on_the_time_with_a_lead_off():
    """Six seconds of beats, eight with a lead off, then beats again."""
    beats_s = [*np.arange(0.5, 6.0, 0.8), *np.arange(14.5, 24.0, 0.8)]
    items = list(cut([ecg_block(24, beats_s)], [6 * RATE, 14 * RATE]))
    items[1] = replace(items[1], lead_off=True)
    found = run(make_pipeline(RATE), items)
    rates = [second.heart_rate_bpm for second in found.vitals]
    assert all(rate is None or rate == pytest.approx(75.0, abs=1.0) for rate in rates)
    assert rates[18] == pytest.approx(75.0, abs=1.0)


def test_a_beat_whose_window_meets_a_gap_has_no_label_and_the_next_no_rr():
    block = ecg_block(30, REGULAR_S)
    before, lost, after = cut([block], (round(10.6 * RATE), round(12.6 * RATE)))
    gap = Gap(lost.start, lost.amplitude_uv.size)
    beats = run(make_pipeline(RATE), [before, gap, after]).beats
    last = max(i for i, beat in enumerate(beats) if beat.r_sample < gap.start)
    assert beats[last].label is None
    assert beats[last + 1].rr_ms is None
    assert beats[last + 2].rr_ms == pytest.approx(800, abs=8)


def test_the_filter_starts_anew_behind_a_gap():
    """Another baseline, as after an electrode was replaced, rings into nothing."""
    block = ecg_block(10, REGULAR_S[:12])
    before, lost, after = cut([block], (1000, 1250))
    shifted = replace(after, amplitude_uv=after.amplitude_uv + 50_000.0)
    found = run(make_pipeline(RATE), [before, Gap(lost.start, 250), shifted])
    assert np.abs(found.filtered[-1].amplitude_uv).max() < 2000.0


def test_every_second_of_a_long_gap_is_unknown():
    gap = Gap(SampleIndex(10 * RATE), 600 * RATE)
    found = run(make_pipeline(RATE), [ecg_block(10, REGULAR_S[:11]), gap])
    assert [second.start for second in found.vitals] == [RATE * second for second in range(610)]
    assert all(QualityReason.GAP in second.quality.reasons for second in found.vitals[10:])
    assert found.events == ()


def test_a_session_may_be_taken_up_in_the_middle():
    found = run(make_pipeline(RATE), [ecg_block(30, REGULAR_S, start_s=1000.4)])
    assert found.events == ()
    assert found.vitals[0].start == 1000 * RATE
    assert QualityReason.GAP in found.vitals[0].quality.reasons
    assert found.beats[-1].r_sample / RATE == pytest.approx(1000.4 + REGULAR_S[-1], abs=0.02)


def test_finish_gives_what_waits_and_ends_what_is_open():
    found = run(make_pipeline(RATE), [ecg_block(20, [*np.arange(0.5, 10, 0.8)])])
    begun, ended = found.events
    assert (begun.kind, begun.end) == (RhythmKind.ASYSTOLE, None)
    assert ended == replace(begun, end=ended.end, decided=ended.decided)
    assert ended.end == 20 * RATE


def test_the_last_whole_second_is_judged_and_its_beats_labelled():
    found = run(make_pipeline(RATE), [ecg_block(9.8, REGULAR_S[:12])])
    assert [second.start // RATE for second in found.vitals] == [*range(9)]
    assert found.vitals[-1].heart_rate_bpm == pytest.approx(75.0, abs=0.5)
    assert [beat.label is not None for beat in found.beats[-2:]] == [True, False]  # window cut off


def test_finish_without_signal_gives_nothing():
    assert make_pipeline(RATE).finish() == Findings()


@pytest.mark.parametrize("cuts", [range(0, 30 * RATE, 187), range(30 * RATE)])
def test_mains_hum_is_gone_where_the_notch_hears_it(cuts):
    hum_uv = 300.0 * np.sin(2.0 * np.pi * 50.0 * np.arange(30 * RATE) / RATE)
    block = ecg_block(30, REGULAR_S)
    humming = replace(block, amplitude_uv=block.amplitude_uv + hum_uv)
    off, auto = (
        run(Pipeline(RATE, FakeClassifier(), AlarmLimits(), mode), cut([humming], cuts))
        for mode in (NotchMode.OFF, NotchMode.AUTO)
    )
    assert not any(second.quality.rate_usable for second in off.vitals[1:])
    assert [second.quality.rate_usable for second in auto.vitals[15:]] == [True] * 15
    assert bits(auto) == bits(
        run(Pipeline(RATE, FakeClassifier(), AlarmLimits(), NotchMode.AUTO), [humming])
    )


def test_the_notch_starts_anew_behind_a_gap():
    before = SampleBlock(SampleIndex(0), RATE, np.full(RATE, 500.0))
    after = SampleBlock(SampleIndex(2 * RATE), RATE, np.full(RATE, 50_000.0))
    pipeline = Pipeline(RATE, FakeClassifier(), AlarmLimits(), NotchMode.FIFTY)
    found = run(pipeline, [before, Gap(SampleIndex(RATE), RATE), after])
    assert np.abs(found.filtered[-1].amplitude_uv).max() < 1.0
