"""A generator of ECG with a script of rhythms, deterministic by its seed.

Each beat is a sum of Gaussians, one for each wave (after McSharry et al. 2003), laid out in time
rather than on the limit cycle, so that an ectopic beat can have waves of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gateway.messages import SAMPLES_PER_FRAME, FrameFlags
from gateway.simulator.ecg_sources import EcgSourceError, FrameSamples, to_steps

DEFAULT_SCRIPT = "normal*30+pvcs*30+af*30+pauses*20+noise*15+vf*15+lead-off*10"
LONGEST_SEGMENT_S = 3600.0  # it is rendered at once: 14 MB at 500 Hz

MEAN_RR_S = 60 / 72
_MARGIN_S = 0.4  # from a segment's start to its first R peak


class Rhythm(enum.StrEnum):
    NORMAL = "normal"
    PVCS = "pvcs"
    AF = "af"
    PAUSES = "pauses"
    NOISE = "noise"
    VF = "vf"
    LEAD_OFF = "lead-off"


class Wave(NamedTuple):
    """A Gaussian: its centre after the R peak, its height, and its standard deviation."""

    offset_s: float
    height_mv: float
    width_s: float


P_WAVE = Wave(-0.17, 0.12, 0.022)
QRS = (Wave(-0.03, -0.10, 0.010), Wave(0.0, 1.10, 0.011), Wave(0.03, -0.25, 0.012))
T_WAVE = Wave(0.28, 0.30, 0.050)
WIDE_QRS = (Wave(0.0, 1.50, 0.040), Wave(0.09, -0.45, 0.035))  # a ventricular beat, over 120 ms
OPPOSED_T_WAVE = Wave(0.32, -0.45, 0.060)


@dataclass(frozen=True, slots=True)
class PlannedBeat:
    """A beat before it is drawn; `rr_s` is the interval that leads to it."""

    at_s: float
    rr_s: float
    ventricular: bool = False


def parse_script(script: str) -> list[tuple[Rhythm, float]]:
    """`normal*30+vf*10` as rhythms and seconds; raises EcgSourceError."""
    parts = []
    for part in (script or DEFAULT_SCRIPT).split("+"):
        name, _, seconds = part.partition("*")
        try:
            rhythm, length_s = Rhythm(name.strip()), float(seconds)
        except ValueError as error:
            known = ", ".join(Rhythm)
            raise EcgSourceError(f"{part!r} is not RHYTHM*SECONDS; rhythms: {known}") from error
        if not 1 <= length_s <= LONGEST_SEGMENT_S:
            raise EcgSourceError(f"{part!r}: a segment lasts 1 to {LONGEST_SEGMENT_S:.0f} s")
        parts.append((rhythm, length_s))
    return parts


class SyntheticEcg:
    """An EcgSource that plays a script, once or for ever with fresh beats each time."""

    def __init__(self, script: str, sample_rate_hz: int, seed: int, loop: bool) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._segments = self._render(parse_script(script), np.random.default_rng(seed), loop)
        self._millivolts: NDArray[np.float64] = np.empty(0)
        self._lead_off: NDArray[np.bool_] = np.empty(0, np.bool_)

    def next_frame(self) -> FrameSamples | None:
        while self._millivolts.size < SAMPLES_PER_FRAME:
            segment = next(self._segments, None)
            if segment is None:
                return None
            self._millivolts = np.concatenate([self._millivolts, segment[0]])
            self._lead_off = np.concatenate([self._lead_off, segment[1]])
        steps, _ = to_steps(self._millivolts[:SAMPLES_PER_FRAME])
        lead_off = bool(self._lead_off[:SAMPLES_PER_FRAME].any())
        self._millivolts = self._millivolts[SAMPLES_PER_FRAME:]
        self._lead_off = self._lead_off[SAMPLES_PER_FRAME:]
        return FrameSamples(steps, FrameFlags.LEAD_OFF_POSITIVE if lead_off else FrameFlags(0))

    def _render(
        self, script: list[tuple[Rhythm, float]], rng: Generator, loop: bool
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        while True:
            for rhythm, seconds in script:
                millivolts = render(rhythm, seconds, self.sample_rate_hz, rng)
                yield millivolts, np.full(millivolts.size, rhythm is Rhythm.LEAD_OFF)
            if not loop:
                return


def render(
    rhythm: Rhythm, seconds: float, sample_rate_hz: int, rng: Generator
) -> NDArray[np.float64]:
    """One segment in mV, with the little noise and wander that a good electrode has."""
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    if rhythm is Rhythm.LEAD_OFF:
        return 0.02 * np.sin(2 * np.pi * 50 * time_s)  # nothing but mains
    wander = 0.05 * np.sin(2 * np.pi * 0.25 * time_s + rng.uniform(0, 2 * np.pi))
    signal = wander + rng.normal(0.0, 0.005, time_s.size)
    if rhythm is Rhythm.VF:
        return signal + _fibrillation(time_s, rng)
    with_p_waves = rhythm is not Rhythm.AF
    for beat in plan(rhythm, seconds, rng):
        _draw(beat, with_p_waves, signal, sample_rate_hz)
    if rhythm is Rhythm.AF:
        signal += 0.04 * np.sin(2 * np.pi * 6 * time_s + np.sin(2 * np.pi * 0.3 * time_s))
    if rhythm is Rhythm.NOISE:
        signal += _muscle_and_motion(time_s, rng)
    return signal


def plan(rhythm: Rhythm, seconds: float, rng: Generator) -> list[PlannedBeat]:
    """When the hearts of a segment beat."""
    beats: list[PlannedBeat] = []
    at_s, rr_s = _MARGIN_S, MEAN_RR_S
    while at_s < seconds:
        ectopic = rhythm is Rhythm.PVCS and len(beats) % 6 == 4
        beats.append(PlannedBeat(at_s, rr_s, ectopic))
        rr_s = _next_rr_s(rhythm, len(beats), at_s, rng)
        at_s += rr_s
    return beats


def _next_rr_s(rhythm: Rhythm, number: int, at_s: float, rng: Generator) -> float:
    """The interval from beat `number` − 1 to beat `number`."""
    if rhythm is Rhythm.AF:
        return float(np.clip(rng.lognormal(np.log(0.6), 0.25), 0.33, 1.4))
    breathing = 0.04 * np.sin(2 * np.pi * 0.25 * at_s)  # respiratory sinus arrhythmia
    rr_s = MEAN_RR_S * (1 + breathing) + rng.normal(0.0, 0.01)
    if rhythm is Rhythm.PVCS and number % 6 == 4:
        return float(0.6 * rr_s)  # premature
    if rhythm is Rhythm.PVCS and number % 6 == 5:
        return float(1.4 * rr_s)  # and its compensatory pause
    if rhythm is Rhythm.PAUSES and number % 8 == 0:
        return float(rng.uniform(2.5, 3.5))
    return float(rr_s)


def _draw(
    beat: PlannedBeat, with_p_wave: bool, signal: NDArray[np.float64], sample_rate_hz: int
) -> None:
    """Add a beat's waves to the signal; repolarisation goes with √RR (Bazett 1920)."""
    if beat.ventricular:
        waves = [*WIDE_QRS, OPPOSED_T_WAVE]
    else:
        stretch = float(np.sqrt(min(beat.rr_s, 1.2)))
        t_wave = T_WAVE._replace(offset_s=T_WAVE.offset_s * stretch)
        waves = [*QRS, t_wave, *([P_WAVE] if with_p_wave else [])]
    for wave in waves:
        centre_s = beat.at_s + wave.offset_s
        first = max(0, int((centre_s - 5 * wave.width_s) * sample_rate_hz))
        last = min(signal.size, int((centre_s + 5 * wave.width_s) * sample_rate_hz) + 1)
        distance = (np.arange(first, last) / sample_rate_hz - centre_s) / wave.width_s
        signal[first:last] += wave.height_mv * np.exp(-0.5 * distance**2)


def _fibrillation(time_s: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """Three drifting oscillations of 4–6.5 Hz that wax and wane."""
    signal = np.zeros(time_s.size)
    for _ in range(3):
        frequency_hz, drift_hz = rng.uniform(4.0, 6.5), rng.uniform(0.1, 0.4)
        phase = rng.uniform(0, 2 * np.pi) + 1.5 * np.sin(2 * np.pi * drift_hz * time_s)
        signal += 0.25 * np.sin(2 * np.pi * frequency_hz * time_s + phase)
    return signal


def _muscle_and_motion(time_s: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """Muscle noise, and an electrode that shifts every few seconds."""
    jumps = np.where(rng.random(time_s.size) < 0.5 * time_s[1], rng.normal(0, 1.0, time_s.size), 0)
    decay = np.exp(-time_s[: min(time_s.size, round(2 / time_s[1]))] / 0.4)
    motion = np.convolve(jumps, decay)[: time_s.size]
    return np.asarray(motion + rng.normal(0.0, 0.20, time_s.size))
