"""The spectrum of each watched bed, computed once a second for all who watch it."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

import numpy as np

from gateway.bed_screen import Json, RecentSignal, stale_after_s
from gateway.dsp.spectrum import WELCH_S, fft_magnitude, figures, welch_psd
from gateway.live_view import LiveView
from gateway.messages import MICROVOLTS_PER_STEP

INTERVAL_S = 1.0
MAX_HZ = 60.0  # an ECG has nothing above that the screen's band-pass lets through


@dataclass(frozen=True, slots=True)
class _Computed:
    at_s: float
    payload: Json


class Spectra:
    """Thread-safe. Nothing is computed for a bed that nobody asks for."""

    def __init__(self, live_view: LiveView) -> None:
        self._live_view = live_view
        self._lock = threading.Lock()
        self._newest: dict[str, _Computed] = {}

    def of(self, bed_id: str, now_s: float) -> Json:
        """A change for the stream: magnitude, and figures of the density, both of the strip's
        band-passed signal; `magnitude_uv` is None where 8 s are not known.

        The object is the same until a new one has been computed.
        """
        with self._lock:
            newest = self._newest.get(bed_id)
            if newest is None or not 0 <= now_s - newest.at_s < INTERVAL_S:
                signal = self._live_view.recent_signal(bed_id, WELCH_S)
                newest = _Computed(now_s, {"bed": bed_id} | _spectrum(signal, now_s))
                self._newest[bed_id] = newest
            return newest.payload


def _spectrum(signal: RecentSignal | None, now_s: float) -> Json:
    if signal is None or now_s - signal.at_s > stale_after_s(signal.sample_rate_hz):
        return {"kind": "spectrum", "magnitude_uv": None}
    amplitude_uv = signal.steps.astype(np.float64) * MICROVOLTS_PER_STEP
    frequency_hz, magnitude_uv = fft_magnitude(amplitude_uv, signal.sample_rate_hz)
    shown = frequency_hz <= MAX_HZ
    return {
        "kind": "spectrum",
        "step_hz": float(frequency_hz[1]),
        "magnitude_uv": magnitude_uv[shown].round(1).tolist(),
        **asdict(figures(welch_psd(amplitude_uv, signal.sample_rate_hz))),
    }
