import numpy as np

from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from model.beats import TrainingBeats
from model.imagined_patients import imagined_patients


def patient(normal: int, premature: int) -> TrainingBeats:
    """Upright beats at 800 ms, and twice as high ones after 500 ms spread among them."""
    aami = np.full(normal + premature, "N")
    aami[np.linspace(1, len(aami) - 1, premature).astype(int)] = "S"
    is_early = aami == "S"
    shape = np.exp(-0.5 * ((np.arange(187) - R_POSITION) / 3.0) ** 2).astype(np.float32)
    windows = np.where(is_early, 2000.0, 1000.0)[:, np.newaxis].astype(np.float32) * shape
    rr_ms = np.where(is_early, 500.0, 800.0).astype(np.float32)
    return TrainingBeats(
        record=np.full(len(aami), "1"),
        annotation=np.arange(len(aami), dtype=np.int32),
        aami=aami,
        rr_before_ms=rr_ms,
        rr_after_ms=rr_ms,
        has_window=np.ones(len(aami), np.bool_),
        windows=windows,
        r_sample=np.arange(len(aami)),
        usual=windows,
        late=windows,
        rr_features=np.zeros((len(aami), len(RR_FEATURES)), np.float32),
        other_windows=-windows,
        other_usual=-windows,
        other_late=-windows,
    )


def test_premature_beats_become_the_usual_ones_and_late_ones_stay_normal():
    imagined = imagined_patients(patient(normal=200, premature=20), np.random.default_rng(1))
    is_early = imagined.aami == "S"
    assert is_early.mean() > 0.5
    usual, late = (np.median(beat[:, R_POSITION]) for beat in (imagined.usual, imagined.late))
    assert usual > 1400.0
    assert late < usual - 150.0
    lateness = imagined.rr_features[:, RR_FEATURES.index("rr to upper fifth of 128")]
    assert np.median(lateness[is_early]) < np.median(lateness[~is_early]) - 0.1


def test_the_other_lead_is_compared_with_itself():
    imagined = imagined_patients(patient(normal=200, premature=20), np.random.default_rng(1))
    np.testing.assert_array_equal(imagined.other_usual, -imagined.usual)
    np.testing.assert_array_equal(imagined.other_late, -imagined.late)


def test_the_seed_decides():
    of = patient(normal=200, premature=20)
    first, again = (imagined_patients(of, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first.rr_features, again.rr_features)


def test_nobody_is_imagined_from_a_patient_with_hardly_a_premature_beat():
    assert len(imagined_patients(patient(normal=200, premature=4), np.random.default_rng(1))) == 0
