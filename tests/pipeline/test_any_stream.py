"""Made-up streams through all stages: whatever a sensor sends, however it is cut.

Each has stretches of a beating heart, of a still one and of noise, at any legal rate, amplitude,
polarity and baseline, as the int16 steps that a sensor sends; between them gaps, lost or marked
invalid sample by sample, and leads that come off.
"""

from __future__ import annotations

import enum
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.messages import (
    INVALID_STEP,
    LEGAL_SAMPLE_RATES_HZ,
    MICROVOLTS_PER_STEP,
    Findings,
    Gap,
    GapReason,
    SampleBlock,
    SampleIndex,
)
from tests.fakes import ecg_uv
from tests.pipeline.streams import Item, bits, make_pipeline, run

EXAMPLES = int(os.environ.get("STREAMS", "300"))  # `make test-streaming` asks for 1,000
LARGEST_STEP = 32767
SETTLING_S = 1.0  # by then what a filter without a past would ring has died away
WAVES_S = (-0.15, 0.40)  # from R: where a beat's own waves lie, the T wave last


class Source(enum.Enum):
    HEART = "heart"
    STILL = "still"
    NOISE = "noise"
    LOST = "lost"
    INVALID = "invalid"


@dataclass(frozen=True)
class Stretch:
    source: Source
    seconds: float
    rr_s: float
    r_uv: float
    baseline_uv: float
    lead_off: bool

    def amplitude_uv(self, rate: int) -> NDArray[np.float64]:
        size = round(self.seconds * rate)
        if self.source is Source.NOISE:
            return self.baseline_uv + self.r_uv * np.random.default_rng(size).normal(size=size)
        beats_s = self.beats_s if self.source is Source.HEART else []
        return self.baseline_uv + ecg_uv(size / rate, rate, beats_s, self.r_uv)

    @property
    def beats_s(self) -> list[float]:
        return [*np.arange(0.2, self.seconds, self.rr_s)]


STRETCHES = st.builds(
    Stretch,
    source=st.sampled_from([Source.HEART, *Source]),
    seconds=st.floats(0.02, 5.0),
    rr_s=st.floats(0.3, 2.0),
    r_uv=st.sampled_from([-1.0, 1.0]).flatmap(
        lambda sign: st.floats(50.0, 5000.0).map(lambda uv: sign * uv)
    ),
    baseline_uv=st.floats(-170_000.0, 170_000.0),  # beyond the int16 range at its ends: clipped
    lead_off=st.booleans(),
)


def stream_items(stretches: Iterable[Stretch], rate: int) -> Iterator[Item]:
    """As they come from a session, uncut; invalid samples pass through their step's value."""
    start = 0
    for stretch in stretches:
        steps = np.rint(stretch.amplitude_uv(rate) / MICROVOLTS_PER_STEP)
        steps = np.clip(steps, -LARGEST_STEP, LARGEST_STEP).astype(np.int16)
        if stretch.source is Source.INVALID:
            steps[:] = INVALID_STEP
        if steps.size:
            yield _item(stretch, steps, SampleIndex(start), rate)
        start += steps.size


def _item(stretch: Stretch, steps: NDArray[np.int16], start: SampleIndex, rate: int) -> Item:
    if stretch.source in (Source.LOST, Source.INVALID):
        return Gap(start, steps.size, GapReason(stretch.source.value))
    amplitude_uv = steps.astype(np.float64) * MICROVOLTS_PER_STEP
    clipped = bool((np.abs(steps) == LARGEST_STEP).any())
    return SampleBlock(start, rate, amplitude_uv, stretch.lead_off, clipped)


def chunked(items: Iterable[Item], sizes: np.random.Generator, largest: int) -> Iterator[Item]:
    """The same items in pieces of 1 to `largest` samples."""
    for item in items:
        past = item.end - item.start
        ends = np.cumsum(sizes.integers(1, largest + 1, 2 * past // (largest + 1) + 1))
        edges = [0, *ends[ends < past].tolist(), past]
        for begin, end in pairwise(edges):
            yield _piece(item, begin, end)


def _piece(item: Item, begin: int, end: int) -> Item:
    start = SampleIndex(item.start + begin)
    if isinstance(item, Gap):
        return Gap(start, end - begin, item.reason)
    part = item.amplitude_uv[begin:end].copy()
    return SampleBlock(start, item.sample_rate_hz, part, item.lead_off, item.clipped)


def numbers(value: object) -> Iterator[float]:
    """The numbers in a finding, however deep; of an array its sum."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, np.ndarray):
        yield float(value.sum())  # not finite where one of them is not
    elif isinstance(value, tuple | list | frozenset):
        for part in value:
            yield from numbers(part)


def artefacts(found: Findings, items: list[Item], stretches: list[Stretch]) -> list[float]:
    """Beats between a gap's last moment and the settling after it where the signal has none, s."""
    beats = [beat.r_sample for beat in found.beats]
    wrong = []
    for (before, item), stretch in zip(pairwise(items), stretches[1:], strict=True):
        if not isinstance(before, Gap) or stretch.source not in (Source.HEART, Source.STILL):
            continue
        rate = item.sample_rate_hz
        true_s = stretch.beats_s if stretch.source is Source.HEART else []
        until = min(SETTLING_S, stretch.seconds + WAVES_S[0])
        for at_s in ((r - item.start) / rate for r in beats):
            has_beat = any(WAVES_S[0] <= at_s - r_s <= WAVES_S[1] for r_s in true_s)
            if max(WAVES_S[0], (before.start - item.start) / rate) <= at_s < until and not has_beat:
                wrong.append(item.start / rate + at_s)
    return wrong


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rate=st.sampled_from(LEGAL_SAMPLE_RATES_HZ),
    stretches=st.lists(STRETCHES, min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    largest=st.integers(8, 800),  # a frame has 187; sample by sample is a test of its own
)
def test_any_stream(rate, stretches, seed, largest):
    stretches = [each for each in stretches if round(each.seconds * rate) > 0]
    items = [*stream_items(stretches, rate)]
    whole = run(make_pipeline(rate), items)
    pieces = chunked(items, np.random.default_rng(seed), largest)
    assert bits(run(make_pipeline(rate), pieces)) == bits(whole)
    assert all(map(math.isfinite, numbers(astuple(whole))))
    assert artefacts(whole, items, stretches) == []
