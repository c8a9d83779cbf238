"""From samples to QRS candidates: where the energy of the QRS band is greatest.

Moving averages on whole microvolts in int64: exact, so any chunking gives the same bits, and
cheap in numpy. Features are aligned with the raw signal (zero phase) and so known `delay`
samples late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.muscle_noise import MuscleNoise

SMOOTHING_S = 0.026  # averaged twice: zero near 40 Hz, so mains and muscle are weak
BASELINE_S = 0.088  # minus this mean leaves 7-20 Hz, where QRS energy is (Elgendi 2013: 8-20 Hz)
ENVELOPE_S = 0.190  # a wide QRS with its return (Pan & Tompkins 1985: 150 ms; best on DS1)
STEPS_PER_UV = 8  # resolution of the squared band, kept whole
NEIGHBOUR_S = 0.150  # a P wave or a notch this near to a greater deflection is part of its beat
R_SEARCH_S = 0.072  # R lies this near to the envelope's maximum
DECISION_S = 0.300  # what comes later than this after R is not waited for
MIN_CANDIDATE_UV = 12.0  # RMS; what is smaller tells nothing of the noise that rivals a beat


@dataclass(frozen=True, slots=True)
class Candidate:
    """A maximum of the envelope and the R peak near it. `slope_uv` is the band's steepest step
    from one sample to the next, `muscle_uv` the muscle noise around it (RMS)."""

    sample: int
    height_uv: float
    r_sample: int
    amplitude_uv: float
    slope_uv: float
    muscle_uv: float


def _odd_samples(seconds: float, sample_rate_hz: int) -> int:
    return 2 * round((seconds * sample_rate_hz - 1) / 2) + 1


def _moving_sum(samples: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Sums of each `width` neighbours, shape (n - width + 1,)."""
    running = np.cumsum(samples)
    sums = running[width - 1 :].copy()
    sums[1:] -= running[:-width]
    return sums


class QrsEnvelope:
    """Streaming features of one unbroken run: the QRS band and its moving RMS, both in µV."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._smooth = _odd_samples(SMOOTHING_S, sample_rate_hz)
        self._baseline = _odd_samples(BASELINE_S, sample_rate_hz)
        self._width = _odd_samples(ENVELOPE_S, sample_rate_hz)
        self._band_reach = max(self._baseline // 2, self._smooth - 1)
        self.delay = self._band_reach + self._width // 2
        self._tail: NDArray[np.int64] | None = None

    @property
    def last_uv(self) -> float:
        """The newest sample."""
        return 0.0 if self._tail is None else float(self._tail[-1])

    def push(
        self, amplitude_uv: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Band and envelope, as many as went in, of the samples `delay` before these.

        The run's first value is taken to have stood for ever.
        """
        whole_uv = np.rint(amplitude_uv).astype(np.int64)
        if self._tail is None:
            self._tail = np.full(2 * self.delay, whole_uv[0])
        samples = np.concatenate((self._tail, whole_uv))
        self._tail = samples[-2 * self.delay :]
        band = self._band(samples)
        steps = np.rint(band * STEPS_PER_UV).astype(np.int64)
        power = _moving_sum(steps * steps, self._width)
        envelope = np.sqrt(power / self._width) / STEPS_PER_UV
        return band[self._width // 2 :][: envelope.size], envelope

    def _band(self, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Smoothed signal minus its moving mean."""
        smooth = _moving_sum(_moving_sum(samples, self._smooth), self._smooth)
        mean = _moving_sum(samples, self._baseline)
        size = samples.size - 2 * self._band_reach
        smooth = smooth[self._band_reach - self._smooth + 1 :][:size]
        mean = mean[self._band_reach - self._baseline // 2 :][:size]
        return smooth / self._smooth**2 - mean / self._baseline


class CandidateFinder:
    """Streaming candidates of one unbroken run that starts at sample `start`, in order."""

    def __init__(self, sample_rate_hz: int, start: int) -> None:
        self._features = QrsEnvelope(sample_rate_hz)
        self._muscle = MuscleNoise(sample_rate_hz, start)
        self._neighbour = round(NEIGHBOUR_S * sample_rate_hz)
        self._r_search = round(R_SEARCH_S * sample_rate_hz)
        # how far past R the envelope is known when the decision is due
        self._known_after_r = int(DECISION_S * sample_rate_hz) - self._features.delay - 1
        self._run_start = start
        self._end = start
        padding = np.zeros(self._neighbour)
        self._band = padding
        self._envelope = padding
        self._first = start - self._features.delay - padding.size  # sample of envelope[0]
        self._next = start - self._features.delay  # next sample to be looked at
        self._maxima: list[Candidate] = []

    def push(self, amplitude_uv: NDArray[np.float64]) -> list[Candidate]:
        """The candidates that these samples settle."""
        self._end += amplitude_uv.size
        self._muscle.push(amplitude_uv)
        band, envelope = self._features.push(amplitude_uv)
        self._band = np.concatenate((self._band, band))
        self._envelope = np.concatenate((self._envelope, envelope))
        self._maxima.extend(self._new_maxima())
        settled = self._settle()
        self._forget()
        return settled

    def finish(self) -> list[Candidate]:
        """The candidates before the run's end, as if its last value stood for ever."""
        end = self._end
        last_uv = self._features.last_uv
        candidates = self.push(np.full(self._features.delay + 2 * self._neighbour, last_uv))
        return [candidate for candidate in candidates if candidate.r_sample < end]

    def _new_maxima(self) -> list[Candidate]:
        """Envelope samples not less than any from `neighbour` before to `r_search` after."""
        low = self._next - self._first
        high = self._envelope.size - self._r_search
        if high <= low:
            return []
        self._next = self._first + high
        around = self._envelope[low - self._neighbour :]
        width = self._neighbour + self._r_search + 1
        greatest = np.lib.stride_tricks.sliding_window_view(around, width).max(axis=1)
        here = self._envelope[low:high]
        tops = np.flatnonzero((here == greatest) & (here > MIN_CANDIDATE_UV))
        return [self._measure(low + top) for top in tops.tolist()]

    def _measure(self, top: int) -> Candidate:
        first = top - self._r_search
        near = self._band[first : top + self._r_search + 1]
        r = int(np.abs(near).argmax())
        return Candidate(
            sample=self._first + top,
            height_uv=float(self._envelope[top]),
            r_sample=self._first + first + r,
            amplitude_uv=float(near[r]),
            slope_uv=float(np.abs(np.diff(near)).max()),
            muscle_uv=self._muscle.rms_uv(self._first + top),
        )

    def _settle(self) -> list[Candidate]:
        """Of the maxima whose time has come, those that nothing greater follows closely."""
        settled = []
        known = self._first + self._envelope.size
        while self._maxima:
            top = self._maxima[0]
            due = min(top.sample + self._neighbour, top.r_sample + self._known_after_r)
            if due >= known:
                break
            self._maxima.pop(0)
            following = self._envelope[top.sample - self._first + 1 : due - self._first + 1]
            if following.max() <= top.height_uv and top.r_sample >= self._run_start:
                settled.append(top)
        return settled

    def _forget(self) -> None:
        """Keep what the next maxima and the unsettled ones look back on."""
        oldest = min([self._next, *(top.sample for top in self._maxima)])
        cut = oldest - self._neighbour - self._first
        self._band, self._envelope = self._band[cut:], self._envelope[cut:]
        self._first += cut
        self._muscle.forget(self._next)
