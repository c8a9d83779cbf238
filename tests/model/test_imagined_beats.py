import numpy as np
import pytest

from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from model.beats import TrainingBeats
from model.imagined_beats import (
    FUSED_PART,
    P_WAVE,
    ShownBeats,
    conduct_aberrantly,
    fibrillate,
    fibrillating_rhythms,
    fuse,
    make_premature,
    of_any_patient,
    transplant,
)

P, QRS = slice(R_POSITION - 30, R_POSITION - 9), slice(R_POSITION - 6, R_POSITION + 7)
SECONDS = (np.arange(187) - R_POSITION) / 125.0


def wave(height_uv: float, at_s: float, width_s: float) -> np.ndarray:
    return height_uv * np.exp(-0.5 * ((SECONDS - at_s) / width_s) ** 2)


SINUS_BEAT = wave(120.0, -0.16, 0.02) + wave(1000.0, 0.0, 0.01) + wave(300.0, 0.28, 0.04)


def beats(**aami_of_record: str) -> TrainingBeats:
    """The sinus beat, three times its size in each record after the first; S ones are early."""
    aami = [name for classes in aami_of_record.values() for name in classes]
    record = [record for record, classes in aami_of_record.items() for _ in classes]
    size = 3.0 ** np.array([list(aami_of_record).index(name) for name in record])
    windows = (size[:, np.newaxis] * SINUS_BEAT).astype(np.float32)
    rr_features = np.zeros((len(aami), len(RR_FEATURES)), np.float32)
    is_early = np.array(aami) == "S"
    rr_features[is_early] = np.log(0.6)
    nothing = np.zeros(len(aami), np.float32)
    return TrainingBeats(
        record=np.array(record),
        annotation=np.arange(len(aami), dtype=np.int32),
        aami=np.array(aami),
        rr_before_ms=nothing,
        rr_after_ms=nothing,
        has_window=np.ones(len(aami), np.bool_),
        windows=windows,
        r_sample=np.arange(len(aami)),
        usual=windows,
        late=windows,
        rr_features=rr_features,
        other_windows=windows,
        other_usual=windows,
        other_late=windows,
    )


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_patient_with_few_beats_gives_as_many_as_one_with_many(generator):
    of = beats(few="N" * 2, many="N" * 500)
    chosen = of_any_patient(of, of.aami == "N", 4000, generator)
    assert abs((of.record[chosen] == "few").mean() - 0.5) < 0.05


def test_a_beat_made_premature_keeps_its_qrs_complex_and_comes_as_early_as_a_given_one(generator):
    of = beats(a="N" * 200, b="S")
    shown = ShownBeats.of(of)
    make_premature(shown, np.arange(200), of, generator)
    assert set(shown.aami) == {"S"}
    np.testing.assert_allclose(shown.rr_features, np.log(0.6), rtol=1e-6)
    np.testing.assert_array_equal(shown.windows[:200, QRS], of.windows[:200, QRS])
    changed = np.abs(shown.windows[:200, P] - of.windows[:200, P]).max(axis=1)
    assert (changed > 30.0).mean() > 0.8


def test_the_t_wave_before_lies_where_the_interval_puts_it(generator):
    of = beats(a="N", b="S")
    shown = ShownBeats.of(of)
    make_premature(shown, np.array([0]), of, generator)
    added = shown.windows[0] - of.windows[0]
    before_p = slice(0, R_POSITION - 32)
    peak_s = SECONDS[before_p][added[before_p].argmax()]
    assert peak_s == pytest.approx(0.28 - 0.8 * 0.6, abs=0.07)  # cut off where the P wave begins


def test_where_nobody_has_premature_beats_none_is_made(generator):
    of = beats(a="NN")
    shown = ShownBeats.of(of)
    make_premature(shown, np.array([0, 1]), of, generator)
    assert shown.aami.tolist() == ["N", "N"]


def test_fibrillating_atria_leave_no_p_wave_and_an_irregular_rhythm(generator):
    of = beats(a="N" * 50)
    shown = ShownBeats.of(of)
    fibrillate(shown, np.arange(50), generator)
    assert set(shown.aami) == {"N"}
    assert np.abs(shown.usual[:, P]).max() < 0.2 * np.abs(of.usual[:, P]).max()
    assert shown.rr_features.std(axis=0)[RR_FEATURES.index("rr to previous rr")] > 0.1


def test_fibrillating_rhythms_are_as_irregular_as_people_with_it():
    changes = fibrillating_rhythms()[:, RR_FEATURES.index("mean absolute change of 8")]
    assert 0.1 < np.median(changes) < 0.4


def test_a_transplanted_beat_stands_beside_its_hosts_usual_beat(generator):
    of = beats(a="V", host="N")
    shown = ShownBeats.of(of)
    transplant(shown, np.array([0]), of, generator)
    np.testing.assert_array_equal(shown.usual, shown.late)
    gain = shown.windows[0, R_POSITION] / of.windows[0, R_POSITION]
    np.testing.assert_allclose(shown.windows[0], gain * of.windows[0], atol=1e-3)
    assert shown.aami[0] == "V"


def test_a_fusion_beat_keeps_its_p_wave_and_lies_between_what_is_fused(generator):
    of = beats(a="V", host="N")
    shown = ShownBeats.of(of)
    shown.windows[0] = -2.0 * of.windows[0]
    fuse(shown, np.array([0]), of, generator)
    np.testing.assert_array_equal(shown.windows[0, P], shown.usual[0, P])
    part = (1.0 - shown.windows[0, R_POSITION] / of.usual[0, R_POSITION]) / 3.0
    assert FUSED_PART[0] <= part <= FUSED_PART[1]
    assert shown.aami[0] == "F"


def test_an_aberrant_beat_has_its_own_p_wave_and_anothers_qrs_complex(generator):
    of = beats(a="V", donor="N")
    of.windows[1] = np.roll(of.windows[1], 2)
    shown = ShownBeats.of(of)
    conduct_aberrantly(shown, np.array([0]), of, generator)
    before = slice(0, R_POSITION + P_WAVE[1])
    np.testing.assert_array_equal(shown.windows[0, before], of.windows[0, before])
    assert np.abs(shown.windows[0, QRS]).argmax() == np.abs(of.windows[1, QRS]).argmax()
    np.testing.assert_allclose(np.ptp(shown.windows[0, QRS]), np.ptp(of.windows[0, QRS]), rtol=0.1)
