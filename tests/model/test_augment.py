import numpy as np
import pytest

from model import augment
from model.augment import augmented


@pytest.fixture
def _drawn_noise(monkeypatch):
    noise = [
        np.random.default_rng(index).normal(0, 50, 5000).astype(np.float32) for index in (0, 1)
    ]
    monkeypatch.setattr(augment, "noise_uv", lambda: noise)


def beats(n: int) -> np.ndarray:
    window = 1000.0 * np.exp(-0.5 * ((np.arange(187) - 93) / 3.0) ** 2)
    return np.tile(window.astype(np.float32), (n, 1))


@pytest.mark.usefixtures("_drawn_noise")
def test_half_are_noisy_within_the_range_and_a_tenth_is_upside_down():
    clean = beats(2000)
    worse = augmented(clean, np.random.default_rng(7))
    upside_down = worse[:, 93] < 0
    assert abs(upside_down.mean() - 0.1) < 0.03
    noise = np.where(upside_down[:, np.newaxis], -worse, worse) - clean
    noisy = noise.any(axis=1)
    assert abs(noisy.mean() - 0.5) < 0.05
    snr_db = 20 * np.log10(clean[noisy].std(axis=1) / noise[noisy].std(axis=1))
    assert 5.9 < snr_db.min() < 8
    assert 22 < snr_db.max() < 24.1


@pytest.mark.usefixtures("_drawn_noise")
def test_the_seed_decides_and_the_beats_stay_as_they_were():
    clean = beats(50)
    first = augmented(clean, np.random.default_rng(3))
    np.testing.assert_array_equal(first, augmented(clean, np.random.default_rng(3)))
    np.testing.assert_array_equal(clean, beats(50))


@pytest.mark.recordings
def test_noise_is_the_first_half_at_the_windows_rate():
    augment.noise_uv.cache_clear()
    for recording in augment.noise_uv():
        assert recording.size == 650_000 // 2 * 125 // 360 + 1
        assert recording.std() > 10.0
