"""Streams of made-up signal, their cutting, and what comes out of a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np

from gateway.config import AlarmLimits
from gateway.messages import Findings, Gap, GapReason, SampleBlock, SampleIndex
from gateway.pipeline import Pipeline
from tests.fakes import FakeClassifier, ecg_uv

Item = SampleBlock | Gap


def make_pipeline(sample_rate_hz: int) -> Pipeline:
    return Pipeline(sample_rate_hz, FakeClassifier(), AlarmLimits())


@cache
def eventful_stream(rate: int) -> tuple[Item, ...]:
    """A fast run, pauses, an asystole, wide beats, gaps of both kinds and a lead off: 60 s."""
    beats = [*np.arange(0.4, 12, 0.38), *np.arange(12.3, 20, 0.8), *np.arange(26.2, 40, 0.9)]
    signal = np.rint(ecg_uv(60, rate, [*beats, *np.arange(42, 60, 1.7)]))
    signal[28 * rate : 30 * rate] *= 5.0
    edges = [round(second * rate) for second in (0.0, 33.3, 34.0, 36.1, 39.5, 40.2, 60.0)]
    fast, _, slow, _, off, last = (
        SampleBlock(SampleIndex(begin), rate, signal[begin:end].copy())
        for begin, end in pairwise(edges)
    )
    lost = Gap(SampleIndex(edges[1]), edges[2] - edges[1])
    invalid = Gap(SampleIndex(edges[3]), edges[4] - edges[3], GapReason.INVALID)
    return fast, lost, slow, invalid, replace(off, lead_off=True), last


def ecg_block(
    seconds: float, beat_times_s: Iterable[float], rate: int = 250, start_s: float = 0.0
) -> SampleBlock:
    """One block of made-up ECG that starts `start_s` into the session."""
    signal = ecg_uv(seconds, rate, [*beat_times_s])
    return SampleBlock(SampleIndex(round(start_s * rate)), rate, signal)


def cut(items: Iterable[Item], at: Iterable[int]) -> Iterator[Item]:
    """The same samples and gaps, cut at the given samples."""
    for item in items:
        inside = {sample for sample in at if item.start < sample < item.end}
        for begin, end in pairwise([item.start, *sorted(inside), item.end]):
            if isinstance(item, Gap):
                yield Gap(SampleIndex(begin), end - begin, item.reason)
            else:
                part = item.amplitude_uv[begin - item.start : end - item.start]
                yield replace(item, start=SampleIndex(begin), amplitude_uv=part.copy())


def run(pipeline: Pipeline, items: Iterable[Item]) -> Findings:
    """All that a whole stream brings to light."""
    return joined([*(pipeline.push(item) for item in items), pipeline.finish()])


def joined(findings: Iterable[Findings]) -> Findings:
    found = [*findings]
    return Findings(
        filtered=tuple(block for each in found for block in each.filtered),
        beats=tuple(beat for each in found for beat in each.beats),
        vitals=tuple(second for each in found for second in each.vitals),
        events=tuple(event for each in found for event in each.events),
        minutes=tuple(minute for each in found for minute in each.minutes),
    )


def bits(findings: Findings) -> tuple[object, ...]:
    """The content of `findings`, whatever blocks the filtered signal came in."""
    filtered = b"".join(block.amplitude_uv.tobytes() for block in findings.filtered)
    return filtered, findings.beats, findings.vitals, findings.events, findings.minutes
