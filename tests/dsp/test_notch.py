from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from gateway.dsp.filters import notch_section
from gateway.dsp.notch import WIDTH_HZ, Notch, NotchMode
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, Gap, SampleBlock
from tests.dsp.synthetic import block, cut_up, ecg

RATE = 250
TUNED = (NotchMode.FIFTY, NotchMode.SIXTY)


def hum(rate: int, seconds: float, frequency_hz: float, rms_uv: float = 100.0) -> np.ndarray:
    time_s = np.arange(round(seconds * rate)) / rate
    return rms_uv * np.sqrt(2.0) * np.sin(2.0 * np.pi * frequency_hz * time_s + 0.3)


def heart(rate: int, seconds: float) -> np.ndarray:
    return ecg(rate, seconds, np.arange(0.4, seconds, 0.83))


def without_mains(notch: Notch, items: Iterable[SampleBlock | Gap]) -> np.ndarray:
    filtered = []
    for item in items:
        if isinstance(item, Gap):
            notch.reset()
        else:
            filtered.append(notch.push(item).amplitude_uv)
    return np.concatenate(filtered)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt((samples**2).mean()))


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("frequency_hz", [50, 60])
def test_coefficients_are_scipys(rate, frequency_hz):
    ours = notch_section(frequency_hz, WIDTH_HZ, rate)
    b, a = signal.iirnotch(frequency_hz, frequency_hz / WIDTH_HZ, rate)
    assert [ours.b0, ours.b1, ours.b2, 1.0, ours.a1, ours.a2] == pytest.approx([*b, *a])


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("mode", TUNED)
def test_the_tone_goes_and_the_heart_stays(rate, mode):
    clean = heart(rate, 10.0)
    filtered = Notch(rate, mode).push(block(clean + hum(rate, 10.0, int(mode)), rate))
    left = filtered.amplitude_uv - clean
    assert rms(left[rate:]) < 12.0  # of 100 µV; the noise and the QRS edge at 50 Hz go with it
    assert filtered.amplitude_uv[rate:].max() == pytest.approx(clean[rate:].max(), rel=0.06)


@pytest.mark.parametrize("drift_hz", [-0.2, 0.2])
def test_a_grid_that_strays_loses_20_db(drift_hz):
    filtered = Notch(RATE, NotchMode.FIFTY).push(block(hum(RATE, 10.0, 50.0 + drift_hz), RATE))
    assert rms(filtered.amplitude_uv[RATE:]) < 10.1


def test_off_gives_the_samples_as_they_are():
    raw = block(heart(RATE, 4.0), RATE)
    assert Notch(RATE, NotchMode.OFF).push(raw).amplitude_uv.tobytes() == raw.amplitude_uv.tobytes()


@settings(deadline=None, max_examples=60)
@given(
    rate=st.sampled_from(LEGAL_SAMPLE_RATES_HZ),
    mode=st.sampled_from(NotchMode),
    gap_s=st.floats(0.1, 19.0),
    start=st.integers(0, 999),
    cuts_s=st.sets(st.floats(0.001, 19.99), max_size=40),
)
def test_chunking_changes_no_bit(rate, mode, gap_s, start, cuts_s):
    """20 s in which the hum begins after 3 s and ends after 12 s, with a gap somewhere."""
    raw = heart(rate, 20.0)
    raw[3 * rate : 12 * rate] += hum(rate, 9.0, 60.0)
    first = round(gap_s * rate)
    items = [
        block(raw[:first], rate, start),
        Gap(start + first, 77),
        block(raw[first:], rate, start + first + 77),
    ]
    cuts = [round(cut_s * rate) for cut_s in cuts_s]
    pieces = [piece for item in items for piece in cut_up(item, cuts)]
    whole = without_mains(Notch(rate, mode), items)
    assert without_mains(Notch(rate, mode), pieces).tobytes() == whole.tobytes()


@pytest.mark.parametrize("mode", [NotchMode.FIFTY, NotchMode.SIXTY])
def test_an_offset_leaves_no_step_at_the_start_or_after_a_reset(mode):
    notch = Notch(RATE, mode)
    for level_uv in (8000.0, -90.0):
        filtered = notch.push(block(np.full(500, level_uv), RATE)).amplitude_uv
        np.testing.assert_allclose(filtered, level_uv)
        notch.reset()


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("mains_hz", [50, 60])
def test_auto_hears_which_mains_there_are(rate, mains_hz):
    notch = Notch(rate, NotchMode.AUTO)
    clean = heart(rate, 12.0)
    filtered = notch.push(block(clean + hum(rate, 12.0, mains_hz, rms_uv=30.0), rate))
    assert notch.frequency_hz == mains_hz
    assert rms((filtered.amplitude_uv - clean)[: 3 * rate]) > 25.0
    assert rms((filtered.amplitude_uv - clean)[7 * rate :]) < 10.0


def test_auto_leaves_no_step_where_it_begins():
    clean = np.full(10 * RATE, 500.0)
    notch = Notch(RATE, NotchMode.AUTO)
    filtered = notch.push(block(clean + hum(RATE, 10.0, 50), RATE)).amplitude_uv - clean
    assert np.abs(filtered[6 * RATE :]).max() < 0.01
    assert np.abs(filtered[4 * RATE :]).max() < 150.0


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
@pytest.mark.parametrize("noise_uv", [0.0, 5.0, 60.0])
def test_auto_hears_no_mains_in_a_heart_or_in_broad_noise(rate, noise_uv):
    notch = Notch(rate, NotchMode.AUTO)
    raw = block(ecg(rate, 60.0, np.arange(0.4, 60.0, 0.61), noise_uv=noise_uv), rate)
    assert notch.push(raw).amplitude_uv.tobytes() == raw.amplitude_uv.tobytes()


def heard_after(hum_s: float, quiet_s: float) -> int | None:
    notch = Notch(RATE, NotchMode.AUTO)
    raw = heart(RATE, 10.0 + hum_s + quiet_s)
    raw[10 * RATE : round((10.0 + hum_s) * RATE)] += hum(RATE, hum_s, 50)
    notch.push(block(raw, RATE))
    return notch.frequency_hz


@pytest.mark.parametrize(
    ("hum_s", "quiet_s", "heard"),
    [(1.0, 0.0, None), (10.0, 0.0, 50), (10.0, 9.0, 50), (10.0, 16.0, None)],
)
def test_auto_neither_begins_nor_ends_at_once(hum_s, quiet_s, heard):
    assert heard_after(hum_s, quiet_s) == heard


def test_what_was_heard_outlasts_a_gap():
    notch = Notch(RATE, NotchMode.AUTO)
    raw = heart(RATE, 10.0) + hum(RATE, 10.0, 50)
    notch.push(block(raw, RATE))
    notch.reset()
    filtered = notch.push(block(raw, RATE, start=9000)).amplitude_uv - heart(RATE, 10.0)
    assert rms(filtered[RATE // 2 : 2 * RATE]) < 12.0


def test_the_flags_of_a_block_stay_on_it():
    raw = SampleBlock(0, 250, np.zeros(10), lead_off=True, clipped=True)
    filtered = Notch(RATE, NotchMode.FIFTY).push(raw)
    assert (filtered.lead_off, filtered.clipped) == (True, True)
