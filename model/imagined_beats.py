"""Beats that no patient of the training gave but many people have, made of what others gave.

What makes a beat supraventricular, ventricular or fibrillating is known: where the P wave is, what
the QRS complex looks like beside the usual one, and when it came. A few patients of each kind are
not enough to learn that from; so some beats of the others are given these marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import LEAST_SPAN_UV, QRS
from gateway.dsp.beat_context import REFERENCE_RR_MS, RR_FEATURES, RRContext
from gateway.dsp.beat_windows import R_POSITION
from gateway.messages import BEAT_WINDOW_RATE_HZ, BEAT_WINDOW_SAMPLES, BeatClass
from model.beats import Beats, TrainingBeats

EXCHANGED_SHARE = 0.5  # rhythm of another patient
RHYTHMS_OF = {"V": ("N", "S", "V", "F")}  # its shape tells a ventricular beat, whatever its timing
PREMATURE_SHARE = 0.16  # of normal beats, which become supraventricular ones
FIBRILLATING_SHARE = 0.16  # of normal beats, whose atria fibrillate
TRANSPLANTED_SHARE = 0.4  # of ventricular beats, which are given to other patients
FUSED_SHARE = 0.15  # ... which meet a normal beat halfway
FUSED_PART = (0.25, 0.75)  # of the ventricles that the ventricular beat activates
ABERRANT_SHARE = 0.08  # of normal beats, which are conducted as in another patient

# samples from R: the P wave, what may follow an early R of the beat before, and its T wave
P_WAVE = (-32, -7)
T_WAVE = (15, 62)
P_SHIFT_SAMPLES = 4
P_ABSENT_SHARE = 0.3  # as in junctional beats
TRANSPLANTED_GAIN = 0.2  # standard deviation of the logarithm of a beat's size beside the usual one

F_WAVES_HZ = (4.0, 9.0)  # atrial fibrillation: 240 to 540 a minute
F_WAVE_SPAN = 0.05  # of the QRS complex, at most
FIBRILLATING_PATIENTS = 60
FIBRILLATING_BEATS = 200
FIBRILLATING_CV = (0.08, 0.28)  # of RR intervals (Tateno & Glass 2001: about 0.24)
RATE_DRIFT = 0.01  # a beat
MEAN_RR_MS, RR_SPREAD, LEAST_RR_MS = 750.0, 0.25, 330.0
SETTLING_BEATS = 20

Windows = NDArray[np.float32]  # (n, 187), µV


@dataclass(slots=True)
class ShownBeats:
    """What the network is shown of beats, and what it is to call them; changed in place."""

    windows: Windows
    usual: Windows
    late: Windows
    rr_features: NDArray[np.float32]
    aami: NDArray[np.str_]

    @classmethod
    def of(cls, beats: TrainingBeats) -> ShownBeats:
        columns = (beats.windows, beats.usual, beats.late, beats.rr_features, beats.aami)
        return cls(*(column.copy() for column in columns))

    @classmethod
    def join(cls, parts: Sequence[ShownBeats]) -> ShownBeats:
        columns = (np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls))
        return cls(*columns)


def imagine(shown: ShownBeats, others: TrainingBeats, generator: np.random.Generator) -> None:
    """Give some of the beats the marks of another origin; `others` are hosts and donors."""
    exchange_rhythms(shown, others, generator)
    origin, fate = shown.aami.copy(), generator.random(len(shown.aami))

    def fated(name: BeatClass, start: float, share: float) -> NDArray[np.intp]:
        return np.flatnonzero((origin == name) & (fate >= start) & (fate < start + share))

    ventricular, normal = BeatClass.VENTRICULAR, BeatClass.NORMAL
    transplant(shown, fated(ventricular, 0.0, TRANSPLANTED_SHARE), others, generator)
    fuse(shown, fated(ventricular, TRANSPLANTED_SHARE, FUSED_SHARE), others, generator)
    make_premature(shown, fated(normal, 0.0, PREMATURE_SHARE), others, generator)
    aberrant = fated(normal, PREMATURE_SHARE, ABERRANT_SHARE)
    conduct_aberrantly(shown, aberrant, others, generator)
    fibrillate(shown, fated(normal, 1.0 - FIBRILLATING_SHARE, FIBRILLATING_SHARE), generator)


def span(usual: Windows) -> Windows:
    """Of usual beats' QRS complexes, (n, 1)."""
    return np.ptp(usual[:, QRS], axis=1).clip(LEAST_SPAN_UV)[:, np.newaxis]


def exchange_rhythms(
    shown: ShownBeats, others: TrainingBeats, generator: np.random.Generator
) -> None:
    """Half of the RR features come from another beat of the class, of any patient alike.

    Given the class, shape and timing are near enough independent; in twenty-two patients they are
    not, and a network learns whose beat it is.
    """
    exchanged = generator.random(len(shown.aami)) < EXCHANGED_SHARE
    for name in np.unique(shown.aami):
        takers = np.flatnonzero(exchanged & (shown.aami == name))
        of_class = np.isin(others.aami, RHYTHMS_OF.get(name, (name,)))
        givers = of_any_patient(others, of_class, len(takers), generator)
        shown.rr_features[takers] = others.rr_features[givers]


def transplant(
    shown: ShownBeats,
    places: NDArray[np.intp],
    others: TrainingBeats,
    generator: np.random.Generator,
) -> None:
    """Set beats beside the usual beat of another patient, of whom one is as likely as the next."""
    hosts = of_any_patient(others, others.aami == BeatClass.NORMAL, len(places), generator)
    angle = generator.uniform(-np.pi / 2, np.pi / 2, (len(places), 1)).astype(np.float32)
    own, other = others.usual[hosts], others.other_usual[hosts]
    usual = np.cos(angle) * own / span(own) + np.sin(angle) * other / span(other)
    size = np.exp(generator.normal(0.0, TRANSPLANTED_GAIN, (len(places), 1))).astype(np.float32)
    sign = generator.choice(np.array([-1, 1], np.float32), (len(places), 1))
    usual *= span(shown.usual[places])
    shown.windows[places] *= sign * size * span(usual) / span(shown.usual[places])
    shown.usual[places] = shown.late[places] = usual


def fuse(
    shown: ShownBeats,
    places: NDArray[np.intp],
    others: TrainingBeats,
    generator: np.random.Generator,
) -> None:
    """Ventricular beats that come with the usual ones: each activates a part of the ventricles.

    The P wave is the usual one and the beat is hardly early.
    """
    hosts = of_any_patient(others, others.aami == BeatClass.NORMAL, len(places), generator)
    part = generator.uniform(*FUSED_PART, (len(places), 1)).astype(np.float32)
    fused = part * shown.windows[places] + (1 - part) * shown.usual[places]
    before = R_POSITION + P_WAVE[1]
    fused[:, :before] = shown.usual[places, :before]
    shown.windows[places] = fused
    shown.rr_features[places] = others.rr_features[hosts]
    shown.aami[places] = BeatClass.FUSION


def conduct_aberrantly(
    shown: ShownBeats,
    places: NDArray[np.intp],
    others: TrainingBeats,
    generator: np.random.Generator,
) -> None:
    """After the P wave that they have, the QRS complex and T wave of another patient's beats.

    As in a bundle branch block that comes and goes: wide and new, and yet normal by AAMI's classes.
    """
    donors = of_any_patient(others, others.aami == BeatClass.NORMAL, len(places), generator)
    size = span(shown.usual[places]) / span(others.usual[donors])
    sign = generator.choice(np.array([-1, 1], np.float32), (len(places), 1))
    start = R_POSITION + P_WAVE[1]
    donated = sign * size * others.windows[donors, start:]
    step = shown.windows[places, start : start + 1] - donated[:, :1]
    shown.windows[places, start:] = donated + step


def make_premature(
    shown: ShownBeats,
    places: NDArray[np.intp],
    others: TrainingBeats,
    generator: np.random.Generator,
) -> None:
    """Move, shrink, turn over or take away the P wave, and let the beat come early.

    The RR features are those of a supraventricular beat of any patient, and the T wave of the beat
    before lies where that interval puts it.
    """
    is_premature = others.aami == BeatClass.SUPRAVENTRICULAR
    if not is_premature.any():
        return
    donors = of_any_patient(others, is_premature, len(places), generator)
    height = generator.uniform(-1.0, 1.0, len(places))
    height[generator.random(len(places)) < P_ABSENT_SHARE] = 0.0
    shift = generator.integers(-P_SHIFT_SAMPLES, P_SHIFT_SAMPLES + 1, len(places))
    shown.rr_features[places] = others.rr_features[donors]
    early = _with_p_wave(shown.windows[places], height, shift)
    shown.windows[places] = early + _t_wave_before(shown.usual[places], shown.rr_features[places])
    shown.aami[places] = BeatClass.SUPRAVENTRICULAR


def fibrillate(shown: ShownBeats, places: NDArray[np.intp], generator: np.random.Generator) -> None:
    """No P wave in any beat, f waves and an irregular rhythm; still normal by AAMI's classes."""
    absent, unmoved = np.zeros(len(places)), np.zeros(len(places), np.intp)
    for signal in (shown.windows, shown.usual, shown.late):
        signal[places] = _with_p_wave(signal[places], absent, unmoved)
    rhythms = fibrillating_rhythms()
    shown.rr_features[places] = rhythms[generator.integers(len(rhythms), size=len(places))]
    shown.windows[places] += _f_waves(len(places), generator) * span(shown.usual[places])
    shown.windows[places] += _t_wave_before(shown.usual[places], shown.rr_features[places])


def of_any_patient(
    beats: Beats, wanted: NDArray[np.bool_], n: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """`n` of the wanted beats, each of a patient who is as likely as the next."""
    patients = np.unique(beats.record[wanted])
    giver = generator.integers(len(patients), size=n)
    chosen = np.zeros(n, np.intp)
    for number, patient in enumerate(patients):
        wanting = np.flatnonzero(giver == number)
        offered = np.flatnonzero(wanted & (beats.record == patient))
        chosen[wanting] = generator.choice(offered, len(wanting))
    return chosen


def _with_p_wave(windows: Windows, height: NDArray[np.float64], shift: NDArray[np.intp]) -> Windows:
    """The part before QRS with its deviation from a straight line moved and multiplied."""
    start, end = R_POSITION + P_WAVE[0], R_POSITION + P_WAVE[1]
    part = windows[:, start:end]
    line = part[:, :1] + (part[:, -1:] - part[:, :1]) * np.linspace(
        0, 1, end - start, dtype=np.float32
    )
    places = (np.arange(end - start) + shift[:, np.newaxis]).clip(0, end - start - 1)
    wave = np.take_along_axis(part - line, places, 1) * height[:, np.newaxis].astype(np.float32)
    return np.concatenate((windows[:, :start], line + wave, windows[:, end:]), axis=1)


def _t_wave_before(usual: Windows, rr_features: NDArray[np.float32]) -> Windows:
    """The usual T wave where the beat before would have left it, (n, 187); zero from QRS on."""
    rr_ms = REFERENCE_RR_MS * np.exp(rr_features[:, RR_FEATURES.index("rr to 800 ms")])
    rr_samples = np.rint(rr_ms * (BEAT_WINDOW_RATE_HZ / 1000.0)).astype(np.intp)
    from_beat_before = np.arange(BEAT_WINDOW_SAMPLES) - R_POSITION + rr_samples[:, np.newaxis]
    t_wave = usual[:, R_POSITION + T_WAVE[0] : R_POSITION + T_WAVE[1]] - usual[:, -1:]
    is_t_wave = (from_beat_before >= T_WAVE[0]) & (from_beat_before < T_WAVE[1])
    is_t_wave[:, R_POSITION + P_WAVE[1] + 1 :] = False
    places = (from_beat_before - T_WAVE[0]).clip(0, t_wave.shape[1] - 1)
    return np.where(is_t_wave, np.take_along_axis(t_wave, places, 1), np.float32(0.0))


def _f_waves(n: int, generator: np.random.Generator) -> Windows:
    seconds = np.arange(BEAT_WINDOW_SAMPLES) / BEAT_WINDOW_RATE_HZ
    frequency, phase = (
        generator.uniform(*F_WAVES_HZ, (n, 1)),
        generator.uniform(0, 2 * np.pi, (n, 1)),
    )
    height = generator.uniform(0.0, F_WAVE_SPAN, (n, 1))
    return (height * np.sin(2 * np.pi * frequency * seconds + phase)).astype(np.float32)


@cache
def fibrillating_rhythms() -> NDArray[np.float32]:
    """RR features of patients whose intervals are independent but for a slow drift, (n, 17)."""
    generator = np.random.default_rng(len(RR_FEATURES))
    rhythms = [_fibrillating_rhythm(generator) for _ in range(FIBRILLATING_PATIENTS)]
    return np.concatenate(rhythms)


def _fibrillating_rhythm(generator: np.random.Generator) -> NDArray[np.float32]:
    mean_ms = MEAN_RR_MS * np.exp(generator.normal(0.0, RR_SPREAD))
    irregular = generator.normal(0.0, generator.uniform(*FIBRILLATING_CV), FIBRILLATING_BEATS)
    drift = np.cumsum(generator.normal(0.0, RATE_DRIFT, FIBRILLATING_BEATS))
    intervals_ms = np.maximum(mean_ms * np.exp(irregular), LEAST_RR_MS) * np.exp(drift)
    context = RRContext()
    features = [context.push(float(interval_ms)) for interval_ms in intervals_ms]
    return np.stack(features[SETTLING_BEATS:])
