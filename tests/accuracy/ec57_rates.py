"""The heart rate that is shown each second beside that of the annotated beats, as EC57 has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.rr_intervals import RRSeries
from gateway.messages import RPeak, SampleIndex
from tests.accuracy.ec57 import LEARNING_S
from tests.accuracy.figures import Figure, RootMeanSquare, Share
from tests.accuracy.gateway_run import GatewayRun
from tests.accuracy.reference import Reference

RATE_HZ = 1000  # of the annotated beats' times; finer than any annotation


def score_rates(reference: Reference, run: GatewayRun) -> dict[str, Figure]:
    """Both rates are the mean of eight intervals; seconds count where both are known."""
    shown = run.heart_rate_bpm[round(LEARNING_S) :]
    true = annotated_rates(reference, run.heart_rate_bpm.size)[round(LEARNING_S) :]
    errors = (shown - true)[~np.isnan(shown) & ~np.isnan(true)]
    return {
        "rate error bpm": RootMeanSquare(float(np.square(errors).sum()), errors.size),
        "rate shown": Share(errors.size, int((~np.isnan(true)).sum())),
    }


def annotated_rates(reference: Reference, seconds: int) -> NDArray[np.float64]:
    """At the end of each second; NaN where it is not known. No interval spans fibrillation."""
    series, beats_s = RRSeries(RATE_HZ), reference.beats_s
    for stretch in reference.fibrillation:
        series.push_unseen(_sample(stretch.start_s), _sample(stretch.end_s))
    rates = np.full(seconds, np.nan)
    for second in range(seconds):
        for beat_s in beats_s[(beats_s >= second) & (beats_s < second + 1)].tolist():
            series.push_peak(RPeak(_sample(beat_s), 0.0))
        rate = series.heart_rate_bpm(_sample(second + 1))
        rates[second] = np.nan if rate is None else rate
    return rates


def _sample(time_s: float) -> SampleIndex:
    return SampleIndex(round(time_s * RATE_HZ))
