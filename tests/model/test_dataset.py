from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from gateway.beat_classifier import load_card
from gateway.config import AlarmLimits
from gateway.messages import BeatClass, BeatInContext, BeatLabel, SampleBlock, SampleIndex
from gateway.pipeline import Pipeline
from gateway.tflite_classifier import default_model_path
from model.dataset import PUBLIC_COUNTS, match, public_cut, scale_min_max, serving_cut, training_cut
from model.records import AnnotatedRecord, read_record, record_names


def excerpt(name: str, seconds: int) -> AnnotatedRecord:
    record = read_record(name)
    samples = seconds * record.sample_rate_hz
    kept = record.beat_samples < samples
    return replace(
        record,
        amplitude_uv=record.amplitude_uv[:samples],
        beat_samples=record.beat_samples[kept],
        beat_classes=record.beat_classes[kept],
        other_lead_uv=record.other_lead_uv[:samples],
    )


@pytest.mark.recordings
def test_public_cut_has_the_benchmarks_counts():
    counts: Counter[str] = Counter()
    for name in record_names():
        counts.update(public_cut(read_record(name)).aami.tolist())
    assert counts == PUBLIC_COUNTS


@pytest.mark.recordings
def test_public_windows_span_0_to_1_and_end_in_zeros():
    windows = public_cut(excerpt("100", 120)).windows
    np.testing.assert_array_equal(windows.max(axis=1), 1.0)
    np.testing.assert_array_equal(windows.min(axis=1), 0.0)
    assert not windows[:, 150:].any()  # 1.2 × 0.8 s are 120 samples


@pytest.mark.recordings
def test_serving_cut_knows_every_annotated_beat_once():
    record = excerpt("208", 120)
    cut = serving_cut(record)
    numbers = cut.annotation[cut.is_beat]
    assert sorted(numbers) == list(range(len(record.beat_samples)))
    np.testing.assert_array_equal(cut.aami[cut.is_beat], record.beat_classes[numbers])
    assert cut.is_trainable.sum() > 0.95 * len(numbers)


def test_scaling_spans_0_to_1_and_forgets_gain_and_offset():
    stretch = np.array([-100.0, 0.0, 300.0], np.float32)
    np.testing.assert_allclose(scale_min_max(stretch), [0.0, 0.25, 1.0])
    np.testing.assert_allclose(scale_min_max(stretch * 2 + 40), scale_min_max(stretch), atol=1e-6)
    np.testing.assert_array_equal(scale_min_max(np.full(3, 5, np.float32)), 0.0)


def test_each_annotation_is_matched_once_and_the_nearest_wins():
    annotated = np.array([100, 200, 300])
    detected = np.array([90, 104, 215, 420])
    assert match(annotated, detected, within=54) == {1: 0, 2: 1}


@pytest.mark.recordings
def test_training_sees_the_bytes_that_serving_sees():
    record = excerpt("119", 120)
    trained = training_cut(record)
    row_of = {int(r_sample): row for row, r_sample in enumerate(trained.r_sample)}
    served = BeatKeeper()
    pipeline = Pipeline(record.sample_rate_hz, served, AlarmLimits())
    for start in range(0, record.amplitude_uv.size, 1000):
        stretch = record.amplitude_uv[start : start + 1000].copy()
        pipeline.push(SampleBlock(SampleIndex(start), record.sample_rate_hz, stretch))
    pipeline.finish()
    assert len(served.beats) > 100
    for beat in served.beats:
        row = row_of[beat.r_sample]
        assert beat.samples.tobytes() == trained.windows[row].tobytes()
        assert beat.usual.tobytes() == trained.usual[row].tobytes()
        assert beat.rr_features.tobytes() == trained.rr_features[row].tobytes()
    assert len(served.beats) == trained.has_window.sum()


@pytest.mark.recordings
def test_the_other_lead_is_cut_around_the_same_r_peaks():
    record = excerpt("119", 60)
    beats = training_cut(replace(record, other_lead_uv=-record.amplitude_uv))
    assert beats.has_window.sum() > 50
    np.testing.assert_array_equal(beats.other_windows, -beats.windows)
    np.testing.assert_array_equal(beats.other_usual, -beats.usual)


class BeatKeeper:
    """A classifier that keeps what the pipeline gives it."""

    def __init__(self) -> None:
        self.card = load_card(default_model_path().with_suffix(".json"))
        self.beats: list[BeatInContext] = []

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        self.beats += beats
        return [BeatLabel(BeatClass.NORMAL, 0.0)] * len(beats)
