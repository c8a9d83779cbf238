"""The mains notch: off, at 50 or at 60 Hz, or wherever the mains are heard.

A second-order section with unit gain at 0 Hz, 4 Hz wide: a grid that strays by 0.2 Hz still loses
20 dB. It rings for 0.2 s after a step, and delays the QRS band by less than 1.2 ms (up to 30 Hz).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.filters import Biquad, notch_section
from gateway.dsp.mains import MainsDetector
from gateway.messages import SampleBlock

WIDTH_HZ = 4.0  # between the −3 dB corners

State = tuple[float, float]


class NotchMode(enum.StrEnum):
    OFF = "off"
    FIFTY = "50"
    SIXTY = "60"
    AUTO = "auto"


class Notch:
    """Streaming; the same bits however the input is cut, as the band-pass gives."""

    def __init__(self, sample_rate_hz: int, mode: NotchMode) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._mains = MainsDetector(sample_rate_hz) if mode is NotchMode.AUTO else None
        self._frequency_hz = int(mode) if mode in (NotchMode.FIFTY, NotchMode.SIXTY) else None
        self._state: State | None = None

    @property
    def frequency_hz(self) -> int | None:
        """What is taken out now."""
        return self._frequency_hz

    def reset(self) -> None:
        """Forget the signal, not the frequency: what follows is not joined to it (a Gap)."""
        self._state = None
        if self._mains is not None:
            self._mains.reset()

    def push(self, block: SampleBlock) -> SampleBlock:
        """The block without mains: same start, same length, µV."""
        if self._mains is None:
            filtered = self._filter(block.amplitude_uv)
        else:
            filtered = np.concatenate([*self._follow(block, self._mains)])
        return SampleBlock(
            block.start, block.sample_rate_hz, filtered, block.lead_off, block.clipped
        )

    def _follow(self, block: SampleBlock, mains: MainsDetector) -> Iterator[NDArray[np.float64]]:
        """The block's seconds, each filtered as the signal before it says."""
        start = int(block.start)
        while start < block.end:
            if start % self._sample_rate_hz == 0:
                self._tune(mains)
            end = start - start % self._sample_rate_hz + self._sample_rate_hz
            samples = block.amplitude_uv[start - block.start : end - block.start]
            mains.push(samples)
            yield self._filter(samples)
            start = end

    def _tune(self, mains: MainsDetector) -> None:
        """Go over to another frequency as if it had been in use for the last seconds."""
        if mains.decide() != self._frequency_hz:
            self._frequency_hz, self._state = mains.frequency_hz, None
            self._filter(mains.recent_uv)

    def _filter(self, amplitude_uv: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._frequency_hz is None:
            return amplitude_uv
        section = notch_section(self._frequency_hz, WIDTH_HZ, self._sample_rate_hz)
        amplitudes = amplitude_uv.tolist()
        state = self._state or _settled_at(section, amplitudes[0])
        filtered, self._state = _run(section, amplitudes, state)
        return np.array(filtered)


def _settled_at(section: Biquad, amplitude_uv: float) -> State:
    """The state after an endless constant input, which passes: no step artefact."""
    s2 = (section.b2 - section.a2) * amplitude_uv
    return (section.b1 - section.a1) * amplitude_uv + s2, s2


def _run(section: Biquad, amplitudes: list[float], state: State) -> tuple[list[float], State]:
    """Transposed direct form II, sample by sample in Python floats."""
    b0, b1, b2, a1, a2 = section.b0, section.b1, section.b2, section.a1, section.a2
    s1, s2 = state
    filtered = []
    for x in amplitudes:
        y = b0 * x + s1
        s1 = b1 * x - a1 * y + s2
        s2 = b2 * x - a2 * y
        filtered.append(y)
    return filtered, (s1, s2)
