"""The causal band-pass that every later stage sees.

Two second-order Butterworth sections, a 0.5 Hz high-pass and a 40 Hz low-pass: the bandwidth of a
bedside monitor's "monitoring" mode (IEC 60601-2-27). A 0.5 Hz corner distorts the ST segment, so
no ST claim may be made from what comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gateway.messages import SampleBlock

HIGH_PASS_HZ = 0.5  # baseline wander lies below; IEC 60601-2-27 monitoring bandwidth
LOW_PASS_HZ = 40.0  # muscle and mains lie above; QRS energy lies below
BUTTERWORTH_Q = math.sqrt(0.5)  # the one Q at which a second-order section is maximally flat


@dataclass(frozen=True, slots=True)
class Biquad:
    """One second-order section: y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2]."""

    b0: float
    b1: float
    b2: float
    a1: float
    a2: float


def butterworth_low_pass(corner_hz: float, sample_rate_hz: int) -> Biquad:
    """Bilinear transform with prewarping (Oppenheim & Schafer, ch. 7; Bristow-Johnson)."""
    cosine, alpha = _prewarp(corner_hz, sample_rate_hz)
    gain = (1.0 - cosine) / 2.0
    return _normalised((gain, 2.0 * gain, gain), cosine, alpha)


def butterworth_high_pass(corner_hz: float, sample_rate_hz: int) -> Biquad:
    """The low-pass's mirror image, by the same transform."""
    cosine, alpha = _prewarp(corner_hz, sample_rate_hz)
    gain = (1.0 + cosine) / 2.0
    return _normalised((gain, -2.0 * gain, gain), cosine, alpha)


def notch_section(centre_hz: float, width_hz: float, sample_rate_hz: int) -> Biquad:
    """Nothing at `centre_hz`, all at 0 Hz; `width_hz` between the −3 dB corners, by the same
    transform, prewarped so that the width holds at every sample rate."""
    omega = 2.0 * math.pi * centre_hz / sample_rate_hz
    cosine, alpha = math.cos(omega), math.tan(math.pi * width_hz / sample_rate_hz)
    return _normalised((1.0, -2.0 * cosine, 1.0), cosine, alpha)


def _prewarp(corner_hz: float, sample_rate_hz: int) -> tuple[float, float]:
    omega = 2.0 * math.pi * corner_hz / sample_rate_hz
    return math.cos(omega), math.sin(omega) / (2.0 * BUTTERWORTH_Q)


def _normalised(b: tuple[float, float, float], cosine: float, alpha: float) -> Biquad:
    a0 = 1.0 + alpha
    return Biquad(b[0] / a0, b[1] / a0, b[2] / a0, -2.0 * cosine / a0, (1.0 - alpha) / a0)


class BandPass:
    """Streaming 0.5–40 Hz band-pass. The recursion runs sample by sample in Python floats, so
    the output is the same to the bit however the input is cut."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._high_pass = butterworth_high_pass(HIGH_PASS_HZ, sample_rate_hz)
        self._low_pass = butterworth_low_pass(LOW_PASS_HZ, sample_rate_hz)
        self._state: tuple[float, float, float, float] | None = None

    def reset(self) -> None:
        """Forget the past: what follows is not joined to what came before (a Gap)."""
        self._state = None

    def push(self, block: SampleBlock) -> SampleBlock:
        """The block band-passed: same start, same length, µV."""
        amplitudes = block.amplitude_uv.tolist()
        if self._state is None:
            self._state = self._settled_at(amplitudes[0])
        filtered, self._state = self._run(amplitudes, self._state)
        return SampleBlock(
            start=block.start,
            sample_rate_hz=block.sample_rate_hz,
            amplitude_uv=np.array(filtered),
            lead_off=block.lead_off,
            clipped=block.clipped,
        )

    def _settled_at(self, amplitude_uv: float) -> tuple[float, float, float, float]:
        """The state after an endless constant input, whose output is zero: no step artefact."""
        h = self._high_pass
        return (h.b1 + h.b2) * amplitude_uv, h.b2 * amplitude_uv, 0.0, 0.0

    def _run(
        self, amplitudes: list[float], state: tuple[float, float, float, float]
    ) -> tuple[list[float], tuple[float, float, float, float]]:
        """Both sections in transposed direct form II; local names because this loop is hot."""
        h0, h1, h2, ha1, ha2 = _coefficients(self._high_pass)
        l0, l1, l2, la1, la2 = _coefficients(self._low_pass)
        hs1, hs2, ls1, ls2 = state
        filtered = []
        for x in amplitudes:
            u = h0 * x + hs1
            hs1 = h1 * x - ha1 * u + hs2
            hs2 = h2 * x - ha2 * u
            y = l0 * u + ls1
            ls1 = l1 * u - la1 * y + ls2
            ls2 = l2 * u - la2 * y
            filtered.append(y)
        return filtered, (hs1, hs2, ls1, ls2)


def _coefficients(section: Biquad) -> tuple[float, float, float, float, float]:
    return section.b0, section.b1, section.b2, section.a1, section.a2
