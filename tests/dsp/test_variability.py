from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from gateway.dsp.variability import NormalIntervals, lomb_scargle, rmssd_ms, variability
from gateway.messages import Beat, BeatClass, BeatLabel, SampleIndex, Variability

RATE = 250
FIVE_MINUTES = 300 * RATE


def beat(r_sample: int, rr_ms: float | None, beat_class: BeatClass = BeatClass.NORMAL) -> Beat:
    return Beat(SampleIndex(r_sample), 1000.0, rr_ms, False, BeatLabel(beat_class, 0.1))


def beats_of(rr_samples: Iterable[int]) -> list[Beat]:
    """Normal beats, the first at sample 0 without an interval."""
    lengths = list(rr_samples)
    at = np.cumsum([0, *lengths])
    rr_ms = [None, *(1000.0 * length / RATE for length in lengths)]
    return [beat(int(r), rr) for r, rr in zip(at, rr_ms, strict=True)]


def intervals_of(beats: Iterable[Beat], start: int = 0, end: int = FIVE_MINUTES):
    normal = NormalIntervals(RATE)
    normal.push(beats)
    return normal.between(SampleIndex(start), SampleIndex(end))


def of_five_minutes(beats: Iterable[Beat]) -> Variability:
    return variability(intervals_of(beats), RATE)


def wandering(low_ms: float, high_ms: float, seconds: float = 300.0) -> list[int]:
    """RR in samples around 800 ms that swings at 0.1 and at 0.25 Hz."""
    lengths, now_s = [], 0.0
    while now_s < seconds:
        rr_ms = 800.0 + low_ms * np.sin(0.2 * np.pi * now_s) + high_ms * np.sin(np.pi * now_s / 2)
        lengths.append(round(rr_ms * RATE / 1000.0))
        now_s += lengths[-1] / RATE
    return lengths


def test_the_time_measures_are_those_of_the_definition():
    lengths = np.random.default_rng(3).integers(190, 211, 370)
    rr_ms = lengths * 1000.0 / RATE
    steps_ms = np.diff(rr_ms)
    found = of_five_minutes(beats_of(lengths))
    assert found.sdnn_ms == pytest.approx(rr_ms.std(ddof=1))
    assert found.rmssd_ms == pytest.approx(np.sqrt((steps_ms**2).mean()))
    assert found.pnn50_percent == pytest.approx(100.0 * (np.abs(steps_ms) > 50.0).mean())


@pytest.mark.parametrize(("low_ms", "high_ms"), [(30.0, 20.0), (15.0, 40.0), (40.0, 10.0)])
def test_lf_and_hf_of_a_known_swing(low_ms, high_ms):
    found = of_five_minutes(beats_of(wandering(low_ms, high_ms)))
    assert found.lf_hf == pytest.approx((low_ms / high_ms) ** 2, rel=0.12)
    assert found.sdnn_ms == pytest.approx(np.hypot(low_ms, high_ms) / np.sqrt(2), rel=0.05)


def test_a_steady_drift_is_no_low_frequency():
    lengths = wandering(20.0, 30.0)
    drifting = [rr + round(0.1 * n) for n, rr in enumerate(lengths)]
    found, undisturbed = of_five_minutes(beats_of(drifting)), of_five_minutes(beats_of(lengths))
    assert found.lf_hf == pytest.approx(undisturbed.lf_hf, rel=0.2)


def test_the_periodogram_is_scipys():
    random = np.random.default_rng(5)
    at_s, values = np.cumsum(random.uniform(0.5, 1.2, 300)), random.normal(0.0, 40.0, 300)
    frequency_hz = np.arange(0.04, 0.4, 1 / 300)
    reference = signal.lombscargle(at_s, values, 2.0 * np.pi * frequency_hz)
    np.testing.assert_allclose(lomb_scargle(at_s, values, frequency_hz), reference, rtol=1e-9)


@pytest.mark.parametrize("beat_class", [c for c in BeatClass if c is not BeatClass.NORMAL])
def test_both_intervals_of_an_abnormal_beat_are_left_out(beat_class):
    beats = beats_of([200] * 10)
    beats[4] = beat(beats[4].r_sample, beats[4].rr_ms, beat_class)
    found = intervals_of(beats)
    assert [tuple(pair) for pair in found // 200] == [
        (n, n + 1) for n in range(10) if n not in (3, 4)
    ]


def test_both_intervals_of_a_beat_without_a_label_are_left_out():
    beats = beats_of([200] * 10)
    beats[4] = replace(beats[4], label=None)
    assert not {3, 4} & {*(intervals_of(beats)[:, 0] // 200)}


def test_no_interval_spans_a_gap():
    before = beats_of([200] * 3)
    after = [beat(5000, None), beat(5200, 800.0)]
    assert intervals_of(before + after)[-2:].tolist() == [[400, 600], [5000, 5200]]


def test_ectopic_beats_change_nothing():
    """Premature beats with their pauses, some three a minute: the figures of none."""
    lengths = wandering(30.0, 20.0)
    undisturbed = of_five_minutes(beats_of(lengths))
    premature = np.cumsum(np.random.default_rng(0).integers(4, 45, 14))
    for at in premature:
        early = round(0.4 * lengths[at])
        lengths[at], lengths[at + 1] = lengths[at] - early, lengths[at + 1] + early
    beats = beats_of(lengths)
    for at in premature:
        beats[at + 1] = beat(beats[at + 1].r_sample, beats[at + 1].rr_ms, BeatClass.VENTRICULAR)
    found = of_five_minutes(beats)
    assert found.sdnn_ms == pytest.approx(undisturbed.sdnn_ms, rel=0.05)
    assert found.rmssd_ms == pytest.approx(undisturbed.rmssd_ms, rel=0.05)
    assert found.lf_hf == pytest.approx(undisturbed.lf_hf, rel=0.15)


@pytest.mark.parametrize("wrong", [lambda rr: [2 * rr], lambda rr: [rr // 3, rr - rr // 3]])
def test_a_missed_or_a_false_beat_that_is_called_normal_changes_little(wrong):
    lengths = wandering(30.0, 20.0)
    undisturbed = of_five_minutes(beats_of(lengths))
    for at in range(340, 0, -40):
        lengths[at : at + 1] = wrong(lengths[at])
    found = of_five_minutes(beats_of(lengths))
    assert found.sdnn_ms == pytest.approx(undisturbed.sdnn_ms, rel=0.1)
    assert found.rmssd_ms == pytest.approx(undisturbed.rmssd_ms, rel=0.1)


@pytest.mark.parametrize(("beats", "known"), [(301, True), (300, False)])
def test_five_minutes_need_four_of_normal_beats(beats, known):
    found = of_five_minutes(beats_of([200] * beats)[:-1])
    assert (found.sdnn_ms is not None) == known
    assert (found.rmssd_ms is not None) == known


def test_a_heart_like_a_clock_has_no_ratio():
    found = of_five_minutes(beats_of([200] * 370))
    assert (found.sdnn_ms, found.rmssd_ms, found.pnn50_percent, found.lf_hf) == (
        0.0,
        0.0,
        0.0,
        None,
    )


@pytest.mark.parametrize(("beats", "known"), [(61, True), (60, False)])
def test_rmssd_of_a_minute_needs_most_of_it(beats, known):
    minute = intervals_of(beats_of([200] * beats)[:-1], 0, 60 * RATE)
    assert (rmssd_ms(minute, RATE, 60.0) is not None) == known


def test_what_is_five_minutes_old_is_forgotten():
    normal = NormalIntervals(RATE)
    normal.push(beats_of([200] * 1000))
    normal.between(SampleIndex(0), SampleIndex(2 * FIVE_MINUTES))
    assert normal.between(SampleIndex(0), SampleIndex(2 * FIVE_MINUTES))[0].tolist() == [
        75000,
        75200,
    ]


def test_beats_may_come_in_any_pieces():
    beats = beats_of(wandering(30.0, 20.0))
    one_by_one = NormalIntervals(RATE)
    for each in beats:
        one_by_one.push([each])
    found = one_by_one.between(SampleIndex(0), SampleIndex(FIVE_MINUTES))
    assert found.tolist() == intervals_of(beats).tolist()


@pytest.mark.parametrize("beats", [[], beats_of([]), beats_of([200])])
def test_hardly_any_beats(beats):
    assert of_five_minutes(beats) == Variability()
