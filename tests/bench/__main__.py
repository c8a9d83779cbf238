"""`make bench`: speed, memory and latency, each printed with what it was measured on.

Figures of this machine are for comparing two states of the code on it; the ratios carry over.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.r_peaks import RPeakDetector
from gateway.messages import (
    SAMPLES_PER_FRAME,
    BeatInContext,
    SampleBlock,
    SampleIndex,
)
from gateway.radio.gatt import GattCharacteristic
from gateway.simulator.ecg_sources import packaged_ecg
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from tests.bench.retention import measure_retention
from tests.bench.road import measure_road
from tests.bench.store import measure_store
from tests.bench.ward_process import measure_ward
from tests.ward.bench import RATE_HZ, seal
from tests.ward.conftest import WardBench, open_ward

MINUTES = 30  # of the packaged ECG, repeated
WARM_UP_FRAMES = 80  # a minute: what happens once is not part of the figure
REPEATS = 5


def main() -> None:
    steps = ecg_frames(MINUTES * 60)
    print(f"ECG: the packaged five minutes, repeated to {MINUTES} minutes, {RATE_HZ} Hz\n")
    bench_stages(steps)
    bench_r_peaks(steps.ravel() * 5.0)
    bench_classifier()
    measure_ward()
    measure_store()
    measure_retention()
    measure_road()


def ecg_frames(seconds: int) -> np.ndarray:
    """Shape (frames, 187), in steps of 5 µV."""
    source = packaged_ecg(RATE_HZ, loop=True)
    frames = []
    for _ in range(seconds * RATE_HZ // SAMPLES_PER_FRAME):
        frame = source.next_frame()
        assert frame is not None, "a looped source does not end"
        frames.append(frame.steps)
    return np.stack(frames)


def bench_stages(steps: np.ndarray) -> None:
    """From sealed frame to committed beats: opening, order, all stages, labels, store."""
    sealed = [seal(frame, sequence) for sequence, frame in enumerate(steps)]
    seconds = (len(steps) - WARM_UP_FRAMES) * SAMPLES_PER_FRAME / RATE_HZ
    with tempfile.TemporaryDirectory() as folder:
        cpu_s = asyncio.run(_push_all(Path(folder), sealed))
    print(f"all stages: {seconds / cpu_s:.0f} patient-seconds a CPU-second (goal: 300)")
    frame_ms = 1000 * cpu_s / (len(sealed) - WARM_UP_FRAMES)
    print(f"            {frame_ms:.2f} ms of CPU a frame of 187 samples\n")


async def _push_all(folder: Path, sealed: list[bytes]) -> float:
    classifier = TfliteClassifier(default_model_path())
    async with open_ward(folder, classifier=classifier, commit_interval_s=5.0) as bench:
        await _push(bench, sealed[:WARM_UP_FRAMES])
        begun_s = time.process_time()
        await _push(bench, sealed[WARM_UP_FRAMES:])
        return time.process_time() - begun_s


async def _push(bench: WardBench, sealed: list[bytes]) -> None:
    for frame in sealed:
        bench.now_s += SAMPLES_PER_FRAME / RATE_HZ
        bench.ward.received(None, GattCharacteristic.FRAMES, frame)
        await asyncio.sleep(0)
        while not bench.recorder.has_room:
            await asyncio.sleep(0.001)
    await bench.until(lambda: bench.recorder.health.queued_frames == 0)


def bench_r_peaks(amplitude_uv: np.ndarray) -> None:
    """The streaming detector, frame by frame, beside offline detectors on the whole record."""
    import neurokit2
    import sleepecg

    millivolts = amplitude_uv / 1000
    contenders: dict[str, Callable[[], object]] = {
        "this gateway, streaming": lambda: _stream(amplitude_uv),
        "sleepecg, whole record": lambda: sleepecg.detect_heartbeats(millivolts, RATE_HZ),
        "NeuroKit2, whole record": lambda: neurokit2.ecg_peaks(millivolts, RATE_HZ),
    }
    times_s = {name: _median_cpu_s(detect) for name, detect in contenders.items()}
    ours_s = next(iter(times_s.values()))
    for name, cpu_s in times_s.items():
        ratio = f"{cpu_s / ours_s:.2f} x ours"
        print(f"R peaks, {MINUTES} min: {name:<24} {1000 * cpu_s:7.0f} ms  {ratio}")
    day_s = ours_s * 24 * 60 / MINUTES
    print(f"            24 h at {RATE_HZ} Hz would take this gateway {day_s:.1f} s\n")


def _stream(amplitude_uv: np.ndarray) -> None:
    detector = RPeakDetector(RATE_HZ)
    for start in range(0, amplitude_uv.size, SAMPLES_PER_FRAME):
        part = amplitude_uv[start : start + SAMPLES_PER_FRAME]
        detector.push(SampleBlock(SampleIndex(start), RATE_HZ, part))
    detector.finish()


def bench_classifier() -> None:
    classifier = TfliteClassifier(default_model_path())
    samples = np.random.default_rng(1).normal(0, 300, 187).astype(np.float32)
    beat = BeatInContext(
        SampleIndex(0), samples, samples, samples, np.zeros(len(RR_FEATURES), np.float32)
    )
    cpu_s = _median_cpu_s(lambda: [classifier.classify([beat]) for _ in range(1000)])
    print(f"label of one beat: {1000 * cpu_s:.0f} µs (model {classifier.card.short_hash})\n")


def _median_cpu_s(work: Callable[[], object]) -> float:
    def once() -> float:
        begun_s = time.process_time()
        work()
        return time.process_time() - begun_s

    return float(np.median([once() for _ in range(REPEATS)]))


if __name__ == "__main__":
    main()
