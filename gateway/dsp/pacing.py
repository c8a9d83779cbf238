"""Pacing spikes: a pacemaker's pulse before the beat that it makes.

A pulse lasts 2 ms at most (AAMI EC13: 0.1 to 2 ms). Where a front end lets any of it through, the
signal turns there more sharply than anywhere in the beat, which a narrow QRS does not: its sharp
turns are several. Measured is how much sharper the sharpest turn is than the next one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.signal_history import SignalHistory
from gateway.messages import Gap, SampleBlock

LEAST_RATE_HZ = 250  # a slower sensor's band holds nothing of a spike
LAG_S = 0.004  # of the second difference: one or two samples
SPIKE_S = 0.011  # to each side of its turn; more is a QRS
BEFORE_S, AFTER_S = 0.160, 0.020  # where a spike lies, from R: the detector may take it for R
BEAT_S = 0.160  # to each side of R: where the next sharpest turn is looked for
SHARPEST = 3.5  # against the next; tuned on 102 and 107 of MIT-BIH against the rest of DS1
LEAST_UV = 100.0  # a turn as sharp as this; noise is below
HISTORY_S = 2.0  # a beat is asked for within 1.3 s, when its window and second are complete


class PacingMeter:
    """Push the unfiltered signal, then ask for the beats in it."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._history = SignalHistory()

    def push(self, raw: SampleBlock | Gap) -> None:
        if isinstance(raw, SampleBlock):
            self._history.append(raw)
        self._history.forget(raw.end - round(HISTORY_S * self._rate))

    def has_spike(self, r_sample: int) -> bool | None:
        """Whether a spike leads to the beat at `r_sample`; None where that can't be known."""
        reach = round(BEAT_S * self._rate) + round(LAG_S * self._rate)
        found = self._history.run_with(r_sample)
        if self._rate < LEAST_RATE_HZ or found is None:
            return None
        start, run = found
        first, past = r_sample - reach - start, r_sample + reach + 1 - start
        if first < 0 or past > run.size:
            return None
        return has_spike(run[first:past], self._rate)


def has_spike(beat_uv: NDArray[np.float64], sample_rate_hz: int) -> bool:
    """The same for a beat's raw signal: R in the middle, `BEAT_S` and the lag to each side."""
    lag, width = round(LAG_S * sample_rate_hz), round(SPIKE_S * sample_rate_hz)
    turns = np.abs(beat_uv[: -2 * lag] - 2.0 * beat_uv[lag:-lag] + beat_uv[2 * lag :])
    r = turns.size // 2
    first = r - round(BEFORE_S * sample_rate_hz)
    spike = first + int(turns[first : r + round(AFTER_S * sample_rate_hz)].argmax())
    height = float(turns[spike])
    turns[max(0, spike - width) : spike + width + 1] = 0.0
    return height >= LEAST_UV and height >= SHARPEST * float(turns.max())
