from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from gateway.dsp.r_peaks import RPeakDetector
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, Gap, RPeak, SampleBlock
from tests.dsp.synthetic import block, cut_up, ecg

REGULAR_S = np.arange(0.7, 29.5, 0.8)


def detect(items) -> list[RPeak]:
    items = list(items)
    detector = RPeakDetector(next(i.sample_rate_hz for i in items if isinstance(i, SampleBlock)))
    return [peak for item in items for peak in detector.push(item)] + detector.finish()


def seconds(peaks: list[RPeak], rate: int) -> np.ndarray:
    return np.array([peak.sample for peak in peaks]) / rate


def irregular_with_gap() -> list[SampleBlock | Gap]:
    """A weak beat, an early beat, a step in the offset, a gap and a change of gain."""
    rate = 250
    first = ecg(rate, 10.0, [0.6, 1.4, 2.2, 2.7, 3.9, 4.7, 6.3, 7.1, 7.9, 8.7, 9.5])
    first += ecg(rate, 10.0, [5.5], r_uv=230.0, noise_uv=20.0)
    first[1700:] += 3000.0
    second = ecg(rate, 12.0, np.arange(0.4, 12.0, 0.7), r_uv=-400.0)
    return [block(first, rate, start=31), Gap(2531, 469), block(second, rate, start=3000)]


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("r_uv", [1000.0, -1000.0, 300.0, 4000.0])
def test_every_beat_is_found_once_where_it_is(rate, r_uv):
    peaks = detect([block(ecg(rate, 30.0, REGULAR_S, r_uv), rate)])
    found_s = seconds(peaks, rate)
    assert found_s.size == REGULAR_S.size
    assert np.abs(found_s - REGULAR_S).max() <= 1 / 125
    assert all(np.sign(peak.amplitude_uv) == np.sign(r_uv) for peak in peaks)
    # only the beats of the first two seconds are found late, by learning
    assert [peak.searched_back for peak in peaks] == [r < 2.0 for r in found_s]


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_beat_is_decided_within_300_ms(rate):
    detector = RPeakDetector(rate)
    signal = ecg(rate, 10.0, np.arange(0.5, 10.0, 0.8))
    decided = []
    for start in range(signal.size):
        for peak in detector.push(block(signal[start : start + 1], rate, start)):
            if not peak.searched_back:
                decided.append((peak.sample, start))
    assert len(decided) == 10
    assert max(now - r for r, now in decided) <= 0.300 * rate


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 2999), max_size=300))
def test_chunking_changes_nothing(cuts):
    items = irregular_with_gap()
    assert detect(p for item in items for p in cut_up(item, cuts)) == detect(items)


@pytest.mark.parametrize("size", [1, 187, 4000])
def test_every_push_size_gives_the_same_peaks(size):
    items = irregular_with_gap()
    assert detect(p for i in items for p in cut_up(i, range(size, 4000, size))) == detect(items)


def test_peaks_come_in_order():
    samples = [peak.sample for peak in detect(irregular_with_gap())]
    assert all(a < b for a, b in pairwise(samples))


@pytest.mark.parametrize("noise_uv", [0.0, 20.0])
def test_nothing_is_found_where_there_is_no_heart(noise_uv):
    assert detect([block(ecg(250, 60.0, [], noise_uv=noise_uv) + 500.0, 250)]) == []


def test_what_is_too_small_for_a_qrs_is_not_counted():
    assert detect([block(ecg(250, 30.0, REGULAR_S, r_uv=110.0, noise_uv=2.0), 250)]) == []


@pytest.mark.parametrize("noise_uv", [0.0, 20.0])
def test_asystole_stays_empty_after_beats(noise_uv):
    peaks = detect([block(ecg(250, 60.0, np.arange(1.0, 20.0, 0.8), noise_uv=noise_uv), 250)])
    assert seconds(peaks, 250).max() < 20.0


@pytest.mark.parametrize("offset_uv", [-5000.0, 5000.0])
@pytest.mark.parametrize("at", range(0, 200, 20))
def test_no_artefact_of_a_gap_is_a_beat(offset_uv, at):
    """Cut at ten places of the beat, with another offset after the gap."""
    signal = ecg(250, 20.0, np.arange(0.6, 20.0, 0.8))
    cut = 2400 + at
    items = [
        block(signal[:cut], 250),
        Gap(cut, 125),
        block(signal[cut + 125 :] + offset_uv, 250, cut + 125),
    ]
    truth_s = np.arange(0.6, 20.0, 0.8)
    for found_s in seconds(detect(items), 250):
        assert np.abs(truth_s - found_s).min() < 0.03


def test_the_beats_up_to_a_gap_and_from_it_on_are_found():
    """One 100 ms before the gap, one 100 ms after it."""
    beats_s = np.arange(0.6, 12.0, 0.8)
    signal = ecg(250, 12.0, beats_s)
    items = [block(signal[:1575], 250), Gap(1575, 150), block(signal[1725:], 250, 1725)]
    np.testing.assert_allclose(seconds(detect(items), 250), beats_s, atol=0.008)


def test_a_smaller_signal_after_a_gap_is_no_long_silence():
    """Somebody has moved the electrodes: the rhythm is back before asystole could be called."""
    beats_s = np.arange(0.6, 40.0, 0.8)
    signal = ecg(250, 40.0, beats_s, noise_uv=2.0)
    signal[5000:] /= 6.0
    items = [block(signal[:4500], 250), Gap(4500, 500), block(signal[5000:], 250, 5000)]
    found_s = np.array(seconds(detect(items), 250))
    after = found_s[found_s >= 20.0]
    assert after[0] < 22.0
    assert np.diff(after).max() < 1.0


@pytest.mark.parametrize("factor", [0.2, 8.0])
def test_a_change_of_gain_costs_few_beats(factor):
    beats_s = np.arange(0.6, 40.0, 0.8)
    signal = ecg(250, 40.0, beats_s, noise_uv=2.0)
    signal[5000:] *= factor
    found_s = seconds(detect([block(signal, 250)]), 250)
    later = beats_s[beats_s > 27.0]
    assert sum(np.abs(found_s - beat).min() < 0.03 for beat in later) == later.size


def test_the_rhythm_is_found_again_after_saturation():
    beats_s = np.arange(0.6, 40.0, 0.8)
    signal = ecg(250, 40.0, beats_s)
    signal[2500:4000] = np.where(np.arange(1500) % 200 < 100, 160_000.0, -160_000.0)
    found_s = seconds(detect([block(signal, 250)]), 250)
    later = beats_s[beats_s > 21.0]
    assert sum(np.abs(found_s - beat).min() < 0.03 for beat in later) == later.size


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_burst_of_muscle_noise_adds_no_beat_and_hides_none(rate):
    signal = ecg(rate, 30.0, REGULAR_S, noise_uv=2.0)
    burst = slice(15 * rate, 20 * rate)
    spread = np.sqrt(rate / 250)  # as much noise in the QRS band at each rate
    noise = np.random.default_rng(4).normal(0.0, 180.0 * spread, 5 * rate)
    signal[burst] += noise
    found_s = seconds(detect([block(signal, rate)]), rate)
    assert found_s.size == REGULAR_S.size
    assert np.abs(found_s - REGULAR_S).max() < 0.03


def test_smaller_beats_in_muscle_noise_are_no_standstill():
    """The patient has turned over: half the height, and tense."""
    beats_s = np.arange(0.7, 40.0, 0.8)
    signal = ecg(250, 40.0, beats_s, noise_uv=2.0)
    signal[5000:] /= 2.0
    signal[5000:] += np.random.default_rng(4).normal(0.0, 120.0, signal.size - 5000)
    found_s = seconds(detect([block(signal, 250)]), 250)
    assert np.diff(found_s).max() < 4.0


def test_what_came_near_to_a_beat_is_told_once():
    """A deflection between two beats, higher each time: passed over, then in doubt, then a beat."""
    told = []
    for r_uv in range(60, 400, 10):
        signal = ecg(250, 12.0, REGULAR_S[REGULAR_S < 12.0])
        signal += ecg(250, 12.0, [9.92], r_uv=r_uv, noise_uv=0.0)
        detector = RPeakDetector(250)
        is_beat = any(abs(p.sample - 2480) < 9 for p in detector.push(block(signal, 250)))
        doubtful = detector.take_doubtful()
        assert all(abs(r - 2480) < 9 for r in doubtful)
        assert detector.take_doubtful() == []
        told.append("beat" if is_beat else "doubtful" if doubtful else "nothing")
    assert told == sorted(told, key=["nothing", "doubtful", "beat"].index)
    assert set(told) == {"nothing", "doubtful", "beat"}


@pytest.fixture(scope="module")
def record_119(ecg_data):
    """Five minutes of record 119, with ventricular beats, at its own 360 Hz, µV."""
    import wfdb

    record = wfdb.rdrecord(str(ecg_data / "mitdb/119"), channels=[0], sampto=360 * 300)
    return record.p_signal[:, 0] * 1000.0


@pytest.mark.recordings
def test_an_inverted_lead_has_the_same_beats(record_119):
    upright, inverted = detect([block(record_119, 360)]), detect([block(-record_119, 360)])
    assert [peak.sample for peak in upright] == [peak.sample for peak in inverted]
    assert [peak.amplitude_uv for peak in upright] == [-peak.amplitude_uv for peak in inverted]


@pytest.mark.recordings
@pytest.mark.parametrize(("rate", "up", "down"), [(125, 25, 72), (250, 25, 36), (500, 25, 18)])
def test_every_rate_finds_the_same_beats(record_119, rate, up, down):
    at_360 = seconds(detect([block(record_119, 360)]), 360)
    resampled = resample_poly(record_119, up, down, padtype="line")
    found_s = seconds(detect([block(resampled, rate)]), rate)
    assert found_s.size == at_360.size
    shift_s = np.abs(found_s - at_360)
    assert np.median(shift_s) <= 0.004
    assert (shift_s <= 0.016).mean() >= 0.95  # a ventricular beat may have two like peaks
    assert shift_s.max() <= 0.150
