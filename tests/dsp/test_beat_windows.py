from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dsp.beat_windows import R_POSITION, BeatWindowCutter, cut_window
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, Gap, RPeak, SampleBlock
from tests.dsp.synthetic import block, cut_up, ecg


def tone(rate: int, frequency_hz: float, seconds: float = 4.0) -> np.ndarray:
    return 1000.0 * np.cos(
        2 * np.pi * frequency_hz * (np.arange(round(seconds * rate)) / rate - 2.0)
    )


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("frequency_hz", [0.0, 1.0, 10.0, 35.0])
def test_the_pass_band_comes_through_aligned_on_r(rate, frequency_hz):
    window = cut_window(tone(rate, frequency_hz), 2 * rate, rate)
    expected = 1000.0 * np.cos(2 * np.pi * frequency_hz * (np.arange(187) - R_POSITION) / 125)
    assert window is not None
    np.testing.assert_allclose(window, expected, atol=15.0)


@pytest.mark.parametrize("rate", [250, 360, 500])
def test_what_would_fold_into_the_band_is_stopped(rate):
    window = cut_window(tone(rate, 95.0), 2 * rate, rate)
    assert window is not None
    assert np.abs(window).max() < 5.0


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_a_window_reaches_half_a_second_past_r(rate):
    signal = np.zeros(3 * rate)
    whole = [r for r in range(signal.size) if cut_window(signal, r, rate) is not None]
    assert whole[0] / rate <= 1.040
    assert (signal.size - 1 - whole[-1]) / rate <= 0.530


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_no_window_reaches_outside_the_signal(rate):
    signal = np.zeros(3 * rate)
    assert cut_window(signal, 0, rate) is None
    assert cut_window(signal, signal.size - 1, rate) is None
    assert cut_window(signal, 2 * rate, rate) is not None


PEAKS_S = (0.3, 1.2, 2.0, 2.9, 4.6, 5.5, 6.4)
GAP = Gap(1000, 100)


def stream(cuts_a, cuts_b, rate=250):
    """Two runs around a gap at 4.0 s; each peak is added with the piece that holds R + 0.3 s."""
    signal = ecg(rate, 7.0, PEAKS_S)
    cutter = BeatWindowCutter(rate)
    waiting = [RPeak(round(s * rate), 1000.0) for s in PEAKS_S]
    windows = []
    items = [
        *cut_up(block(signal[:1000], rate), cuts_a),
        GAP,
        *cut_up(block(signal[1100:], rate, start=1100), cuts_b),
    ]
    for item in items:
        windows += cutter.push(item)
        while waiting and waiting[0].sample + 75 <= item.end:
            cutter.add_peak(waiting.pop(0), 900.0)
    for peak in waiting:
        cutter.add_peak(peak, 900.0)
    return signal, windows + cutter.finish()


def test_every_peak_gives_one_window_and_only_whole_ones_have_samples():
    _, windows = stream([], [])
    assert [w.r_sample for w in windows] == [round(s * 250) for s in PEAKS_S]
    whole = [w.samples is not None for w in windows]
    # the start and the first after the gap are cut off
    assert whole == [False, True, True, True, False, True, True]


@pytest.mark.parametrize("flag", ["lead_off", "clipped"])
def test_a_window_holds_no_signal_that_the_sensor_disowns(flag):
    first, disowned, last = cut_up(block(ecg(250, 7.0, PEAKS_S), 250), [800, 900])
    cutter = BeatWindowCutter(250)
    cutter.push(first)
    for second in PEAKS_S:
        cutter.add_peak(RPeak(round(second * 250), 1000.0), 900.0)
    windows = cutter.push(replace(disowned, **{flag: True})) + cutter.push(last) + cutter.finish()
    whole = [window.r_sample / 250 for window in windows if window.samples is not None]
    assert whole == [1.2, 2.0, 5.5, 6.4]


@settings(deadline=None)
@given(st.sets(st.integers(1, 999)), st.sets(st.integers(1, 649)))
def test_chunking_changes_no_byte(cuts_a, cuts_b):
    def plain(windows):
        return [
            (w.r_sample, w.rr_ms, None if w.samples is None else w.samples.tobytes())
            for w in windows
        ]

    assert plain(stream(cuts_a, cuts_b)[1]) == plain(stream([], [])[1])


def test_serving_cuts_what_training_cuts():
    signal, windows = stream([187, 374], [])
    for window in windows:
        if window.samples is not None and window.r_sample < GAP.start:
            trained = cut_window(signal[: GAP.start], window.r_sample, 250)
            assert trained is not None
            assert window.samples.tobytes() == trained.tobytes()


def test_the_history_is_bounded():
    cutter = BeatWindowCutter(250)
    for start in range(0, 250 * 60, 250):
        cutter.push(SampleBlock(start, 250, np.zeros(250)))
    cutter.add_peak(RPeak(250 * 40, 1000.0), None)
    assert cutter.finish()[0].samples is None
