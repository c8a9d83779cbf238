"""What the gateway finds in a WFDB record: its own stages and the served model, one lead.

The same as `ecg-gateway analyse` on the same record: the first ECG lead, at the record's own rate
where that is a legal one, the default limits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gateway.commands.analyse import Analysis, analyse_items, lead_items
from gateway.messages import Alarm, BeatClass, RhythmKind
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from gateway.wfdb_files import Lead, read_lead
from tests.accuracy.reference import Stretch

UNLABELLED = BeatClass.UNKNOWN.value  # a beat without a label is one of unknown class
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Event:
    """A rhythm finding, in seconds."""

    kind: RhythmKind
    stretch: Stretch
    decided_s: float


@dataclass(frozen=True, slots=True)
class GatewayRun:
    """Beats and labels, and each second's heart rate (NaN where none is shown), in order."""

    beats_s: NDArray[np.float64]
    labels: NDArray[np.str_]
    heart_rate_bpm: NDArray[np.float64]
    events: list[Event]
    alarms: list[Alarm]

    def episodes(self, *kinds: str) -> list[Stretch]:
        """The stretches of events of these kinds, by the kinds' names."""
        return [event.stretch for event in self.events if event.kind.value in kinds]


def run_gateway(path: Path, end_s: float | None = None) -> GatewayRun:
    """The record at `path`, from its start to `end_s` or to its end."""
    lead = read_lead(path, None)
    past = lead.amplitude_uv.size
    if end_s is not None:
        past = min(past, round(end_s * lead.sample_rate_hz))
    analysis = analyse_items(lead_items(lead, 0, past), lead.sample_rate_hz, _classifier())
    return _in_seconds(analysis, lead)


def for_each(score: Callable[[str], Result], names: Sequence[str], title: str) -> dict[str, Result]:
    """Name → its score, with progress; a process for each core that this one may use."""
    processes = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(processes) as pool:
        scores: Iterator[Result] = tqdm(pool.map(score, names), title, len(names))
        return dict(zip(names, scores, strict=True))


@cache
def _classifier() -> TfliteClassifier:
    return TfliteClassifier(default_model_path())


def _in_seconds(analysis: Analysis, lead: Lead) -> GatewayRun:
    rate = lead.sample_rate_hz
    labels = [UNLABELLED if b.label is None else b.label.beat_class.value for b in analysis.beats]
    rates = [second.heart_rate_bpm for second in analysis.vitals]
    return GatewayRun(
        np.array([beat.r_sample for beat in analysis.beats]) / rate,
        np.array(labels, dtype=str),
        np.array([np.nan if bpm is None else bpm for bpm in rates]),
        [
            Event(event.kind, Stretch(event.onset / rate, event.end / rate), event.decided / rate)
            for event in analysis.events
            if event.end is not None
        ],
        list(analysis.alarms.values()),
    )
