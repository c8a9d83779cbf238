"""The annotated beats of one cut, as arrays that share their first axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import scale_waveforms
from gateway.messages import BeatClass, BeatInContext, SampleIndex

NOT_A_BEAT = ""  # the class of a detection that no annotation matches


@dataclass(frozen=True, slots=True)
class Beats:
    """Beats of many records; `aami` is "" for a detection that no annotated beat explains.

    Where `has_window` is False there is nothing to classify and `windows` (n, 187) holds zeros:
    the beat was missed, or the gateway held its signal for too poor to be labelled.
    `rr_after_ms` looks into the future: it is for study and never an input.
    """

    record: NDArray[np.str_]
    annotation: NDArray[np.int32]  # (nearest) annotated beat's number in its record
    aami: NDArray[np.str_]
    rr_before_ms: NDArray[np.float32]  # NaN where there is none
    rr_after_ms: NDArray[np.float32]
    has_window: NDArray[np.bool_]
    windows: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.record)

    @property
    def is_beat(self) -> NDArray[np.bool_]:
        return self.aami != NOT_A_BEAT

    @property
    def is_abnormal(self) -> NDArray[np.bool_]:
        """Every annotated beat that is not N: S, V, F, and also Q, as in the public benchmark."""
        return self.is_beat & (self.aami != BeatClass.NORMAL.value)

    @property
    def is_trainable(self) -> NDArray[np.bool_]:
        return self.is_beat & self.has_window

    @property
    def network_inputs(self) -> list[NDArray[np.float32]]:
        """What the float network is given: windows as they are, (n, 187, 1)."""
        return [self.windows[:, :, np.newaxis]]

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def of_records(self, names: Sequence[str]) -> Self:
        return self[np.isin(self.record, names)]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path) as arrays:
            return cls(*(arrays[field.name] for field in fields(cls)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        columns = (np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls))
        return cls(*columns)


@dataclass(frozen=True, slots=True)
class ServingBeats(Beats):
    """Beats as the gateway gives them to its classifier."""

    r_sample: NDArray[np.int64]  # as found, or as annotated where the beat was missed
    usual: NDArray[np.float32]  # (n, 187), µV
    late: NDArray[np.float32]
    rr_features: NDArray[np.float32]  # (n, 17)

    @property
    def network_inputs(self) -> list[NDArray[np.float32]]:
        """What the float network is given: waveforms (n, 187, 3) and RR features (n, 17)."""
        return [scale_waveforms(self.windows, self.usual, self.late), self.rr_features]

    def in_context(self) -> list[BeatInContext]:
        """What the classifier is given, beat by beat."""
        columns = (self.r_sample, self.windows, self.usual, self.late, self.rr_features)
        return [
            BeatInContext(SampleIndex(int(r_sample)), *(array.copy() for array in arrays))
            for r_sample, *arrays in zip(*columns, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class TrainingBeats(ServingBeats):
    """The same beats in the record's other lead too, which augments training."""

    other_windows: NDArray[np.float32]
    other_usual: NDArray[np.float32]
    other_late: NDArray[np.float32]
