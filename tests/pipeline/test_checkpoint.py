from __future__ import annotations

import contextlib
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import checkpoint
from gateway.checkpoint import CheckpointRefusal, CheckpointRefused
from gateway.config import EVERY_BEAT, AlarmLimits, StoreConfig
from gateway.dsp.notch import NotchMode
from gateway.messages import LEGAL_SAMPLE_RATES_HZ
from gateway.pipeline import Pipeline
from tests.fakes import FAKE_CARD, FakeClassifier
from tests.pipeline.streams import bits, cut, eventful_stream, joined, make_pipeline, run

RATE = 250
MAX_BYTES_A_MINUTE = 20_000  # to the SD card, of a sensor at 250 Hz; its frames are 35,000


def halves(rate, at):
    items = [*cut(eventful_stream(rate), {at})]
    return [i for i in items if i.end <= at], [i for i in items if i.start >= at]


@settings(max_examples=40, deadline=None)
@given(rate=st.sampled_from(LEGAL_SAMPLE_RATES_HZ), at_s=st.floats(0.01, 59.9))
def test_a_restored_pipeline_goes_on_to_the_bit(rate, at_s):
    before, after = halves(rate, round(at_s * rate))
    original = make_pipeline(rate)
    joined(original.push(item) for item in before)
    restored = make_pipeline(rate)
    checkpoint.load(restored, checkpoint.save(original))
    assert bits(run(restored, after)) == bits(run(original, after))
    assert restored.end == original.end


def test_saving_changes_nothing_and_saves_the_same_again():
    before, after = halves(RATE, 5000)
    pipeline = make_pipeline(RATE)
    joined(pipeline.push(item) for item in before)
    assert checkpoint.save(pipeline) == checkpoint.save(pipeline)
    untouched = make_pipeline(RATE)
    joined(untouched.push(item) for item in before)
    assert bits(run(pipeline, after)) == bits(run(untouched, after))


def test_a_checkpoint_is_small():
    pipeline = make_pipeline(RATE)
    for item in cut(eventful_stream(RATE)[:1], range(0, 60 * RATE, 187)):
        pipeline.push(item)
    minutes_between = StoreConfig().checkpoint_interval_s / 60.0
    assert len(checkpoint.save(pipeline)) / minutes_between < MAX_BYTES_A_MINUTE


def refusal(pipeline, saved):
    with pytest.raises(CheckpointRefused) as refused:
        checkpoint.load(pipeline, saved)
    return refused.value.reason


@pytest.mark.parametrize(
    "other",
    [
        make_pipeline(360),
        Pipeline(RATE, FakeClassifier(), AlarmLimits(abnormal_beat=EVERY_BEAT)),
        Pipeline(RATE, FakeClassifier(), AlarmLimits(), NotchMode.AUTO),
    ],
    ids=["sample rate", "policy", "notch"],
)
def test_what_was_built_otherwise_refuses(other):
    assert refusal(other, checkpoint.save(make_pipeline(RATE))) is CheckpointRefusal.FINGERPRINT


def test_another_model_goes_on_from_the_state():
    first, second = halves(RATE, 9000)
    before = make_pipeline(RATE)
    joined(before.push(item) for item in first)
    other = Pipeline(RATE, FakeClassifier(replace(FAKE_CARD, sha256="0" * 64)), AlarmLimits())
    checkpoint.load(other, checkpoint.save(before))
    assert bits(run(other, second)) == bits(run(before, second))


def test_other_code_refuses(monkeypatch):
    saved = checkpoint.save(make_pipeline(RATE))
    monkeypatch.setattr(checkpoint, "_code_sha256", lambda: "other code")
    assert refusal(make_pipeline(RATE), saved) is CheckpointRefusal.FINGERPRINT


def test_another_format_refuses(monkeypatch):
    saved = checkpoint.save(make_pipeline(RATE))
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    assert refusal(make_pipeline(RATE), saved) is CheckpointRefusal.FORMAT


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_damaged(noise):
    for saved in (noise, zlib.compress(noise), zlib.compress(b"\x02\0\0\0{}" + noise)):
        pipeline = make_pipeline(RATE)
        reason = refusal(pipeline, saved)
        assert reason in (CheckpointRefusal.DAMAGED, CheckpointRefusal.FORMAT)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_changed_byte_is_refused_or_taken_and_no_other_error(drawn):
    plain = bytearray(zlib.decompress(SAVED))
    at = drawn.draw(st.integers(0, len(plain) - 1))
    plain[at] ^= drawn.draw(st.integers(1, 255))
    with contextlib.suppress(CheckpointRefused):
        checkpoint.load(make_pipeline(RATE), zlib.compress(bytes(plain)))


def test_a_cut_checkpoint_is_damaged():
    assert refusal(make_pipeline(RATE), SAVED[:-5]) is CheckpointRefusal.DAMAGED


def test_what_a_checkpoint_cannot_hold_is_an_error_of_ours():
    pipeline = make_pipeline(RATE)
    pipeline._callback = print
    with pytest.raises(TypeError):
        checkpoint.save(pipeline)


def _saved_in_mid_stream() -> bytes:
    pipeline = make_pipeline(RATE)
    joined(pipeline.push(item) for item in halves(RATE, 9000)[0])
    return checkpoint.save(pipeline)


SAVED = _saved_in_mid_stream()
