"""The serving cut: the window around an R peak that the classifier sees.

187 samples at 125 Hz with R at position 125, so from R − 1.000 s to R + 0.488 s: the P wave is in
and so is the T wave, and the window is whole 0.528 s after R (the resampler reaches 0.040 s past
it). Training cuts its windows with the same `cut_window`, from the same band-passed signal; that
signal lags the raw one by the band-pass's delay (7–10 ms in the QRS band), in both. Samples stay
in µV: what scale the network wants is the classifier's business.
"""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.signal_history import SignalHistory
from gateway.messages import (
    BEAT_WINDOW_RATE_HZ,
    BEAT_WINDOW_SAMPLES,
    BeatWindow,
    Gap,
    RPeak,
    SampleBlock,
)

R_POSITION = 125  # leaves 0.488 s after R: the T wave, and a label within 0.9 s
RESAMPLER_REACH_S = 0.040  # half length of the FIR; gives the attenuation below
RESAMPLER_CORNER_HZ = 62.5  # Nyquist rate of the window; 40 Hz passes, above 85 Hz is stopped
KAISER_BETA = 5.65  # 60 dB stop band (Kaiser 1974)
HISTORY_S = 8.0  # how far back a peak that search-back found may lie, its window included


@cache
def _resampler(sample_rate_hz: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Offsets from R and weights, both (187, taps), of a Kaiser-windowed sinc around each sample.

    The grid is anchored on R, so the 25 phases of 360 → 125 Hz are the same for every beat.
    """
    positions = (np.arange(BEAT_WINDOW_SAMPLES) - R_POSITION) * sample_rate_hz / BEAT_WINDOW_RATE_HZ
    if sample_rate_hz == BEAT_WINDOW_RATE_HZ:
        return positions.astype(np.intp)[:, None], np.ones((BEAT_WINDOW_SAMPLES, 1))
    reach = round(RESAMPLER_REACH_S * sample_rate_hz)
    nearest = np.rint(positions).astype(np.intp)
    offsets = nearest[:, None] + np.arange(-reach, reach + 1)
    distance = offsets - positions[:, None]
    sinc = np.sinc(2.0 * RESAMPLER_CORNER_HZ / sample_rate_hz * distance)
    inside = np.clip(1.0 - (distance / (reach + 0.5)) ** 2, 0.0, 1.0)
    weights = sinc * np.i0(KAISER_BETA * np.sqrt(inside))
    return offsets, weights / weights.sum(axis=1, keepdims=True)


def cut_window(
    filtered: NDArray[np.float64], r_index: int, sample_rate_hz: int
) -> NDArray[np.float32] | None:
    """The window around `filtered[r_index]`, float32 (187,) in µV.

    None where the window, with the resampler's reach, does not lie inside `filtered` (n,).
    """
    offsets, weights = _resampler(sample_rate_hz)
    if r_index + offsets[0, 0] < 0 or r_index + offsets[-1, -1] >= filtered.size:
        return None
    window: NDArray[np.float64] = (filtered[r_index + offsets] * weights).sum(axis=1)
    return window.astype(np.float32)


class BeatWindowCutter:
    """Cuts one window for each peak, in the order of R, as soon as the signal after it is there.

    A lead that is off and a clipped signal are as a gap: no window holds them.
    Push signal and gaps in order; add the peaks of an item before the next item is pushed.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._history = round(HISTORY_S * sample_rate_hz)
        self._signal = SignalHistory()
        self._end = 0
        self._waiting: deque[tuple[RPeak, float | None]] = deque()

    def add_peak(self, peak: RPeak, rr_ms: float | None) -> None:
        self._waiting.append((peak, rr_ms))

    def push(self, item: SampleBlock | Gap) -> list[BeatWindow]:
        """The windows that are complete, or known never to be, with this item."""
        self._signal.forget(self._end - self._history)
        if isinstance(item, SampleBlock) and not item.lead_off and not item.clipped:
            self._signal.append(item)
        self._end = item.end
        return self._cut_ready()

    def finish(self) -> list[BeatWindow]:
        """The windows of the peaks that still wait, after the last signal."""
        last = [self._cut(*waiting) for waiting in self._waiting]
        self._waiting.clear()
        return last

    def _cut_ready(self) -> list[BeatWindow]:
        reach = int(_resampler(self._sample_rate_hz)[0][-1, -1])
        ready = []
        while self._waiting and self._waiting[0][0].sample + reach < self._end:
            ready.append(self._cut(*self._waiting.popleft()))
        return ready

    def _cut(self, peak: RPeak, rr_ms: float | None) -> BeatWindow:
        samples = None
        if found := self._signal.run_with(peak.sample):
            start, run = found
            samples = cut_window(run, peak.sample - start, self._sample_rate_hz)
        return BeatWindow(peak.sample, rr_ms, samples)
