"""Pacing spikes in made-up signal: their beats have no label, and their rhythm its name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.messages import RhythmKind, SampleBlock, SampleIndex
from tests.pipeline.streams import bits, cut, make_pipeline, run

PACED = RhythmKind.PACED_RHYTHM
BEATS_S = np.arange(0.5, 60.0, 0.85)
SPIKED_RATES = (250, 360, 500)
SPIKE_WIDTH_S = 0.002  # standard deviation: as a 100 Hz front end shows it


def paced_block(rate: int, spike_uv: float, until_s: float = 60.0) -> SampleBlock:
    """Wide beats, each 60 ms behind a spike."""
    time_s = np.arange(60 * rate) / rate
    signal = np.random.default_rng(3).normal(0.0, 5.0, time_s.size)
    for r_s in BEATS_S:
        signal += 900.0 * np.exp(-0.5 * ((time_s - r_s) / 0.030) ** 2)
        if r_s < until_s:
            signal += spike_uv * np.exp(-0.5 * ((time_s - r_s + 0.06) / SPIKE_WIDTH_S) ** 2)
    return SampleBlock(SampleIndex(0), rate, signal)


@pytest.mark.parametrize("polarity", [-1.0, 1.0])
@pytest.mark.parametrize("rate", SPIKED_RATES)
def test_a_paced_rhythm_is_named_and_its_beats_have_no_label(rate, polarity):
    found = run(make_pipeline(rate), [paced_block(rate, 500.0 * polarity)])
    begun, ended = (event for event in found.events if event.kind is PACED)
    assert BEATS_S[14] < begun.decided / rate < BEATS_S[18]  # learning flags the first ones
    assert ended.end is not None
    assert all(beat.label is None for beat in found.beats if beat.r_sample >= begun.decided)
    assert found.vitals[-1].heart_rate_bpm == pytest.approx(60.0 / 0.85, abs=0.5)


@pytest.mark.parametrize("rate", [125, *SPIKED_RATES])
def test_the_same_beats_without_spikes_are_not_paced(rate):
    found = run(make_pipeline(rate), [paced_block(rate, 0.0)])
    assert found.events == ()


def test_labels_come_back_when_the_spikes_are_over():
    found = run(make_pipeline(250), [paced_block(250, 1500.0, until_s=30.0)])
    _, ended = (event for event in found.events if event.kind is PACED)
    assert 30.0 < ended.end / 250 < 54.0
    after = [beat for beat in found.beats if ended.end < beat.r_sample < 58 * 250]
    assert after
    assert all(beat.label is not None for beat in after)


def test_a_heart_that_stops_under_its_pacemaker_is_an_asystole():
    block = paced_block(250, 1500.0)
    still = np.where(np.arange(60 * 250) < 40 * 250, block.amplitude_uv, 0.0)
    found = run(make_pipeline(250), [replace(block, amplitude_uv=still)])
    assert RhythmKind.ASYSTOLE in {event.kind for event in found.events}


def test_findings_do_not_depend_on_the_cutting():
    block = paced_block(250, 1500.0, until_s=30.0)
    whole = run(make_pipeline(250), [block])
    for step in (1, 83, 187):
        pieces = cut([block], range(0, 60 * 250, step))
        assert bits(run(make_pipeline(250), pieces)) == bits(whole)
