"""The annotated beats of one cut, as arrays that share their first axis."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import scale_min_max
from gateway.messages import BeatClass

NOT_A_BEAT = ""  # the class of a detection that no annotation matches


@dataclass(frozen=True, slots=True)
class Beats:
    """Beats of many records; `aami` is "" for a detection that no annotated beat explains.

    `windows` (n, 187) are what the normalisation is given; where `has_window` is False the beat
    was missed, or the signal around it is not all there, and the window is all zeros.
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
    def network_input(self) -> NDArray[np.float32]:
        """Scaled windows, (n, 187, 1)."""
        return scale_min_max(self.windows)[:, :, np.newaxis]

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Beats:
        return Beats(*(getattr(self, field.name)[chosen] for field in fields(Beats)))

    def of_records(self, names: list[str]) -> Beats:
        return self[np.isin(self.record, names)]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(Beats)})


def load(path: Path) -> Beats:
    with np.load(path) as arrays:
        return Beats(*(arrays[field.name] for field in fields(Beats)))


def join(parts: list[Beats]) -> Beats:
    columns = (np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Beats))
    return Beats(*columns)
