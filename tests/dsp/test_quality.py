from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dsp.filters import BandPass
from gateway.dsp.quality import QualityMeter
from gateway.dsp.quality_measures import rate
from gateway.dsp.r_peaks import RPeakDetector
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, Gap, Quality, QualityReason, SampleBlock
from tests.dsp.synthetic import block, cut_up, ecg

RATE = 250
BEATS_S = np.arange(0.5, 30.0, 0.8)


def metered(*items: SampleBlock | Gap) -> tuple[QualityMeter, list[Quality]]:
    rate = next(i.sample_rate_hz for i in items if isinstance(i, SampleBlock))
    band_pass, detector, meter = BandPass(rate), RPeakDetector(rate), QualityMeter(rate)
    judged = []
    for item in items:
        if isinstance(item, Gap):
            band_pass.reset()
        filtered = band_pass.push(item) if isinstance(item, SampleBlock) else item
        judged += meter.push(item, filtered, detector.push(item), detector.take_doubtful())
    return meter, judged


def judge(*items: SampleBlock | Gap) -> list[Quality]:
    return metered(*items)[1]


def reasons(judged: list[Quality], second: int) -> frozenset[QualityReason]:
    return next(q.reasons for q in judged if q.start == second * RATE)


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_clean_ecg_is_good_and_every_second_is_judged_once(rate):
    judged = judge(block(ecg(rate, 30.5, BEATS_S, noise_uv=10.0), rate))
    assert [q.start for q in judged] == [k * rate for k in range(30)]
    assert all(q.rate_usable and q.lethal_usable and q.index > 0.5 for q in judged)


def test_bigeminy_is_not_noise():
    signal = ecg(RATE, 30.5, BEATS_S[::2]) + ecg(RATE, 30.5, BEATS_S[1::2] - 0.25, r_uv=-1800.0)
    assert all(q.rate_usable for q in judge(block(signal, RATE)))


def with_one_more(r_uv: float, at_s: float = 16.8) -> list[Quality]:
    """A deflection between two beats, in the middle of the interval from 16.5 s to 17.3 s."""
    narrow = ecg(RATE, 30.0, [at_s], r_uv, noise_uv=0.0)
    return judge(block(ecg(RATE, 30.0, BEATS_S[BEATS_S < 30]) + narrow, RATE))


def test_a_small_odd_beat_between_two_others_makes_no_good_rate():
    judged = with_one_more(-600.0)
    told = [q.start // RATE for q in judged if QualityReason.ELECTRODE_MOTION in q.reasons]
    assert told == [*range(17, 22)]  # as long as both its intervals are in the rate's mean
    assert all(q.lethal_usable for q in judged)


def test_an_interpolated_ventricular_beat_is_not_noise():
    assert all(q.rate_usable for q in with_one_more(-2000.0))


def test_what_was_nearly_a_beat_makes_no_good_rate_and_leaves_the_labels():
    band_pass, detector, meter = BandPass(RATE), RPeakDetector(RATE), QualityMeter(RATE)
    signal = block(ecg(RATE, 30.5, BEATS_S), RATE)
    doubtful = [round(16.9 * RATE)]
    judged = meter.push(signal, band_pass.push(signal), detector.push(signal), doubtful)
    told = [q.start // RATE for q in judged if q.reasons == {QualityReason.DETECTOR_DISAGREEMENT}]
    assert told == [*range(16, 23)]  # as long as the interval around it is in the rate's mean
    assert meter.is_fit(round(16.9 * RATE))


@pytest.mark.parametrize(("noise_uv", "fit", "usable"), [(20, 1, 1), (108, 1, 0), (250, 0, 0)])
def test_a_label_stands_more_noise_than_a_rate(noise_uv, fit, usable):
    signal = ecg(RATE, 30.0, BEATS_S[BEATS_S < 30], noise_uv=noise_uv)
    meter, judged = metered(block(signal, RATE))
    assert all(q.rate_usable == usable for q in judged[10:])
    r_samples = [round(r_s * RATE) for r_s in BEATS_S if 15.0 < r_s < 29.0]
    assert [meter.is_fit(r) for r in r_samples] == [fit] * len(r_samples)


def test_a_beat_is_judged_0_85_s_after_r_at_most():
    band_pass, detector, meter = BandPass(RATE), RPeakDetector(RATE), QualityMeter(RATE)
    assert not meter.has_judged(0)
    assert not meter.is_fit(0)
    signal = block(ecg(RATE, 10.0, BEATS_S[BEATS_S < 10]), RATE)
    for piece in cut_up(signal, range(10 * RATE)):
        assert isinstance(piece, SampleBlock)
        peaks = detector.push(piece)
        meter.push(piece, band_pass.push(piece), peaks, detector.take_doubtful())
        assert meter.has_judged(piece.end - round(0.85 * RATE) - 1)
        assert piece.end < RATE or not meter.has_judged(piece.end - round(0.59 * RATE))


def test_a_beat_longer_ago_than_search_back_looks_is_not_fit():
    meter, _ = metered(block(ecg(RATE, 30.0, BEATS_S[BEATS_S < 30]), RATE))
    assert meter.is_fit(20 * RATE)
    assert not meter.is_fit(10 * RATE)


def noisy(kind: str) -> np.ndarray:
    """30 s of ECG, of which the second half is spoilt."""
    time_s = np.arange(30 * RATE) / RATE
    random = np.random.default_rng(2)
    spoilt = {
        "mains": 1500.0 * np.sin(2 * np.pi * 50.0 * time_s),
        "baseline wander": 15000.0 * np.sin(2 * np.pi * 0.3 * time_s),
        "muscle": random.normal(0.0, 400.0, time_s.size),
    }[kind]
    return ecg(RATE, 30.0, BEATS_S) + np.where(time_s >= 15.0, spoilt, 0.0)


@pytest.mark.parametrize("kind", ["mains", "baseline wander", "muscle"])
def test_noise_is_named_and_closes_the_rate_gate_alone(kind):
    judged = judge(block(noisy(kind), RATE))
    assert reasons(judged, 10) == frozenset()
    assert QualityReason(kind) in reasons(judged, 20)
    spoilt = [q for q in judged if q.start >= 20 * RATE]
    assert not any(q.rate_usable for q in spoilt)
    assert all(q.lethal_usable for q in spoilt)


def test_flat_with_the_leads_on_may_be_asystole():
    judged = judge(block(ecg(RATE, 30.0, BEATS_S[BEATS_S < 15]), RATE))
    assert reasons(judged, 25) == {QualityReason.FLAT}
    assert [q.lethal_usable for q in judged if q.start == 25 * RATE] == [True]


def test_lead_off_closes_both_gates_for_its_seconds():
    signal = ecg(RATE, 12.0, BEATS_S[BEATS_S < 12])
    off = SampleBlock(5 * RATE, RATE, signal[5 * RATE : 6 * RATE], lead_off=True)
    judged = judge(block(signal[: 5 * RATE], RATE), off, block(signal[6 * RATE :], RATE, 6 * RATE))
    assert [q.start // RATE for q in judged if QualityReason.LEAD_OFF in q.reasons] == [5]
    assert [q.start // RATE for q in judged if not q.lethal_usable] == [5]


@pytest.mark.parametrize("flagged", [True, False])
def test_clipping_is_told_by_the_sensor_or_by_the_rails(flagged):
    signal = ecg(RATE, 12.0, BEATS_S[BEATS_S < 12], r_uv=1000.0 if flagged else 4000.0)
    signal = signal if flagged else np.minimum(signal, 700.0) + ecg(RATE, 12.0, [], noise_uv=0.0)
    signal[6 * RATE : 6 * RATE + 30] = 700.0 if not flagged else signal[6 * RATE]
    items = [
        block(signal[: 6 * RATE], RATE),
        SampleBlock(6 * RATE, RATE, signal[6 * RATE : 7 * RATE], clipped=flagged),
        block(signal[7 * RATE :], RATE, 7 * RATE),
    ]
    judged = judge(*items)
    assert QualityReason.CLIPPED in reasons(judged, 6)
    assert [q.lethal_usable for q in judged if q.start == 6 * RATE] == [False]


def test_each_second_that_a_gap_touches_is_unusable():
    signal = ecg(RATE, 12.0, BEATS_S[BEATS_S < 12])
    start, end = 4 * RATE + 100, 6 * RATE + 1
    judged = judge(
        block(signal[:start], RATE), Gap(start, end - start), block(signal[end:], RATE, end)
    )
    touched = [q.start // RATE for q in judged if q.reasons == {QualityReason.GAP}]
    assert touched == [4, 5, 6]
    assert all(q.lethal_usable == (q.start // RATE not in touched) for q in judged)


def test_a_second_before_the_first_sample_is_a_gap():
    judged = judge(block(ecg(RATE, 8.0, BEATS_S[BEATS_S < 8]), RATE, start=600))
    assert judged[0].start == 500
    assert judged[0].reasons == {QualityReason.GAP}
    assert QualityReason.GAP not in judged[1].reasons


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 2999), max_size=200))
def test_chunking_changes_nothing(cuts):
    first = noisy("muscle")[12 * RATE : 18 * RATE]
    items = [block(first, RATE, 40), Gap(1540, 100), block(noisy("mains")[3360:], RATE, 1640)]
    assert judge(*(p for item in items for p in cut_up(item, cuts))) == judge(*items)


@pytest.mark.parametrize(
    ("intervals_s", "score"),
    [
        ([], 1.0),
        ([0.8] * 8, 1.0),
        ([0.25] * 8, 1.0),  # 240 bpm
        ([3.2] * 3, 0.0),
        ([0.8, 0.8, 0.2, 0.6, 0.8], 1.0),  # one odd beat
        ([0.44, 0.22] * 4, 0.0),  # a T wave counted beside each QRS
    ],
)
def test_a_rate_is_implausible_where_no_ventricle_could_follow(intervals_s, score):
    assert rate(np.array(intervals_s)) == score
