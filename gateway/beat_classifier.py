"""The port through which a beat gets its label, and the card that every model brings along.

A model is only as good as the match between what it was trained on and what it is given. The
card states the first; `load_card` refuses a model that this gateway would feed something else.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.beat_context import RR_FEATURES
from gateway.dsp.beat_windows import R_POSITION
from gateway.dsp.filters import HIGH_PASS_HZ, LOW_PASS_HZ
from gateway.messages import (
    BEAT_WINDOW_RATE_HZ,
    BEAT_WINDOW_SAMPLES,
    BeatClass,
    BeatInContext,
    BeatLabel,
)

MAX_CARD_BYTES = 65_536  # a card is about 8 KB; anything larger is not a card
USUAL_BEAT_SPAN = "usual beat span"
INPUTS = ("waveforms", "rr_features")
WAVEFORMS = 3  # the beat, the usual one and the late one
QRS = slice(R_POSITION - 30, R_POSITION + 30)  # ± 0.24 s: the widest QRS complex, and no P or T
FUSION_MAJORITY = 0.5  # what p(F) must reach for the label F
LEAST_SPAN_UV = 20.0  # four steps of the sensor: what is smaller is no beat, whatever the gain
WAVEFORM_LIMIT = 1.5  # spans; a higher peak is cut off so that the P wave keeps int8 steps
SHA256_HEX = re.compile("[0-9a-f]{64}")
Field = TypeVar("Field")


class ModelRefused(Exception):
    """A model or its card does not fit this gateway; `reason` names the field that differs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ModelRefused(reason)


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # neither NaN nor an integer that is no float


def _is_interval(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


@dataclass(frozen=True, slots=True)
class Score:
    """How the model did on one split, in percent, and the command that measured it.

    Raises `ModelRefused` where a value is none.
    """

    data: str
    split: str
    arithmetic: str  # "int8" or "float32"
    command: str
    percent: dict[str, float | None]  # None where there was nothing to take a share of
    ci95: dict[str, list[float]] = field(default_factory=dict)  # [low, high], over patients

    def __post_init__(self) -> None:
        _require(
            isinstance(self.percent, dict)
            and all(value is None or _is_number(value) for value in self.percent.values()),
            "scores: percent holds what is no number",
        )
        _require(
            isinstance(self.ci95, dict) and all(map(_is_interval, self.ci95.values())),
            "scores: ci95 holds what is no pair of numbers",
        )


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model was trained on, what it takes and gives, and how it scored.

    Raises `ModelRefused` where this gateway's windows are not the ones that it was trained on.
    """

    name: str
    sha256: str  # of the .tflite file, lower-case hex
    sample_rate_hz: int
    window_samples: int
    r_position: int  # index of the R peak in the window
    filter_band_hz: tuple[float, float]
    normalisation: str
    inputs: tuple[str, ...]
    rr_features: tuple[str, ...]
    labels: tuple[str, ...]  # order of the logits
    temperature: float  # what the logits are divided by, and what is then added to each,
    class_biases: tuple[float, ...]  # to make probabilities of them
    abnormal_threshold: float  # p_abnormal from which on a beat is not N
    supraventricular_threshold: float  # p(S) from which on any other beat is S
    split: dict[str, list[str]]  # part -> records
    training: dict[str, str]  # data source, command, commit, seed, versions
    scores: tuple[Score, ...]

    def __post_init__(self) -> None:
        _require(bool(SHA256_HEX.fullmatch(self.sha256)), "sha256 is not 64 hex digits")
        _require(
            self.sample_rate_hz == BEAT_WINDOW_RATE_HZ,
            f"sample_rate_hz is {self.sample_rate_hz}, beat windows have {BEAT_WINDOW_RATE_HZ}",
        )
        _require(
            self.window_samples == BEAT_WINDOW_SAMPLES,
            f"window_samples is {self.window_samples}, beat windows have {BEAT_WINDOW_SAMPLES}",
        )
        _require(
            self.r_position == R_POSITION,
            f"r_position is {self.r_position}, beat windows have R at {R_POSITION}",
        )
        band_hz = (HIGH_PASS_HZ, LOW_PASS_HZ)
        _require(
            self.filter_band_hz == band_hz,
            f"filter_band_hz is {self.filter_band_hz}, beat windows are filtered {band_hz}",
        )
        _require(
            self.normalisation == USUAL_BEAT_SPAN,
            f"normalisation {self.normalisation!r} is unknown",
        )
        _require(self.inputs == INPUTS, f"inputs are {self.inputs}, this gateway gives {INPUTS}")
        unlike = sorted(set(self.rr_features) ^ set(RR_FEATURES))
        _require(not unlike, f"rr_features differ from this gateway's in {', '.join(unlike)}")
        _require(self.rr_features == RR_FEATURES, "rr_features are in another order")
        self._check_outputs()

    def _check_outputs(self) -> None:
        known = {beat_class.value for beat_class in BeatClass}
        unknown = sorted(set(self.labels) - known)
        _require(not unknown, f"labels hold {', '.join(unknown)}, which is no AAMI class")
        _require(
            len(set(self.labels)) == len(self.labels) and BeatClass.NORMAL in self.labels,
            "labels name a class twice, or not N",
        )
        _require(len(self.labels) >= 2, "labels name no abnormal class")
        for name in ("abnormal_threshold", "supraventricular_threshold"):
            _require(0.0 < getattr(self, name) < 1.0, f"{name} is not within 0–1")
        _require(0.0 < self.temperature < math.inf, "temperature is not above 0")
        _require(len(self.class_biases) == len(self.labels), "class_biases are not one a label")
        _require(all(map(math.isfinite, self.class_biases)), "class_biases are not finite")

    @property
    def short_hash(self) -> str:
        """What stored labels carry to say which model gave them."""
        return self.sha256[:8]


class BeatClassifier(Protocol):
    """Gives each beat p(abnormal) and its AAMI class."""

    @property
    def card(self) -> ModelCard: ...

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        """One label for each beat, in order."""
        ...


def scale_waveforms(
    samples: NDArray[np.float32], usual: NDArray[np.float32], late: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Windows, usual and late beats, each (n, 187) in µV → (n, 187, 3) in usual beats' QRS spans.

    The front end's gain is gone after this; how much larger a beat is than usual is not.
    """
    span = np.ptp(usual[:, QRS], axis=1).clip(LEAST_SPAN_UV)[:, np.newaxis, np.newaxis]
    scaled: NDArray[np.float32] = np.stack((samples, usual, late), axis=-1) / span.astype(
        np.float32
    )
    return np.clip(scaled, -WAVEFORM_LIMIT, WAVEFORM_LIMIT)


def probabilities(
    logits: NDArray[np.float64], temperature: float, class_biases: Sequence[float]
) -> NDArray[np.float64]:
    """Calibrated class probabilities (n, classes): bias-corrected temperature scaling.

    Alexandari, Kundaje & Shrikumar 2020; after Guo et al. 2017.
    """
    calibrated = logits / temperature + np.asarray(class_biases)
    odds = np.exp(calibrated - calibrated.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
    return shares


def most_fitting(
    shares: NDArray[np.float64],
    labels: Sequence[str],
    abnormal_threshold: float,
    supraventricular_threshold: float,
) -> NDArray[np.str_]:
    """The class of each beat, (n,), by its probabilities (n, labels).

    A beat whose p_abnormal reaches its threshold is the likeliest class but N. A supraventricular
    beat looks so much like a normal one that its p seldom gets there: what reaches p(S)'s own
    threshold is S too. A fusion beat looks like anything between a normal and a ventricular one: F
    needs to be likelier than all else together, and is otherwise what it may be too, mostly V, as
    where both are one class (Llamedo & Martínez 2011).
    """
    names, is_normal = np.array(labels), np.array([name == BeatClass.NORMAL for name in labels])
    is_doubtful = (names == BeatClass.FUSION) & (shares < FUSION_MAJORITY)
    abnormal = np.where(is_normal, -1.0, np.where(is_doubtful, 0.0, shares))
    likeliest = names[abnormal.argmax(axis=1)]
    is_abnormal = 1.0 - shares[:, is_normal][:, 0] >= abnormal_threshold
    p_s = shares[:, names == BeatClass.SUPRAVENTRICULAR].sum(axis=1)
    else_s = np.where(
        p_s >= supraventricular_threshold, BeatClass.SUPRAVENTRICULAR, BeatClass.NORMAL
    )
    return np.where(is_abnormal, likeliest, else_s)


def load_card(path: Path) -> ModelCard:
    """Read and check the card at `path`; raises `ModelRefused`."""
    fields = _CardFields(path)
    return ModelCard(
        name=fields.take("name", str),
        sha256=fields.take("sha256", str),
        sample_rate_hz=fields.take("sample_rate_hz", int),
        window_samples=fields.take("window_samples", int),
        r_position=fields.take("r_position", int),
        filter_band_hz=fields.take_band("filter_band_hz"),
        normalisation=fields.take("normalisation", str),
        inputs=tuple(map(str, fields.take("inputs", list))),
        rr_features=tuple(map(str, fields.take("rr_features", list))),
        labels=tuple(map(str, fields.take("labels", list))),
        temperature=fields.take("temperature", float),
        class_biases=fields.take_floats("class_biases"),
        abnormal_threshold=fields.take("abnormal_threshold", float),
        supraventricular_threshold=fields.take("supraventricular_threshold", float),
        split=fields.take("split", dict),
        training=fields.take("training", dict),
        scores=fields.take_scores("scores"),
    )


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The file's bytes; raises `ModelRefused` where it can't be read or is longer."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelRefused(f"{path} can't be read: {error.strerror}") from error
    _require(len(content) <= max_bytes, f"{path} exceeds {max_bytes} bytes")
    return content


class _CardFields:
    """The JSON object of a card, from which fields are taken by name and type."""

    def __init__(self, path: Path) -> None:
        try:
            values = json.loads(read_bounded(path, MAX_CARD_BYTES))
        except ValueError as error:
            raise ModelRefused(f"card {path} is not JSON: {error}") from error
        _require(isinstance(values, dict), f"card {path} is not a JSON object")
        self._values: dict[str, object] = values

    def take(self, name: str, kind: type[Field]) -> Field:
        _require(name in self._values, f"the card lacks {name}")
        value = self._values[name]
        if not isinstance(value, kind):
            raise ModelRefused(f"{name} is {value!r:.80}, not of type {kind.__name__}")
        return value

    def take_floats(self, name: str) -> tuple[float, ...]:
        values = self.take(name, list)
        _require(all(isinstance(v, float) for v in values), f"{name} holds what is no number")
        return tuple(values)

    def take_band(self, name: str) -> tuple[float, float]:
        match self.take(name, list):
            case [float(low), float(high)]:
                return low, high
            case other:
                raise ModelRefused(f"{name} is {other!r:.80}, not two frequencies")

    def take_scores(self, name: str) -> tuple[Score, ...]:
        try:
            return tuple(Score(**score) for score in self.take(name, list))
        except TypeError as error:
            raise ModelRefused(f"{name}: {error}") from error
