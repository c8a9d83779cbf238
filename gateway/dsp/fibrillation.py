"""How much four seconds of signal look like ventricular fibrillation or flutter.

No heartbeat is looked for. A beating heart rests between its complexes, so most of its slopes are
small against its steepest; a fibrillating one never rests, and its power lies between 2.5 and 8 Hz
(Thakor 1990: 3–7 Hz; Jekova & Krasteva 2004). Noise that covers the rests brings power elsewhere.
The three measures are joined by a logistic regression, as Li, Rajagopalan & Clifford 2014 join
theirs; `python -m tests.accuracy.fit_fibrillation` fits it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.signal_history import SignalHistory
from gateway.dsp.spectrum import fft_magnitude
from gateway.messages import Gap, SampleBlock, SampleIndex

WINDOW_S = 4.0  # the shortest fibrillation that alarms, and what published detectors look at
HISTORY_S = 6.0  # the window, the second that is asked for late, and that delay
ANALYSIS_RATE_HZ = 125  # the lowest legal rate; higher ones are averaged down near it
QUIETEST_UV = 30.0  # RMS; a sine of 0.1 mV peak to peak has 35, and less is asystole (Kerber 1997)
BROAD_STEPS = 5  # slopes over 40 ms: too long for muscle noise to cover the rests
STEEP = 0.98  # the steepest 2 % of slopes: one 80 ms complex in 4 s
FIBRILLATION_HZ = (2.5, 8.0)
HEART_HZ = (0.5, 40.0)  # the band-pass
WEIGHTS = np.array([25.2, 13.8, 9.85])  # in the order of `measures`
BIAS = -13.40


class FibrillationMeter:
    """Push the band-passed signal, then ask for the four seconds that end at a sample."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._history = SignalHistory()

    def push(self, filtered: SampleBlock | Gap) -> None:
        if isinstance(filtered, SampleBlock):
            self._history.append(filtered)
        self._history.forget(filtered.end - round(HISTORY_S * self._rate))

    def log_odds(self, end: SampleIndex) -> float | None:
        """Log-odds that the four seconds before `end`, which lies at most 2 s back, fibrillate;
        None where part of them is unknown, −∞ where the signal is too small to."""
        size = round(WINDOW_S * self._rate)
        found = self._history.run_with(end - 1)
        if found is None or found[0] > end - size:
            return None
        start, run = found
        return log_odds(run[end - size - start : end - start], self._rate)


def log_odds(filtered_uv: NDArray[np.float64], sample_rate_hz: int) -> float:
    """Log-odds of fibrillation for four band-passed seconds, µV; −∞ below `QUIETEST_UV`."""
    if float(filtered_uv.std()) < QUIETEST_UV:
        return -np.inf
    return float(WEIGHTS @ measures(filtered_uv, sample_rate_hz)) + BIAS


def measures(filtered_uv: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.float64]:
    """What the regression takes, (3,), each 0–1 and blind to gain and polarity: typical against
    steep slopes over one step and over 40 ms, and the share of power that fibrillation has."""
    signal = _averaged_down(filtered_uv, sample_rate_hz // ANALYSIS_RATE_HZ)
    fine = np.abs(np.diff(signal))
    broad = np.abs(signal[BROAD_STEPS:] - signal[:-BROAD_STEPS])
    return np.array([_restlessness(fine), _restlessness(broad), _power_share(signal)])


def _averaged_down(signal: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Means of `factor` samples: 125 Hz, or 120 Hz from 360."""
    means: NDArray[np.float64] = signal.reshape(-1, factor).mean(axis=1)
    return means


def _restlessness(slopes: NDArray[np.float64]) -> float:
    """The median against the steep ones."""
    middle, steep = slopes.size // 2, int(STEEP * slopes.size)
    ordered = np.partition(slopes, (middle, steep))
    return float(ordered[middle] / max(ordered[steep], 1e-9))


def _power_share(signal: NDArray[np.float64]) -> float:
    """Power within `FIBRILLATION_HZ` against all of a heart's."""
    _, magnitude = fft_magnitude(signal, round(signal.size / WINDOW_S))
    power = magnitude**2
    fibrillation, heart = power[_bins(FIBRILLATION_HZ)], power[_bins(HEART_HZ)]
    return float(fibrillation.sum() / max(float(heart.sum()), 1e-9))


def _bins(band_hz: tuple[float, float]) -> slice:
    """A spectrum's bins are 1 / WINDOW_S apart at every rate."""
    return slice(round(band_hz[0] * WINDOW_S), round(band_hz[1] * WINDOW_S))
