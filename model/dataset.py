"""`python -m model.dataset`: the MIT-BIH records as beats, in two cuts.

The public cut is Kachuee et al. 2018 (the Kaggle "heartbeat" set): 187 samples at 125 Hz from the
annotated R peak on, cut at 1.2 × the record's median RR. It looks into the future and needs the
whole record, so it serves the benchmark alone. The serving cut is what the gateway's own pipeline
gives its classifier: from R peaks that its own detector finds, in signal that it holds for usable.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
from tqdm import tqdm

from gateway.config import AlarmLimits
from gateway.dsp.beat_context import RR_FEATURES, BeatContext
from gateway.dsp.beat_windows import cut_window
from gateway.dsp.filters import BandPass
from gateway.messages import (
    BEAT_WINDOW_RATE_HZ,
    BEAT_WINDOW_SAMPLES,
    SAMPLES_PER_FRAME,
    Beat,
    BeatClass,
    BeatInContext,
    BeatLabel,
    BeatWindow,
    SampleBlock,
    SampleIndex,
)
from gateway.pipeline import Pipeline
from model import beats, records
from model.beats import NOT_A_BEAT, Beats, ServingBeats, TrainingBeats
from model.records import AnnotatedRecord, read_record, record_names

CACHE = Path("build/beats")
PUBLIC_CUT_RR = 1.2  # Kachuee et al. 2018, section III
PUBLIC_COUNTS = {"N": 90_589, "S": 2_779, "V": 7_236, "F": 803, "Q": 8_039}
ANALYSIS = ("gateway.dsp.", "gateway.pipeline")  # whose code makes the serving cut
MATCH_S = 0.150  # ANSI/AAMI EC57: a detection within 150 ms of the annotation is that beat


SomeBeats = TypeVar("SomeBeats", bound=Beats)
_NOTHING = BeatInContext(
    SampleIndex(0),
    *(np.zeros(BEAT_WINDOW_SAMPLES, np.float32) for _ in ("samples", "usual", "late")),
    np.zeros(len(RR_FEATURES), np.float32),
)


def scale_min_max(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale a stretch to 0–1, as the public benchmark does; a flat one becomes all zeros."""
    low, span = samples.min(), np.ptp(samples)
    return (samples - low) / span if span > 0 else np.zeros_like(samples)


def public_cut(record: AnnotatedRecord) -> Beats:
    """All beats but the record's last; windows scaled to 0–1 and then padded with zeros."""
    down = record.sample_rate_hz // np.gcd(record.sample_rate_hz, BEAT_WINDOW_RATE_HZ)
    up = BEAT_WINDOW_RATE_HZ // np.gcd(record.sample_rate_hz, BEAT_WINDOW_RATE_HZ)
    signal = resample_poly(record.amplitude_uv, up, down)
    starts = np.rint(record.beat_samples * up / down).astype(np.int64)
    length = min(round(PUBLIC_CUT_RR * np.median(np.diff(starts))), BEAT_WINDOW_SAMPLES)
    windows = np.zeros((len(starts) - 1, BEAT_WINDOW_SAMPLES), np.float32)
    for window, start in zip(windows, starts[:-1], strict=True):
        stretch = signal[start : start + length].astype(np.float32)
        window[: len(stretch)] = scale_min_max(stretch)
    rr_ms = (np.diff(record.beat_samples) * (1000.0 / record.sample_rate_hz)).astype(np.float32)
    return Beats(
        record=np.full(len(windows), record.name),
        annotation=np.arange(len(windows), dtype=np.int32),
        aami=record.beat_classes[:-1],
        rr_before_ms=np.insert(rr_ms[:-1], 0, np.float32(np.nan)),
        rr_after_ms=rr_ms,
        has_window=np.ones(len(windows), np.bool_),
        windows=windows,
    )


def serving_cut(record: AnnotatedRecord) -> ServingBeats:
    """Every annotated beat, labelled, gated or missed, and every false detection."""
    given, found = stream_beats(record)
    detected = np.array([beat.r_sample for beat in found], np.int64)
    matches = match(record.beat_samples, detected, round(MATCH_S * record.sample_rate_hz))
    missed = sorted(set(range(len(record.beat_samples))) - set(matches.values()))
    parts = [_detected_beats(record, given, found, matches), _missed_beats(record, missed)]
    return ServingBeats.join(parts)


class _Onlooker:
    """Keeps what the pipeline gives its classifier; calls every beat normal."""

    def __init__(self) -> None:
        self.given: dict[int, BeatInContext] = {}

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        self.given.update((beat.r_sample, beat) for beat in beats)
        return [BeatLabel(BeatClass.NORMAL, 0.0)] * len(beats)


def stream_beats(record: AnnotatedRecord) -> tuple[dict[int, BeatInContext], list[Beat]]:
    """What the gateway's pipeline gives its classifier, by R's sample, and every beat it finds."""
    onlooker, found = _Onlooker(), []
    pipeline = Pipeline(record.sample_rate_hz, onlooker, AlarmLimits())
    for start in range(0, record.amplitude_uv.size, SAMPLES_PER_FRAME):
        amplitude_uv = record.amplitude_uv[start : start + SAMPLES_PER_FRAME].copy()
        block = SampleBlock(SampleIndex(start), record.sample_rate_hz, amplitude_uv)
        found += pipeline.push(block).beats
    found += pipeline.finish().beats
    return onlooker.given, found


def training_cut(record: AnnotatedRecord) -> TrainingBeats:
    """The serving cut with the same beats in the record's other lead, around the same R peaks."""
    beats = serving_cut(record)
    block = SampleBlock(SampleIndex(0), record.sample_rate_hz, record.other_lead_uv.copy())
    filtered = BandPass(record.sample_rate_hz).push(block).amplitude_uv
    windows, usual, late = (np.zeros_like(beats.windows) for _ in range(3))
    context = BeatContext()
    for place in range(len(beats)):
        r_sample, rr_ms = int(beats.r_sample[place]), float(beats.rr_before_ms[place])
        window = cut_window(filtered, r_sample, record.sample_rate_hz)
        known_rr_ms = None if np.isnan(rr_ms) else rr_ms
        given = BeatWindow(SampleIndex(r_sample), known_rr_ms, window)
        shown = context.push(given, is_fit=bool(beats.has_window[place]))
        if shown is not None:
            windows[place], usual[place], late[place] = shown.samples, shown.usual, shown.late
    columns = (getattr(beats, field.name) for field in fields(beats))
    return TrainingBeats(*columns, windows, usual, late)


def match(annotated: NDArray[np.int64], detected: NDArray[np.int64], within: int) -> dict[int, int]:
    """Detection → annotation, each used once, the closest pairs first."""
    nearest = np.searchsorted(annotated, detected)
    candidates = sorted(
        (abs(int(annotated[near]) - int(sample)), detection, near)
        for detection, (sample, after) in enumerate(zip(detected, nearest, strict=True))
        for near in (after - 1, after)
        if 0 <= near < len(annotated) and abs(annotated[near] - sample) <= within
    )
    matches: dict[int, int] = {}
    taken: set[int] = set()
    for _, detection, annotation in candidates:
        if detection not in matches and annotation not in taken:
            matches[detection] = int(annotation)
            taken.add(annotation)
    return matches


def _detected_beats(
    record: AnnotatedRecord,
    given: dict[int, BeatInContext],
    found: list[Beat],
    matches: dict[int, int],
) -> ServingBeats:
    rr_ms = np.array([np.nan if beat.rr_ms is None else beat.rr_ms for beat in found], np.float32)
    r_samples = np.array([beat.r_sample for beat in found])
    annotation = _nearest(record.beat_samples, r_samples).astype(np.int32)
    is_beat = np.array([index in matches for index in range(len(found))])
    annotation[is_beat] = [matches[index] for index in np.flatnonzero(is_beat)]
    shown = [given.get(beat.r_sample, _NOTHING) for beat in found]
    has_window = np.array([beat.r_sample in given for beat in found])
    return ServingBeats(
        record=np.full(len(found), record.name),
        annotation=annotation,
        aami=np.where(is_beat, record.beat_classes[annotation], NOT_A_BEAT),
        rr_before_ms=rr_ms,
        rr_after_ms=np.append(rr_ms[1:], np.float32(np.nan)),
        has_window=has_window,
        windows=np.stack([beat.samples for beat in shown]),
        r_sample=r_samples,
        usual=np.stack([beat.usual for beat in shown]),
        late=np.stack([beat.late for beat in shown]),
        rr_features=np.stack([beat.rr_features for beat in shown]),
    )


def _nearest(annotated: NDArray[np.int64], samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each sample the index of the annotation that lies nearest."""
    middles = (annotated[1:] + annotated[:-1]) / 2.0
    return np.searchsorted(middles, samples)


def _missed_beats(record: AnnotatedRecord, missed: list[int]) -> ServingBeats:
    annotation = np.array(missed, np.int32)
    unknown = np.full(len(annotation), np.nan, np.float32)
    nothing = np.zeros((len(annotation), BEAT_WINDOW_SAMPLES), np.float32)
    return ServingBeats(
        record=np.full(len(annotation), record.name),
        annotation=annotation,
        aami=record.beat_classes[annotation],
        rr_before_ms=unknown,
        rr_after_ms=unknown,
        has_window=np.zeros(len(annotation), np.bool_),
        windows=nothing,
        r_sample=record.beat_samples[annotation],
        usual=nothing,
        late=nothing,
        rr_features=np.zeros((len(annotation), len(RR_FEATURES)), np.float32),
    )


@dataclass(frozen=True, slots=True)
class Cut(Generic[SomeBeats]):
    """A way of cutting records into beats, and the kind of beats that come of it."""

    name: str
    kind: type[SomeBeats]
    of_record: Callable[[AnnotatedRecord], SomeBeats]

    def load(self) -> SomeBeats:
        """The beats of all records; built once for each state of their source."""
        cache = CACHE / f"{self.name}-{_sources_hash()}.npz"
        if not cache.exists():
            for stale in CACHE.glob(f"{self.name}-*.npz"):
                stale.unlink()
            self.kind.join(self._build()).save(cache)
        return self.kind.load(cache)

    def _build(self) -> list[SomeBeats]:
        """Record by record, on every core."""
        names = record_names()
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
            beats = workers.map(self._of_name, names)
            return list(tqdm(beats, f"{self.name} cut", len(names), disable=None))

    def _of_name(self, name: str) -> SomeBeats:
        return self.of_record(read_record(name))


PUBLIC = Cut("public", Beats, public_cut)
SERVING = Cut("serving", TrainingBeats, training_cut)


def _sources_hash() -> str:
    """Changes with the source that makes the cuts, so that no stale cut is ever used."""
    stages = sorted(name for name in sys.modules if name.startswith(ANALYSIS))
    own = (__file__, beats.__file__, records.__file__)
    sources = [*own, *(inspect.getfile(sys.modules[name]) for name in stages)]
    contents = b"".join(Path(source).read_bytes() for source in sources)
    return hashlib.sha256(contents).hexdigest()[:12]


def main() -> None:
    counts = Counter(PUBLIC.load().aami.tolist())
    if counts != PUBLIC_COUNTS:
        raise SystemExit(f"the public cut holds {dict(counts)}, not {PUBLIC_COUNTS}")
    print("public cut:", dict(counts))
    serving = SERVING.load()
    usable = serving[serving.is_beat & serving.has_window]
    print("serving cut:", {c.value: int((usable.aami == c.value).sum()) for c in BeatClass})
    print(f"missed or gated: {int((serving.is_beat & ~serving.has_window).sum())},")
    print(f"false detections: {int((~serving.is_beat).sum())}")


if __name__ == "__main__":
    main()
