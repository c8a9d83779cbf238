"""Wall time from arrivals: drift, delays, and a clock that is set in the middle."""

from __future__ import annotations

import random

import pytest

from gateway.wall_clock import SessionClock

RATE_HZ = 250
FRAME = 187
START_S = 1_800_000_000.0


def fed(frames: int, drift_ppm: float = 0.0, late_from: int = 10**9, delay_s: float = 0.0):
    """Frames of a sensor whose crystal drifts, each up to 300 ms late, some by `delay_s` more."""
    clock, delays = SessionClock(RATE_HZ), random.Random(1)
    for number in range(1, frames + 1):
        end = number * FRAME
        true_s = START_S + end / RATE_HZ * (1 + drift_ppm * 1e-6)
        late_s = delay_s if number >= late_from else 0.0
        clock.push(end, true_s + delays.expovariate(20) % 0.3 + late_s)
    return clock


@pytest.mark.parametrize("drift_ppm", [0.0, 50.0, -50.0])
def test_the_fit_follows_the_drift_and_knows_its_error(drift_ppm: float) -> None:
    frames = 2000
    fit = fed(frames, drift_ppm).fit()
    true_s = START_S + frames * FRAME / RATE_HZ * drift_ppm * 1e-6
    assert abs(fit.start_s - true_s) < 0.02
    assert abs(fit.start_s - true_s) <= fit.error_s + 0.01


def test_a_link_that_delays_for_half_a_minute_does_not_turn_the_fit() -> None:
    fit = fed(256, late_from=225, delay_s=2.0).fit()
    assert abs(fit.start_s - START_S) < 0.05
    assert fit.error_s > 1.9


def test_a_single_frame_gives_a_time() -> None:
    assert fed(1).fit().start_s == pytest.approx(START_S, abs=0.3)


def test_what_was_dated_by_another_clock_is_forgotten() -> None:
    clock = fed(100)
    clock.forget()
    clock.push(FRAME, START_S + 5000.0 + FRAME / RATE_HZ)
    assert clock.fit().start_s == clock.start_s == pytest.approx(START_S + 5000.0)
