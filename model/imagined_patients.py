"""Patients in whom supraventricular beats are the most, made of those in whom they are few.

An ectopic atrial rhythm between long sinus intervals turns things round: the usual beat is a
supraventricular one, and what comes late is normal. Hardly any patient of the training had one.
Here the beats of a patient come in another order and at other intervals, and the gateway's own
`BeatContext` says what each is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.beat_context import BeatContext
from gateway.messages import BeatClass, BeatInContext, BeatWindow, SampleIndex
from model.beats import TrainingBeats

PATIENTS_OF_EACH = 6
BEATS = 260
SETTLING_BEATS = 60  # before the imagined rhythm has become the usual one
LEAST_PREMATURE, LEAST_NORMAL = 5, 50  # beats that a patient must have given
PREMATURE_SHARE = (0.5, 0.85)
PREMATURE_RUN = (4.0, 25.0)  # beats on average, geometrically distributed
PREMATURITY = (0.5, 1.0)  # power of the ratio of intervals: an ectopic rhythm may be hardly early
SINUS_SLOWING = (0.0, 0.35)  # in logarithms of the interval: a sick sinus node
PAUSE = (0.1, 0.12)  # after a run; mean and standard deviation, in logarithms
RATE_SPREAD = 0.12  # standard deviation between patients, in logarithms
INTERVAL_NOISE = 0.03
ALIKE_SHARE = 3  # one in so many of a patient's premature beats, of like prematurity, is a rhythm


@dataclass(frozen=True, slots=True)
class _Donor:
    """The beats of one patient that an imagined one is made of: places, and intervals in ms."""

    beats: TrainingBeats
    normal: NDArray[np.intp]
    premature: NDArray[np.intp]

    @property
    def sinus_ms(self) -> float:
        return float(np.median(self.beats.rr_before_ms[self.normal]))

    def ratio(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        return self.beats.rr_before_ms[places].astype(np.float64) / self.sinus_ms


def imagined_patients(beats: TrainingBeats, generator: np.random.Generator) -> TrainingBeats:
    """Some hundred beats of each; there is none where nobody gave premature beats enough."""
    imagined = [beats[np.zeros(len(beats), np.bool_)]]
    for record in np.unique(beats.record):
        donor = _donor(beats[beats.record == record])
        if len(donor.premature) < LEAST_PREMATURE or len(donor.normal) < LEAST_NORMAL:
            continue
        for _ in range(PATIENTS_OF_EACH):
            order, intervals_ms = _rhythm(donor, generator)
            imagined.append(_in_context(donor.beats[order], intervals_ms))
    return TrainingBeats.join(imagined)


def _donor(beats: TrainingBeats) -> _Donor:
    beats = beats[np.argsort(beats.r_sample, kind="stable")]
    is_known = beats.is_trainable & np.isfinite(beats.rr_before_ms)
    normal, premature = (
        np.flatnonzero(is_known & (beats.aami == name))
        for name in (BeatClass.NORMAL, BeatClass.SUPRAVENTRICULAR)
    )
    return _Donor(beats, normal, premature)


def _rhythm(
    donor: _Donor, generator: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Places of the donor's beats, and the interval before each in ms, (BEATS,)."""
    rate = np.exp(generator.normal(0.0, RATE_SPREAD))
    slow = np.exp(generator.uniform(*SINUS_SLOWING))
    power = generator.uniform(*PREMATURITY)
    alike = _of_like_prematurity(donor, generator)
    next_normal = int(generator.integers(len(donor.normal)))
    order: list[int] = []
    ratios: list[float] = []
    was_premature = False
    for is_premature in _runs(generator):
        if is_premature:
            place = int(generator.choice(alike))
            noise = np.exp(generator.normal(0.0, INTERVAL_NOISE))
            ratio = float(donor.ratio(np.array([place]))[0]) ** power * noise
        else:
            place = int(donor.normal[next_normal % len(donor.normal)])
            next_normal += 1
            pause = np.exp(generator.normal(*PAUSE))
            ratio = slow * (pause if was_premature else float(donor.ratio(np.array([place]))[0]))
        order.append(place)
        ratios.append(ratio)
        was_premature = is_premature
    return np.array(order), rate * donor.sinus_ms * np.array(ratios)


def _of_like_prematurity(donor: _Donor, generator: np.random.Generator) -> NDArray[np.intp]:
    distance = np.abs(
        np.log(donor.ratio(donor.premature) / generator.choice(donor.ratio(donor.premature)))
    )
    nearest = np.argsort(distance, kind="stable")
    return donor.premature[nearest[: max(LEAST_PREMATURE, len(nearest) // ALIKE_SHARE)]]


def _runs(generator: np.random.Generator) -> Iterator[bool]:
    """Whether each of `BEATS` is premature."""
    share, run = generator.uniform(*PREMATURE_SHARE), generator.uniform(*PREMATURE_RUN)
    lengths = {True: run, False: max(1.0, run * (1.0 - share) / share)}
    is_premature, left = False, 0
    for _ in range(BEATS):
        if not left:
            is_premature = not is_premature
            left = int(generator.geometric(1.0 / lengths[is_premature]))
        left -= 1
        yield is_premature


def _in_context(beats: TrainingBeats, intervals_ms: NDArray[np.float64]) -> TrainingBeats:
    """The beats in this order, as the gateway would compare them in either lead."""
    own = _compared(beats.windows, intervals_ms)
    other = _compared(beats.other_windows, intervals_ms)
    compared = replace(
        beats,
        usual=np.stack([beat.usual for beat in own]),
        late=np.stack([beat.late for beat in own]),
        rr_features=np.stack([beat.rr_features for beat in own]),
        other_usual=np.stack([beat.usual for beat in other]),
        other_late=np.stack([beat.late for beat in other]),
    )
    return compared[np.arange(SETTLING_BEATS, len(beats))]


def _compared(
    windows: NDArray[np.float32], intervals_ms: NDArray[np.float64]
) -> list[BeatInContext]:
    context = BeatContext()
    given = (
        BeatWindow(SampleIndex(number), rr_ms, window.copy())
        for number, (rr_ms, window) in enumerate(zip(intervals_ms.tolist(), windows, strict=True))
    )
    return [beat for window in given if (beat := context.push(window, is_fit=True))]
