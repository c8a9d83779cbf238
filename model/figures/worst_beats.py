"""The beats that the served model is surest of and wrong about, as strips on ECG paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gateway.messages import BeatClass
from model.figures.style import BLACK, BLUE, VERMILION, WIDTH_IN
from model.predictions import Predictions
from model.records import AnnotatedRecord
from model.scores import NO_LABEL

WORST = 20
MOST_OF_A_RECORD = 2  # else one patient's odd rhythm fills the picture
COLUMNS = 2
HALF_STRIP_S = 2.0
STRIP_MV = 4.0
ROW_IN = 1.95
ATTRIBUTION = "Signals: MIT-BIH Arrhythmia Database (Moody & Mark 2001), PhysioNet, ODC-By 1.0"
PAPER = {  # millimetres between lines → their look
    1: {"color": "#F7DCDC", "linewidth": 0.4, "zorder": 0.5},
    5: {"color": "#EFB5B5", "linewidth": 0.8, "zorder": 0.6},
}
MARK_S = 0.15  # each side of the beat


@dataclass(frozen=True, slots=True)
class WrongLabel:
    """An annotated beat, by its number in its record, and the label that it should not have."""

    record: str
    annotation: int
    annotated: str
    label: str
    p_abnormal: float


def worst(predictions: Predictions) -> list[WrongLabel]:
    """The most confident wrong labels first, at most `MOST_OF_A_RECORD` of each record.

    Confidence is p(abnormal), or 1 − p where the label is N. Missed beats and false detections
    have no place here: the first have no label, the second no annotation to be shown with.
    """
    beats, labels = predictions.beats, predictions.labels
    is_wrong = beats.is_beat & (labels != NO_LABEL) & (labels != beats.aami)
    called_normal = labels == BeatClass.NORMAL.value
    confidence = np.where(called_normal, 1 - predictions.p_abnormal, predictions.p_abnormal)
    of_record: Counter[str] = Counter()
    chosen: list[WrongLabel] = []
    for index in np.flatnonzero(is_wrong)[np.argsort(-confidence[is_wrong], kind="stable")]:
        record = str(beats.record[index])
        of_record[record] += 1
        if of_record[record] <= MOST_OF_A_RECORD and len(chosen) < WORST:
            chosen.append(_wrong_label(predictions, index))
    return chosen


def _wrong_label(predictions: Predictions, index: int) -> WrongLabel:
    beats = predictions.beats
    return WrongLabel(
        str(beats.record[index]),
        int(beats.annotation[index]),
        str(beats.aami[index]),
        str(predictions.labels[index]),
        float(predictions.p_abnormal[index]),
    )


def draw(wrong: list[WrongLabel], read_record: Callable[[str], AnnotatedRecord]) -> Figure:
    """A strip of 4 s around each beat, which is marked; annotations stand above the signal."""
    rows = -(-len(wrong) // COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, ROW_IN * rows))
    figure.supxlabel(ATTRIBUTION, size=9)
    strips = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axes in strips[len(wrong) :]:
        axes.remove()
    for axes, one in zip(strips, wrong, strict=False):
        record = read_record(one.record)
        _rule_paper(axes)
        _draw_signal(axes, record, int(record.beat_samples[one.annotation]))
        axes.set_title(_title(one, record), size=9, weight="normal", pad=15)
    return figure


def _title(wrong: WrongLabel, record: AnnotatedRecord) -> str:
    at_s = record.beat_samples[wrong.annotation] / record.sample_rate_hz
    time = f"{int(at_s // 60)}:{at_s % 60:04.1f}"
    labels = f"annotated {wrong.annotated}, labelled {wrong.label}"
    return f"{wrong.record} at {time}: {labels}, p {wrong.p_abnormal:.3f}"


def _rule_paper(axes: Axes) -> None:
    """1 mm squares of 0.04 s and 0.1 mV, every fifth line stronger."""
    across_s, up_mv = (-HALF_STRIP_S, HALF_STRIP_S), (-STRIP_MV / 2, STRIP_MV / 2)
    axes.set(xlim=across_s, ylim=up_mv, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for millimetres, look in PAPER.items():
        axes.vlines(_rules(*across_s, 0.04 * millimetres), *up_mv, **look)
        axes.hlines(_rules(*up_mv, 0.1 * millimetres), *across_s, **look)


def _rules(low: float, high: float, distance: float) -> NDArray[np.float64]:
    return np.linspace(low, high, round((high - low) / distance) + 1)


def _draw_signal(axes: Axes, record: AnnotatedRecord, centre: int) -> None:
    """The raw lead as recorded, its extremes in the middle of the strip, and its annotations."""
    reach = round(HALF_STRIP_S * record.sample_rate_hz)
    start = max(0, centre - reach)
    strip_mv = record.amplitude_uv[start : centre + reach] / 1000.0
    seconds = (start - centre + np.arange(strip_mv.size)) / record.sample_rate_hz
    axes.plot(seconds, strip_mv - (strip_mv.max() + strip_mv.min()) / 2, color=BLACK, lw=0.9)
    axes.axvspan(-MARK_S, MARK_S, color=VERMILION, alpha=0.15, linewidth=0)
    for from_centre_s, beat_class in _annotations(record, centre):
        look = {"color": BLUE} if from_centre_s else {"color": VERMILION, "weight": "bold"}
        place = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes.text(from_centre_s, 1.0, beat_class, **place, **look)


def _annotations(record: AnnotatedRecord, centre: int) -> Iterator[tuple[float, str]]:
    """Seconds from the centre and class of each annotated beat on the strip."""
    from_centre_s = (record.beat_samples - centre) / record.sample_rate_hz
    on_strip = np.abs(from_centre_s) < HALF_STRIP_S
    classes = record.beat_classes[on_strip].tolist()
    yield from zip(from_centre_s[on_strip].tolist(), classes, strict=True)
