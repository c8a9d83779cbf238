"""The last seconds of a signal, as unbroken runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.messages import SampleBlock


class SignalHistory:
    """Holds what is appended until it is forgotten; a gap in the blocks' axis starts a run."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, NDArray[np.float64]]] = []

    def append(self, block: SampleBlock) -> None:
        start, run = int(block.start), block.amplitude_uv
        if self._runs and self._runs[-1][0] + self._runs[-1][1].size == start:
            start, head = self._runs.pop()
            run = np.concatenate((head, run))
        self._runs.append((start, run))

    def run_with(self, sample: int) -> tuple[int, NDArray[np.float64]] | None:
        """The run that holds `sample`, and the sample at which it starts; None if none does."""
        for start, run in self._runs:
            if start <= sample < start + run.size:
                return start, run
        return None

    def forget(self, before: int) -> None:
        """Drop the samples before `before`."""
        kept = []
        for start, run in self._runs:
            cut = max(0, before - start)
            if cut < run.size:
                kept.append((start + cut, run[cut:]))
        self._runs = kept
