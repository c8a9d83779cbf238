import numpy as np
import pytest

from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from model import augment, imagined_beats
from model.augment import augmented
from model.beats import TrainingBeats
from model.imagined_beats import ShownBeats


@pytest.fixture(autouse=True)
def _drawn_noise(request, monkeypatch):
    noise = [
        np.random.default_rng(index).normal(0, 50, 5000).astype(np.float32) for index in (0, 1)
    ]
    if not request.node.get_closest_marker("recordings"):
        monkeypatch.setattr(augment, "noise_uv", lambda: noise)


@pytest.fixture
def only(monkeypatch):
    """Leaves one kind of change in and takes the others out."""

    def leave(**kept: float) -> None:
        for name in ("NOISY", "REVERSED", "TURNED", "FIRST_BEAT"):
            monkeypatch.setattr(augment, f"{name}_SHARE", kept.get(name, 0.0))
        for name in ("STRETCH", "GAIN", "SHIFT_SAMPLES", "RR_FEATURE_NOISE"):
            monkeypatch.setattr(augment, name, kept.get(name, 0))
        imagined = ("EXCHANGED", "PREMATURE", "ABERRANT", "FIBRILLATING", "TRANSPLANTED", "FUSED")
        for name in imagined:
            monkeypatch.setattr(imagined_beats, f"{name}_SHARE", 0.0)

    return leave


def beats(n: int) -> TrainingBeats:
    """The same upright complex, usual in size, in a beat of half that; flat in the other lead."""
    wave = 1000.0 * np.exp(-0.5 * ((np.arange(187) - R_POSITION) / 3.0) ** 2)
    usual = np.tile(wave.astype(np.float32), (n, 1))
    nothing = np.zeros(n)
    return TrainingBeats(
        record=np.full(n, "1"),
        annotation=np.arange(n, dtype=np.int32),
        aami=np.full(n, "N"),
        rr_before_ms=nothing,
        rr_after_ms=nothing,
        has_window=np.full(n, True),
        windows=usual / 2,
        r_sample=np.arange(n),
        usual=usual,
        late=usual,
        rr_features=np.zeros((n, len(RR_FEATURES)), np.float32),
        other_windows=-usual,
        other_usual=-usual,
        other_late=-usual,
    )


def shown(of: TrainingBeats, seed: int) -> ShownBeats:
    return augmented(of, of[np.zeros(len(of), np.bool_)], np.random.default_rng(seed))


def test_half_are_noisy_within_the_range(only):
    only(NOISY=0.5)
    clean = beats(2000)
    noise = shown(clean, 7).windows - clean.windows
    noisy = noise.any(axis=1)
    assert abs(noisy.mean() - 0.5) < 0.05
    snr_db = 20 * np.log10(clean.windows[noisy].std(axis=1) / noise[noisy].std(axis=1))
    assert 5.9 < snr_db.min() < 8
    assert 22 < snr_db.max() < 24.1


def test_a_reversed_lead_turns_the_usual_beat_too(only):
    only(REVERSED=0.1)
    worse = shown(beats(2000), 7)
    upside_down = worse.windows[:, R_POSITION] < 0
    assert abs(upside_down.mean() - 0.1) < 0.03
    np.testing.assert_array_equal(upside_down, worse.usual[:, R_POSITION] < 0)


def test_a_turned_lead_mixes_both_and_keeps_a_beat_beside_its_usual_one(only):
    only(TURNED=1.0)
    turned = shown(beats(2000), 7)
    heights = turned.usual[:, R_POSITION]
    assert heights.max() > 1350  # where both leads' peaks add up: √2 mV
    assert heights.min() < -950
    other_share = (
        turned.windows[:, R_POSITION] - 0.5 * heights
    ) / 1000.0  # 0.5 in one lead, 1 in the other
    assert other_share.min() < -0.45
    assert other_share.max() > 0.45


def test_a_first_beat_is_its_own_usual_one(only):
    only(FIRST_BEAT=1.0, NOISY=1.0)
    clean = beats(10)
    np.testing.assert_array_equal(shown(clean, 1).usual, clean.windows)


def test_stretching_leaves_r_where_it_is(only):
    only(STRETCH=0.1)
    stretched = shown(beats(200), 1)
    np.testing.assert_allclose(stretched.windows[:, R_POSITION], 500.0, rtol=1e-3)
    widths = (stretched.windows > 250).sum(axis=1)
    assert widths.min() < 7 < widths.max()
    np.testing.assert_array_equal(widths, (stretched.usual > 500).sum(axis=1))


def test_the_seed_decides_and_the_beats_stay_as_they_were():
    clean = beats(50)
    first, second = (shown(clean, 3) for _ in range(2))
    np.testing.assert_array_equal(first.windows, second.windows)
    np.testing.assert_array_equal(first.rr_features, second.rr_features)
    np.testing.assert_array_equal(clean.windows, beats(50).windows)


@pytest.mark.recordings
def test_noise_is_the_first_half_at_the_windows_rate():
    augment.noise_uv.cache_clear()
    for recording in augment.noise_uv():
        assert recording.size == 650_000 // 2 * 125 // 360 + 1
        assert recording.std() > 10.0
