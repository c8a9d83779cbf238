"""Fibrillation and asystole are told apart, whatever the R-peak detector makes of either."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.messages import (
    LEGAL_SAMPLE_RATES_HZ,
    Gap,
    RhythmEvent,
    RhythmKind,
    SampleBlock,
    SampleIndex,
)
from tests.dsp.synthetic import block, ecg, fibrillation
from tests.pipeline.streams import bits, cut, make_pipeline, run

VF, ASYSTOLE = RhythmKind.VENTRICULAR_FIBRILLATION, RhythmKind.ASYSTOLE
BEATING_S, LETHAL_S, AFTER_S = 15.0, 20.0, 15.0


def then(rate: int, *parts: np.ndarray) -> SampleBlock:
    """The parts one after the other, in a little noise."""
    signal = np.concatenate(parts)
    return block(signal + np.random.default_rng(4).normal(0.0, 5.0, signal.size), rate)


def beating(rate: int, seconds: float) -> np.ndarray:
    return ecg(rate, seconds, np.arange(0.5, seconds, 0.8))


def flat(rate: int, seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * rate))


def events(rate: int, *items: SampleBlock | Gap) -> list[tuple[RhythmKind, float, float]]:
    """Kind, onset and end of each lethal event."""
    found: dict[tuple[RhythmKind, SampleIndex], RhythmEvent] = {
        (event.kind, event.onset): event
        for event in run(make_pipeline(rate), list(items)).events
        if event.kind in (VF, ASYSTOLE)
    }
    return [(e.kind, e.onset / rate, e.end / rate) for e in found.values() if e.end is not None]


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("peak_uv", [180.0, 600.0], ids=["fine", "coarse"])
def test_fibrillation_is_found_within_10_s_and_is_no_asystole(rate, peak_uv):
    signal = then(rate, beating(rate, BEATING_S), fibrillation(rate, LETHAL_S, peak_uv))
    pushed = run(make_pipeline(rate), [signal]).events
    begun = [event for event in pushed if event.kind is VF]
    assert begun[0].decided / rate <= BEATING_S + 10.0
    assert ASYSTOLE not in {event.kind for event in pushed}


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_heart_that_stops_is_asystole_and_no_fibrillation(rate):
    signal = then(rate, beating(rate, BEATING_S), flat(rate, LETHAL_S), beating(rate, AFTER_S))
    assert [kind for kind, _, _ in events(rate, signal)] == [ASYSTOLE]


def test_fibrillation_that_fades_to_asystole_is_each_in_its_turn():
    rate = 250
    signal = then(rate, beating(rate, BEATING_S), fibrillation(rate, LETHAL_S), flat(rate, AFTER_S))
    (first, _, vf_end), (second, asystole_onset, _) = events(rate, signal)
    assert (first, second) == (VF, ASYSTOLE)
    assert BEATING_S + LETHAL_S - 1.0 <= vf_end <= asystole_onset + 1.0
    assert asystole_onset <= BEATING_S + LETHAL_S + 4.0


def test_leads_that_come_off_are_neither():
    rate = 250
    before = then(rate, beating(rate, BEATING_S))
    chaos = fibrillation(rate, LETHAL_S, peak_uv=2000.0)
    off = SampleBlock(before.end, rate, chaos, lead_off=True)
    after = block(beating(rate, AFTER_S), rate, off.end)
    assert events(rate, before, off, after) == []


def test_a_gap_is_neither():
    rate = 250
    before = then(rate, beating(rate, BEATING_S))
    gap = Gap(before.end, 20 * rate)
    assert events(rate, before, gap, block(beating(rate, AFTER_S), rate, gap.end)) == []


def test_cutting_changes_nothing():
    rate = 125
    signal = then(rate, beating(rate, 6.0), fibrillation(rate, 12.0), flat(rate, 8.0))
    whole = run(make_pipeline(rate), [signal])
    assert {event.kind for event in whole.events} >= {VF, ASYSTOLE}
    for size in (1, 187, 311):
        pieces = cut([signal], range(0, signal.end, size))
        assert bits(run(make_pipeline(rate), pieces)) == bits(whole)
