"""`python -m model.dataset`: the MIT-BIH records as beats, in two cuts.

The public cut is Kachuee et al. 2018 (the Kaggle "heartbeat" set): 187 samples at 125 Hz from the
annotated R peak on, cut at 1.2 × the record's median RR. It looks into the future and needs the
whole record, so it serves the benchmark alone. The serving cut is what the gateway's own stages
make of the record, from the R peaks that its own detector finds.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
from tqdm import tqdm

from gateway.beat_classifier import scale_min_max
from gateway.dsp.beat_windows import BeatWindowCutter
from gateway.dsp.filters import BandPass
from gateway.dsp.r_peaks import RPeakDetector
from gateway.dsp.rr_intervals import RRSeries
from gateway.messages import (
    BEAT_WINDOW_RATE_HZ,
    BEAT_WINDOW_SAMPLES,
    SAMPLES_PER_FRAME,
    BeatClass,
    BeatWindow,
    SampleBlock,
    SampleIndex,
)
from model import beats
from model.beats import NOT_A_BEAT, Beats
from model.records import AnnotatedRecord, read_record, record_names

CACHE = Path("build/beats")
PUBLIC_CUT_RR = 1.2  # Kachuee et al. 2018, section III
PUBLIC_COUNTS = {"N": 90_589, "S": 2_779, "V": 7_236, "F": 803, "Q": 8_039}
MATCH_S = 0.150  # ANSI/AAMI EC57: a detection within 150 ms of the annotation is that beat


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


def serving_cut(record: AnnotatedRecord) -> Beats:
    """Every annotated beat, found or missed, and every false detection."""
    found = list(stream_windows(record))
    detected = np.array([window.r_sample for window in found], np.int64)
    matches = match(record.beat_samples, detected, round(MATCH_S * record.sample_rate_hz))
    missed = sorted(set(range(len(record.beat_samples))) - set(matches.values()))
    parts = [_detected_beats(record, found, matches), _missed_beats(record, missed)]
    return beats.join(parts)


def stream_windows(record: AnnotatedRecord) -> Iterator[BeatWindow]:
    """The beat windows as the gateway's stages give them, in order of R."""
    rate_hz = record.sample_rate_hz
    band_pass, detector = BandPass(rate_hz), RPeakDetector(rate_hz)
    rr_series, cutter = RRSeries(rate_hz), BeatWindowCutter(rate_hz)
    for start in range(0, record.amplitude_uv.size, SAMPLES_PER_FRAME):
        amplitude_uv = record.amplitude_uv[start : start + SAMPLES_PER_FRAME].copy()
        block = SampleBlock(SampleIndex(start), rate_hz, amplitude_uv)
        for peak in detector.push(block):
            cutter.add_peak(peak, rr_series.push_peak(peak))
        yield from cutter.push(band_pass.push(block))
    for peak in detector.finish():
        cutter.add_peak(peak, rr_series.push_peak(peak))
    yield from cutter.finish()


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
    record: AnnotatedRecord, found: list[BeatWindow], matches: dict[int, int]
) -> Beats:
    rr_ms = np.array([np.nan if w.rr_ms is None else w.rr_ms for w in found], np.float32)
    r_samples = np.array([window.r_sample for window in found])
    annotation = _nearest(record.beat_samples, r_samples).astype(np.int32)
    is_beat = np.array([index in matches for index in range(len(found))])
    annotation[is_beat] = [matches[index] for index in np.flatnonzero(is_beat)]
    empty = np.zeros(BEAT_WINDOW_SAMPLES, np.float32)
    windows = [empty if window.samples is None else window.samples for window in found]
    return Beats(
        record=np.full(len(found), record.name),
        annotation=annotation,
        aami=np.where(is_beat, record.beat_classes[annotation], NOT_A_BEAT),
        rr_before_ms=rr_ms,
        rr_after_ms=np.append(rr_ms[1:], np.float32(np.nan)),
        has_window=np.array([window.samples is not None for window in found]),
        windows=np.stack(windows),
    )


def _nearest(annotated: NDArray[np.int64], samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each sample the index of the annotation that lies nearest."""
    middles = (annotated[1:] + annotated[:-1]) / 2.0
    return np.searchsorted(middles, samples)


def _missed_beats(record: AnnotatedRecord, missed: list[int]) -> Beats:
    annotation = np.array(missed, np.int32)
    unknown = np.full(len(annotation), np.nan, np.float32)
    return Beats(
        record=np.full(len(annotation), record.name),
        annotation=annotation,
        aami=record.beat_classes[annotation],
        rr_before_ms=unknown,
        rr_after_ms=unknown,
        has_window=np.zeros(len(annotation), np.bool_),
        windows=np.zeros((len(annotation), BEAT_WINDOW_SAMPLES), np.float32),
    )


CUTS = {"public": public_cut, "serving": serving_cut}


def load_cut(name: str) -> Beats:
    """The beats of all records in one cut; built once for each state of their source."""
    cache = CACHE / f"{name}-{_sources_hash()}.npz"
    if not cache.exists():
        for stale in CACHE.glob(f"{name}-*.npz"):
            stale.unlink()
        records = tqdm(record_names(), desc=f"{name} cut", disable=None)
        beats.join([CUTS[name](read_record(record)) for record in records]).save(cache)
    return beats.load(cache)


def _sources_hash() -> str:
    """Changes with the source that makes the cuts, so that no stale cut is ever used."""
    stages = sorted(name for name in sys.modules if name.startswith("gateway.dsp."))
    sources = [__file__, beats.__file__, *(inspect.getfile(sys.modules[name]) for name in stages)]
    contents = b"".join(Path(source).read_bytes() for source in sources)
    return hashlib.sha256(contents).hexdigest()[:12]


def main() -> None:
    counts = Counter(load_cut("public").aami.tolist())
    if counts != PUBLIC_COUNTS:
        raise SystemExit(f"the public cut holds {dict(counts)}, not {PUBLIC_COUNTS}")
    print("public cut:", dict(counts))
    serving = load_cut("serving")
    usable = serving[serving.is_beat & serving.has_window]
    print("serving cut:", {c.value: int((usable.aami == c.value).sum()) for c in BeatClass})
    print(f"missed or without a window: {int((serving.is_beat & ~serving.has_window).sum())},")
    print(f"false detections: {int((~serving.is_beat).sum())}")


if __name__ == "__main__":
    main()
