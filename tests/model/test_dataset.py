from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from gateway.beat_classifier import load_card
from gateway.config import AlarmLimits
from gateway.messages import BeatClass, BeatLabel, BeatWindow, SampleBlock, SampleIndex
from gateway.pipeline import Pipeline
from gateway.tflite_classifier import default_model_path
from model.dataset import PUBLIC_COUNTS, match, public_cut, serving_cut, stream_windows
from model.records import AnnotatedRecord, read_record, record_names


def excerpt(name: str, seconds: int) -> AnnotatedRecord:
    record = read_record(name)
    samples = seconds * record.sample_rate_hz
    kept = record.beat_samples < samples
    return AnnotatedRecord(
        name,
        record.sample_rate_hz,
        record.amplitude_uv[:samples],
        record.beat_samples[kept],
        record.beat_classes[kept],
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


def test_each_annotation_is_matched_once_and_the_nearest_wins():
    annotated = np.array([100, 200, 300])
    detected = np.array([90, 104, 215, 420])
    assert match(annotated, detected, within=54) == {1: 0, 2: 1}


class WindowKeeper:
    """A classifier that keeps what the pipeline gives it."""

    def __init__(self) -> None:
        self.card = load_card(default_model_path().with_suffix(".json"))
        self.windows: list[BeatWindow] = []

    def classify(self, windows: Sequence[BeatWindow]) -> list[BeatLabel]:
        self.windows += windows
        return [BeatLabel(BeatClass.NORMAL, 0.0)] * len(windows)


@pytest.mark.recordings
def test_serving_sees_the_bytes_that_training_saw():
    record = excerpt("119", 120)
    trained = {window.r_sample: window for window in stream_windows(record)}
    served = WindowKeeper()
    pipeline = Pipeline(record.sample_rate_hz, served, AlarmLimits())
    for start in range(0, record.amplitude_uv.size, 1000):
        stretch = record.amplitude_uv[start : start + 1000].copy()
        pipeline.push(SampleBlock(SampleIndex(start), record.sample_rate_hz, stretch))
    pipeline.finish()
    assert len(served.windows) > 100
    for window in served.windows:
        assert window.samples.tobytes() == trained[window.r_sample].samples.tobytes()
        assert window.rr_ms == trained[window.r_sample].rr_ms
