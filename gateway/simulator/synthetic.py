"""A generator of ECG with a script of rhythms, deterministic by its seed."""

from __future__ import annotations

from gateway.simulator.ecg_sources import FrameSamples


class SyntheticEcg:
    def __init__(self, script: str, sample_rate_hz: int, seed: int, loop: bool) -> None:
        self.sample_rate_hz = sample_rate_hz

    def next_frame(self) -> FrameSamples | None:
        return None
