"""The generator's rhythms, as the field defines them."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.messages import FrameFlags
from gateway.simulator.ecg_sources import EcgSourceError
from gateway.simulator.synthetic import (
    DEFAULT_SCRIPT,
    Rhythm,
    SyntheticEcg,
    parse_script,
    plan,
    render,
)


def rr_s(rhythm: Rhythm, seconds: float = 120.0) -> list[float]:
    return [beat.rr_s for beat in plan(rhythm, seconds, np.random.default_rng(1))][1:]


def test_the_same_seed_gives_the_same_samples_and_another_gives_others() -> None:
    def samples(seed: int) -> list[int]:
        source = SyntheticEcg("normal*5+vf*5", 250, seed, loop=False)
        frames = iter(source.next_frame, None)
        return [step for frame in frames if frame for step in frame.steps.tolist()]

    assert samples(3) == samples(3)
    assert samples(3) != samples(4)


def test_a_script_ends_or_begins_again() -> None:
    once = SyntheticEcg("normal*2", 500, 1, loop=False)
    assert sum(1 for _ in iter(once.next_frame, None)) == 1000 // 187
    endless = SyntheticEcg("normal*2", 500, 1, loop=True)
    assert all(endless.next_frame() is not None for _ in range(20))


def test_normal_beats_are_regular() -> None:
    intervals = rr_s(Rhythm.NORMAL)
    assert 0.75 < np.mean(intervals) < 0.92
    assert np.std(intervals) < 0.05


def test_fibrillating_atria_beat_irregularly() -> None:
    intervals = rr_s(Rhythm.AF)
    assert np.std(intervals) / np.mean(intervals) > 0.15


def test_ventricular_beats_are_premature_with_a_compensatory_pause() -> None:
    beats = plan(Rhythm.PVCS, 60.0, np.random.default_rng(1))
    places = [n for n, beat in enumerate(beats) if beat.ventricular]
    assert len(places) >= 10
    for n in places[:-1]:
        assert beats[n].rr_s < 0.75 * beats[n - 1].rr_s
        assert beats[n].rr_s + beats[n + 1].rr_s == pytest.approx(2 * beats[n - 1].rr_s, rel=0.15)


def test_pauses_last_over_two_seconds_and_stay_short_of_asystole() -> None:
    pauses = [rr for rr in rr_s(Rhythm.PAUSES) if rr > 2.0]
    assert len(pauses) >= 5
    assert max(pauses) < 4.0


def test_each_r_peak_stands_where_it_was_planned() -> None:
    signal = render(Rhythm.NORMAL, 30.0, 250, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    rng.uniform(0, 2 * np.pi), rng.normal(0, 0.005, signal.size)  # what `render` draws before
    for beat in plan(Rhythm.NORMAL, 30.0, rng)[:-1]:
        around = signal[round((beat.at_s - 0.1) * 250) : round((beat.at_s + 0.1) * 250)]
        assert abs(int(np.argmax(around)) - 25) <= 1
        assert 0.9 < around.max() < 1.3


def test_ventricular_fibrillation_has_its_power_between_3_and_8_hz() -> None:
    signal = render(Rhythm.VF, 20.0, 250, np.random.default_rng(1))
    power = np.abs(np.fft.rfft(signal - signal.mean())) ** 2
    frequency_hz = np.fft.rfftfreq(signal.size, 1 / 250)
    inside = power[(frequency_hz > 3) & (frequency_hz < 8)].sum()
    assert inside > 0.9 * power.sum()


def test_lead_off_is_flagged_and_nothing_else_is() -> None:
    source = SyntheticEcg("normal*3+lead-off*3", 250, 1, loop=False)
    flags = [frame.flags for frame in iter(source.next_frame, None) if frame]
    assert flags[:4] == [FrameFlags(0)] * 4
    assert flags[4:] == [FrameFlags.LEAD_OFF_POSITIVE] * 4


def test_noise_is_louder_than_the_quiet_signal() -> None:
    quiet = render(Rhythm.NORMAL, 10.0, 250, np.random.default_rng(1))
    noisy = render(Rhythm.NOISE, 10.0, 250, np.random.default_rng(1))
    assert np.std(np.diff(noisy)) > 2 * np.std(np.diff(quiet))


def test_the_default_script_plays_every_rhythm() -> None:
    assert {rhythm for rhythm, _ in parse_script("")} == set(Rhythm)
    assert parse_script("") == parse_script(DEFAULT_SCRIPT)


@pytest.mark.parametrize("script", ["normal", "normal*x", "waltz*3", "vf*0", "vf*1e9"])
def test_a_bad_script_is_an_error(script: str) -> None:
    with pytest.raises(EcgSourceError, match=r"waltz|normal|vf"):
        parse_script(script)
