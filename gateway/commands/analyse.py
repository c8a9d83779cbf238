"""`ecg-gateway analyse`: the gateway's own stages over WFDB records, as fast as they go.

For each record it writes RECORD.gw, a WFDB annotation file, and RECORD.json. In RECORD.gw

- a beat has its AAMI class as its symbol (N, S, V, F, Q); a beat without a label, because the
  signal did not allow one, is `?`, which WFDB readers take for a beat of no known class;
- a rhythm change is `+` with the most urgent open finding as its note: (ASYS, (VFIB, (VT, (BRADY,
  (PAUSE, (IVR, (AFIB, (SVTA, (B, (T or (TACHY, and (N where none of these is open any more, which
  is no claim of a sinus rhythm;
- a change of signal quality is `~` with subtype 0 where it is clean, 1 where it carries no heart
  rate and no labels, and −1 where it can't carry a lethal alarm either.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gateway import __version__
from gateway.alarms import AlarmBook
from gateway.beat_classifier import BeatClassifier, ModelRefused
from gateway.config import AlarmLimits
from gateway.dsp.spectrum import WELCH_S, figures, welch_psd
from gateway.messages import (
    Alarm,
    AlarmKind,
    Beat,
    Findings,
    Gap,
    GapReason,
    Minute,
    Quality,
    RhythmEvent,
    RhythmKind,
    SampleBlock,
    SampleIndex,
    VitalSigns,
)
from gateway.pipeline import Pipeline
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from gateway.wfdb_files import (
    ANNOTATOR,
    Annotation,
    Lead,
    RecordRefused,
    missing_package,
    read_lead,
    write_annotations,
)

OK, FAILURE, USAGE = 0, 1, 2
PUSHED_S = 10  # seconds of signal a push: few pushes, and a progress bar that moves
UNLABELLED = "?"
RHYTHM_NOTES = {  # the most urgent first; the burden of beats is no rhythm
    RhythmKind.ASYSTOLE: "(ASYS",
    RhythmKind.VENTRICULAR_FIBRILLATION: "(VFIB",
    RhythmKind.VENTRICULAR_TACHYCARDIA: "(VT",
    RhythmKind.EXTREME_BRADYCARDIA: "(BRADY",
    RhythmKind.EXTREME_TACHYCARDIA: "(TACHY",
    RhythmKind.VENTRICULAR_RUN: "(VT",  # to the databases three in a row are one
    RhythmKind.PAUSE: "(PAUSE",
    RhythmKind.IDIOVENTRICULAR_RHYTHM: "(IVR",
    RhythmKind.ATRIAL_FIBRILLATION: "(AFIB",
    RhythmKind.SUPRAVENTRICULAR_TACHYCARDIA: "(SVTA",
    RhythmKind.BIGEMINY: "(B",
    RhythmKind.TRIGEMINY: "(T",
    RhythmKind.BRADYCARDIA: "(BRADY",
    RhythmKind.TACHYCARDIA: "(TACHY",
}
NO_FINDING = "(N"
CLEAN, NOISY, UNREADABLE = 0, 1, -1


@dataclass(slots=True)
class Analysis:
    """What the stages found in one lead, on its sample axis; alarms in seconds."""

    beats: list[Beat] = field(default_factory=list)
    vitals: list[VitalSigns] = field(default_factory=list)
    events: list[RhythmEvent] = field(default_factory=list)  # each once, with its end
    open_events: dict[RhythmKind, RhythmEvent] = field(default_factory=dict)
    alarms: dict[tuple[AlarmKind, float], Alarm] = field(default_factory=dict)
    minutes: list[Minute] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", nargs="+", type=Path, help="a WFDB record, with or without .hea")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--channel", metavar="N|NAME", help="default: the first ECG lead")
    parser.add_argument(
        "--from",
        type=float,
        default=0.0,
        dest="from_s",
        metavar="S",
        help="seconds from the record's start",
    )
    parser.add_argument("--to", type=float, dest="to_s", metavar="S", help="default: its end")


def run(arguments: argparse.Namespace) -> int:
    """Analyse each record; one that can't be read is told on stderr and does not stop the rest."""
    wrong = _wrong_arguments(arguments)
    if wrong:
        print(f"ecg-gateway analyse: {wrong}", file=sys.stderr)
        return USAGE
    try:
        classifier = TfliteClassifier(default_model_path())
        arguments.out.mkdir(parents=True, exist_ok=True)
    except (ModelRefused, OSError) as error:
        print(f"ecg-gateway analyse: {error}", file=sys.stderr)
        return FAILURE
    return max(_run_one(path, arguments, classifier) for path in arguments.record)


def _wrong_arguments(arguments: argparse.Namespace) -> str | None:
    if arguments.from_s < 0 or not np.isfinite(arguments.from_s):
        return f"--from {arguments.from_s:g} is not a time within a record"
    if arguments.to_s is not None and not arguments.from_s < arguments.to_s < np.inf:
        return f"--to {arguments.to_s:g} is not after --from {arguments.from_s:g}"
    names = Counter(path.name.removesuffix(".hea") for path in arguments.record)
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        return f"{', '.join(repeated)} would be written twice; run them with an --out each"
    return None


def _run_one(path: Path, arguments: argparse.Namespace, classifier: BeatClassifier) -> int:
    try:
        lead = read_lead(path, arguments.channel)
        first, past = _span(lead, arguments.from_s, arguments.to_s)
        analysis = analyse_lead(lead, first, past, classifier)
        write_annotations(
            arguments.out / f"{lead.record}.{ANNOTATOR}",
            annotations_of(analysis, lead, first),
            lead.channel,
        )
        report = report_of(analysis, lead, classifier)
        report["spectra"] = [*_spectrum_reports(lead, first, past)]
        _write_json(arguments.out / f"{lead.record}.json", report)
    except (RecordRefused, OSError) as error:
        print(f"ecg-gateway analyse: {path}: {error}", file=sys.stderr)
        return FAILURE
    return OK


def _span(lead: Lead, from_s: float, to_s: float | None) -> tuple[int, int]:
    """First sample and one past the last; raises RecordRefused where nothing lies between."""
    rate, samples = lead.sample_rate_hz, lead.amplitude_uv.size
    past = samples if to_s is None else min(samples, round(to_s * rate))
    first = round(from_s * rate)
    if first >= past:
        raise RecordRefused(f"it ends at {samples / rate:.1f} s; nothing of it is asked for")
    return first, past


def analyse_lead(lead: Lead, first: int, past: int, classifier: BeatClassifier) -> Analysis:
    """The samples from `first` to `past`, with a progress bar."""
    return analyse_items(_with_progress(lead, first, past), lead.sample_rate_hz, classifier)


def analyse_items(
    items: Iterable[SampleBlock | Gap], sample_rate_hz: int, classifier: BeatClassifier
) -> Analysis:
    """All stages over a signal's consecutive items, under the default limits."""
    limits = AlarmLimits()
    pipeline = Pipeline(sample_rate_hz, classifier, limits)
    analysis, book = Analysis(), AlarmBook(limits)
    for item in items:
        _collect(pipeline.push(item), analysis, book, sample_rate_hz)
    _collect(pipeline.finish(), analysis, book, sample_rate_hz)
    _note(book.stand_by((pipeline.end or 0) / sample_rate_hz), analysis)
    return analysis


def _with_progress(lead: Lead, first: int, past: int) -> Iterator[SampleBlock | Gap]:
    """The lead's items, with a bar on stderr where that is a terminal."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise missing_package(error) from error
    rate = lead.sample_rate_hz
    with tqdm(
        total=round((past - first) / rate), desc=lead.record, unit="s", disable=None
    ) as progress:
        for item in lead_items(lead, first, past):
            yield item
            progress.update(round((item.end - first) / rate) - progress.n)


def lead_items(lead: Lead, first: int, past: int) -> Iterator[SampleBlock | Gap]:
    """The samples in pieces of at most 10 s; what is not a number is a gap."""
    unknown = np.isnan(lead.amplitude_uv)
    changes = first + 1 + np.flatnonzero(np.diff(unknown[first:past]))
    pushes = range(first, past, PUSHED_S * lead.sample_rate_hz)
    edges = sorted({first, past, *changes.tolist(), *pushes})
    for begin, end in pairwise(edges):
        if unknown[begin]:
            yield Gap(SampleIndex(begin), end - begin, GapReason.INVALID)
        else:
            samples = lead.amplitude_uv[begin:end].copy()
            yield SampleBlock(SampleIndex(begin), lead.sample_rate_hz, samples)


def _collect(found: Findings, analysis: Analysis, book: AlarmBook, rate: int) -> None:
    """Add what was found, and tell the alarm book in the order of the axis."""
    analysis.beats += found.beats
    analysis.vitals += found.vitals
    analysis.minutes += found.minutes
    told: list[VitalSigns | RhythmEvent] = [*found.vitals, *found.events]
    for item in sorted(told, key=lambda item: _known_at(item, rate)):
        if isinstance(item, VitalSigns):
            _note(book.push_quality(item.quality, item.start / rate), analysis)
        else:
            _keep_event(item, analysis)
            end_s = None if item.end is None else item.end / rate
            changed = book.push_event(
                item.kind, item.onset / rate, item.decided / rate, end_s, item.confidence
            )
            _note(changed, analysis)


def _keep_event(event: RhythmEvent, analysis: Analysis) -> None:
    """An event that ended, as it was when it was decided that it had begun."""
    if event.end is None:
        analysis.open_events[event.kind] = event
    else:
        begun = analysis.open_events.pop(event.kind)
        analysis.events.append(replace(begun, end=event.end))


def _known_at(item: VitalSigns | RhythmEvent, rate: int) -> int:
    return item.start + rate if isinstance(item, VitalSigns) else item.decided


def _note(changed: list[Alarm], analysis: Analysis) -> None:
    analysis.alarms |= {(alarm.kind, alarm.onset_s): alarm for alarm in changed}


def annotations_of(analysis: Analysis, lead: Lead, first: int) -> list[Annotation]:
    """Beats, rhythm and quality at the record's own samples."""
    return [
        *_quality_annotations(analysis.vitals, lead, first),
        *_rhythm_annotations(analysis.events, lead),
        *(_beat_annotation(beat, lead) for beat in analysis.beats),
    ]


def _beat_annotation(beat: Beat, lead: Lead) -> Annotation:
    symbol = UNLABELLED if beat.label is None else beat.label.beat_class.value
    return Annotation(lead.record_sample(beat.r_sample), symbol)


def _quality_annotations(vitals: list[VitalSigns], lead: Lead, first: int) -> Iterator[Annotation]:
    """The state at the first sample, and each change; a second's state holds from its start."""
    state = None
    for second in vitals:
        if (now := _quality_state(second.quality)) != state:
            state = now
            yield Annotation(lead.record_sample(max(first, second.start)), "~", state)
    if state is None:  # shorter than a second: nothing could be judged
        yield Annotation(lead.record_sample(first), "~", UNREADABLE)


def _quality_state(quality: Quality) -> int:
    if quality.rate_usable:
        return CLEAN
    return NOISY if quality.lethal_usable else UNREADABLE


def _rhythm_annotations(events: list[RhythmEvent], lead: Lead) -> Iterator[Annotation]:
    """The most urgent open finding wherever it changes."""
    noted = NO_FINDING
    ends = [event.end for event in events if event.end is not None]
    for sample in sorted({*(event.onset for event in events), *ends}):
        note = _note_at(sample, events)
        if note != noted:
            noted = note
            yield Annotation(lead.record_sample(sample), "+", aux_note=note)


def _note_at(sample: int, events: list[RhythmEvent]) -> str:
    kinds = {e.kind for e in events if e.end is not None and e.onset <= sample < e.end}
    return next((note for kind, note in RHYTHM_NOTES.items() if kind in kinds), NO_FINDING)


def report_of(analysis: Analysis, lead: Lead, classifier: BeatClassifier) -> dict[str, Any]:
    """The content of RECORD.json; times in seconds from the record's start."""
    rate = lead.sample_rate_hz
    alarms = sorted(analysis.alarms.values(), key=lambda alarm: alarm.raised_s)
    return {
        "record": lead.record,
        "channel": lead.channel,
        "channel_name": lead.name,
        "record_rate_hz": lead.record_rate_hz,
        "sample_rate_hz": rate,
        "gateway_version": __version__,
        "model_sha256": classifier.card.sha256,
        "atrial_fibrillation_percent": _fibrillation_percent(analysis, rate),
        "seconds": [_second_report(second, rate) for second in analysis.vitals],
        "minutes": [_minute_report(minute, rate) for minute in analysis.minutes],
        "events": [_event_report(event, rate) for event in analysis.events],
        "alarms": [_alarm_report(alarm) for alarm in alarms],
    }


def _fibrillation_percent(analysis: Analysis, rate: int) -> float | None:
    """The burden: the share of the analysed time that lies in atrial fibrillation."""
    if not analysis.vitals:
        return None
    kind = RhythmKind.ATRIAL_FIBRILLATION
    lasted = sum(e.end - e.onset for e in analysis.events if e.kind is kind and e.end is not None)
    return round(100.0 * lasted / (rate * len(analysis.vitals)), 1)


def _second_report(second: VitalSigns, rate: int) -> dict[str, Any]:
    bpm = second.heart_rate_bpm
    return {
        "t": second.start // rate,
        "heart_rate_bpm": None if bpm is None else round(bpm, 1),
        "quality": round(second.quality.index, 3),
        "reasons": sorted(second.quality.reasons),
    }


def _minute_report(minute: Minute, rate: int) -> dict[str, Any]:
    """A minute's own figures; `variability` is of the five minutes to its end."""
    measures = asdict(minute)
    del measures["start"]
    return {"t": minute.start // rate, **_rounded(measures)}


def _rounded(value: Any) -> Any:
    """Floats to two digits behind the point, in tables too."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def _spectrum_reports(lead: Lead, first: int, past: int) -> Iterator[dict[str, Any]]:
    """Figures of the signal as it was recorded, of each 8 s that have no gap."""
    rate, size = lead.sample_rate_hz, round(WELCH_S * lead.sample_rate_hz)
    for start in range(first, past - size + 1, size):
        stretch = lead.amplitude_uv[start : start + size]
        if not np.isnan(stretch).any():
            yield {"t": round(start / rate, 3), **asdict(figures(welch_psd(stretch, rate)))}


def _event_report(event: RhythmEvent, rate: int) -> dict[str, Any]:
    assert event.end is not None, "only ended events are kept"
    return {
        "kind": event.kind,
        "onset_s": round(event.onset / rate, 3),
        "end_s": round(event.end / rate, 3),
        "decided_s": round(event.decided / rate, 3),
        "confidence": round(event.confidence, 3),
        "beats": [round(sample / rate, 3) for sample in event.evidence],
    }


def _alarm_report(alarm: Alarm) -> dict[str, Any]:
    assert alarm.ended_s is not None, "the last call ends all alarms"
    return {
        "kind": alarm.kind,
        "priority": alarm.priority,
        "onset_s": round(alarm.onset_s, 3),
        "raised_s": round(alarm.raised_s, 3),
        "end_s": round(alarm.ended_s, 3),
        "confidence": None if alarm.confidence is None else round(alarm.confidence, 3),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """All or nothing: the file of an earlier run stays until this one is complete."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content) + "\n")
    partial.replace(path)
