from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from gateway.dsp.filters import BandPass, butterworth_high_pass, butterworth_low_pass
from gateway.messages import LEGAL_SAMPLE_RATES_HZ, SampleBlock
from tests.dsp.synthetic import block, cut_up, ecg


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_coefficients_are_scipys(rate):
    for ours, kind, corner in (
        (butterworth_high_pass(0.5, rate), "high", 0.5),
        (butterworth_low_pass(40.0, rate), "low", 40.0),
    ):
        (theirs,) = signal.butter(2, corner, kind, fs=rate, output="sos")
        assert [ours.b0, ours.b1, ours.b2, 1.0, ours.a1, ours.a2] == pytest.approx(theirs)


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_output_is_scipys(rate):
    raw = np.random.default_rng(0).normal(0, 300, 20 * rate).cumsum()
    sections = np.vstack(
        [
            signal.butter(2, 0.5, "high", fs=rate, output="sos"),
            signal.butter(2, 40.0, "low", fs=rate, output="sos"),
        ]
    )
    reference = signal.sosfilt(sections, raw - raw[0])
    np.testing.assert_allclose(
        BandPass(rate).push(block(raw, rate)).amplitude_uv, reference, atol=1e-6
    )


@settings(deadline=None)
@given(st.sampled_from(LEGAL_SAMPLE_RATES_HZ), st.sets(st.integers(1, 1999)))
def test_chunking_changes_no_bit(rate, cuts):
    raw = block(ecg(rate, 4.0, [1.0, 2.0, 3.0]), rate, start=77)
    whole = BandPass(rate).push(raw)
    band_pass = BandPass(rate)
    pieces = [
        band_pass.push(piece) for piece in cut_up(raw, cuts) if isinstance(piece, SampleBlock)
    ]
    assert np.concatenate([piece.amplitude_uv for piece in pieces]).tobytes() == (
        whole.amplitude_uv.tobytes()
    )
    assert pieces[0].start == whole.start
    assert pieces[-1].end == whole.end


@pytest.mark.parametrize("rate", LEGAL_SAMPLE_RATES_HZ)
def test_an_offset_leaves_no_step_at_the_start_or_after_a_reset(rate):
    band_pass = BandPass(rate)
    for level_uv in (8000.0, -90.0):
        filtered = band_pass.push(block(np.full(2 * rate, level_uv), rate)).amplitude_uv
        assert np.abs(filtered).max() < 1e-6
        band_pass.reset()


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(LEGAL_SAMPLE_RATES_HZ), st.integers(0, 2**32 - 1))
def test_any_legal_samples_give_finite_output_that_settles(rate, seed):
    """Whatever 16-bit samples came before, ten seconds of a level leave less than 1 µV."""
    steps = np.random.default_rng(seed).integers(-32767, 32768, rate) * 5.0
    raw = np.concatenate((steps, np.full(10 * rate, steps[-1])))
    filtered = BandPass(rate).push(block(raw, rate)).amplitude_uv
    assert np.isfinite(filtered).all()
    assert np.abs(filtered[-rate:]).max() < 1.0


def test_the_flags_of_a_block_stay_on_it():
    raw = SampleBlock(0, 250, np.zeros(10), lead_off=True, clipped=True)
    filtered = BandPass(250).push(raw)
    assert (filtered.lead_off, filtered.clipped) == (True, True)
