import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dsp.beat_context import (
    FEATURE_LIMIT,
    RR_FEATURES,
    USUAL_BEATS,
    BeatContext,
    RRContext,
    RunningBeat,
)
from gateway.messages import BeatWindow, SampleIndex


def wave(height_uv: float, at: int = 93) -> np.ndarray:
    samples = height_uv * np.exp(-0.5 * ((np.arange(187) - at) / 3.0) ** 2)
    return samples.astype(np.float32)


def features(*rr_ms: float | None) -> dict[str, float]:
    """Of the last interval, after the others."""
    context = RRContext()
    given_features = [context.push(interval) for interval in rr_ms]
    return dict(zip(RR_FEATURES, given_features[-1].tolist(), strict=True))


def test_the_first_beat_is_its_own_usual_one():
    usual = RunningBeat(USUAL_BEATS)
    np.testing.assert_array_equal(usual.push(wave(1000.0)), wave(1000.0))


def test_a_beat_is_compared_with_those_before_it_alone():
    usual = RunningBeat(USUAL_BEATS)
    usual.push(wave(1000.0))
    np.testing.assert_array_equal(usual.push(wave(-3000.0)), wave(1000.0))


def test_the_usual_beat_follows_a_lasting_change_within_some_minutes():
    usual = RunningBeat(USUAL_BEATS)
    for _ in range(100):
        usual.push(wave(1000.0))
    for _ in range(300):
        last = usual.push(wave(600.0))
    np.testing.assert_allclose(last, wave(600.0), atol=10.0)


def test_bigeminy_does_not_bend_the_usual_beat_beyond_its_own_size():
    usual = RunningBeat(USUAL_BEATS)
    for _ in range(64):
        usual.push(wave(1000.0))
    for _ in range(20):
        usual.push(wave(-4000.0, at=80))
        last = usual.push(wave(1000.0))
    assert np.abs(last - wave(1000.0)).max() < 150.0


def test_only_beats_that_count_move_a_running_mean_once_it_has_begun():
    late = RunningBeat(32)
    for counts in (True, False, False):
        late.push(wave(1000.0), counts)
    late.push(wave(3000.0), counts=False)
    np.testing.assert_allclose(late.push(wave(1000.0), counts=False), wave(1000.0))
    late.push(wave(1300.0), counts=True)
    assert late.push(wave(1000.0)).max() > 1001.0


def test_where_premature_beats_are_the_most_the_late_beat_is_the_sinus_nodes():
    context = BeatContext()
    rhythm = [*[(600.0, 1000.0)] * 3, (1100.0, 700.0)] * 50  # a pause before each fourth
    for number, (rr_ms, height_uv) in enumerate(rhythm):
        window = BeatWindow(SampleIndex(number), rr_ms, wave(height_uv))
        shown = context.push(window, is_fit=True)
    assert shown.usual.max() > 900.0
    assert shown.late.max() < 800.0


def test_a_steady_rhythm_at_75_a_minute_differs_from_zero_in_its_rank_alone():
    steady = dict.fromkeys(RR_FEATURES, 0.0) | {"rank of rr among 128": -0.5}
    assert features(*[800.0] * 50) == steady


def test_an_early_beat_is_early_by_every_measure():
    early = features(*[800.0] * 50, 480.0)
    early_by_as_much = ("rr to upper quartile of 32", "rr to previous rr", "rr to 800 ms")
    for name in (*early_by_as_much, *(name for name in RR_FEATURES if name.endswith("00"))):
        assert early[name] == pytest.approx(math.log(480 / 800), rel=1e-4), name
    assert early["previous rr to median of 32"] == 0.0
    assert early["mean absolute change of 8"] == pytest.approx(-math.log(480 / 800) / 8, rel=1e-4)


def test_the_pause_after_it_is_told_from_a_slow_beat_by_the_one_before():
    pause = features(*[800.0] * 50, 480.0, 1120.0)
    assert pause["previous rr to median of 32"] == pytest.approx(math.log(480 / 800), rel=1e-4)


def test_a_run_stays_early_beside_the_last_minutes():
    run = features(*[800.0] * 300, *[450.0] * 30)
    assert abs(run["rr to median of 32"]) < 0.01
    assert run["rr to running mean of 300"] < -0.45


def test_the_same_rhythm_at_another_rate_differs_in_the_rates_alone():
    slow = features(*[1000.0] * 40, 700.0)
    fast = features(*[500.0] * 40, 350.0)
    differing = {
        name for name in RR_FEATURES if not math.isclose(slow[name], fast[name], abs_tol=1e-5)
    }
    assert differing == {"median of 32 to 800 ms", "rr to 800 ms"}


def test_an_unknown_interval_is_taken_for_the_usual_and_changes_nothing():
    known = features(*[800.0, 900.0] * 20, 850.0)
    assert features(*[800.0, 900.0] * 20, None, 850.0) == known
    assert features(None) == dict.fromkeys(RR_FEATURES, 0.0)


@given(st.lists(st.one_of(st.none(), st.floats(min_value=1.0, max_value=60_000.0)), max_size=50))
def test_whatever_the_intervals_features_are_finite_and_bounded(rr_ms):
    context = RRContext()
    for interval in rr_ms:
        given_features = context.push(interval)
        assert given_features.dtype == np.float32
        assert np.abs(given_features).max() <= FEATURE_LIMIT


def test_an_unfit_beat_teaches_its_interval_and_not_its_shape():
    fit, unfit = BeatContext(), BeatContext()
    first = BeatWindow(SampleIndex(100), None, wave(1000.0))
    noise = BeatWindow(SampleIndex(300), 800.0, wave(-5000.0))
    last = BeatWindow(SampleIndex(500), 500.0, wave(1000.0))
    fit.push(first, is_fit=True)
    assert fit.push(noise, is_fit=False) is None
    placed = fit.push(last, is_fit=True)
    np.testing.assert_array_equal(placed.usual, wave(1000.0))
    unfit.push(first, is_fit=True)
    assert placed.rr_features.tolist() != unfit.push(last, is_fit=True).rr_features.tolist()


def test_a_beat_without_a_window_is_nothing_to_classify():
    assert BeatContext().push(BeatWindow(SampleIndex(1), None, None), is_fit=True) is None
