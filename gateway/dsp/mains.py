"""Whether the mains are heard in a signal, and at which frequency."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gateway.dsp.spectrum import MAINS_HZ, PowerSpectrum, welch_psd

HEARD_S = 4.0  # what a decision looks at
FLOOR_FROM_HZ, FLOOR_TO_HZ = 6.0, 2.0  # below the tone: muscle and QRS have no edge there
TONE_WIDTH_HZ = 2.5  # what `PowerSpectrum.mains_power` adds up
# A tone begins to count at 10 µV RMS and four times the power that the floor alone would have
# there, and counts until it is half as great: 5 µV is one step of the sensor.
BEGIN_UV, BEGIN_RATIO = 10.0, 4.0
STAY_UV, STAY_RATIO = 5.0, 2.0
BEGIN_SECONDS = 3  # in a row; a burst of muscle is shorter
END_SECONDS = 10  # the hum comes and goes with the patient's movements


class MainsDetector:
    """Push samples, decide at each whole second of the axis; what it decided outlasts a gap."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._size = round(HEARD_S * sample_rate_hz)
        self._heard_in_a_row = 0
        self._heard: int | None = None
        self.frequency_hz: int | None = None
        self.recent_uv: NDArray[np.float64] = np.empty(0)

    def reset(self) -> None:
        """The signal breaks off."""
        self.recent_uv = np.empty(0)

    def push(self, amplitude_uv: NDArray[np.float64]) -> None:
        self.recent_uv = np.concatenate((self.recent_uv, amplitude_uv))[-self._size :]

    def decide(self) -> int | None:
        """The frequency that is heard from here on; None where there is none."""
        if self.recent_uv.size < self._size:
            return self.frequency_hz
        heard = self._listen(welch_psd(self.recent_uv, self._sample_rate_hz))
        again = heard == self._heard
        self._heard_in_a_row = self._heard_in_a_row + 1 if again else 1
        self._heard = heard
        needed = BEGIN_SECONDS if self.frequency_hz is None else END_SECONDS
        if self._heard_in_a_row >= needed:
            self.frequency_hz = heard
        return self.frequency_hz

    def _listen(self, spectrum: PowerSpectrum) -> int | None:
        """The one in use while it lasts, else the stronger of those that begin to count."""
        if self.frequency_hz is not None and _counts(
            spectrum, self.frequency_hz, STAY_UV, STAY_RATIO
        ):
            return self.frequency_hz
        begun = [mains for mains in MAINS_HZ if _counts(spectrum, mains, BEGIN_UV, BEGIN_RATIO)]
        return max(begun, key=spectrum.mains_power, default=None)


def _counts(spectrum: PowerSpectrum, mains_hz: int, least_uv: float, ratio: float) -> bool:
    """Whether a tone is so great, by itself and against what lies below it in frequency."""
    tone = spectrum.mains_power(mains_hz)
    floor = spectrum.power_between(mains_hz - FLOOR_FROM_HZ, mains_hz - FLOOR_TO_HZ)
    expected = floor * TONE_WIDTH_HZ / (FLOOR_FROM_HZ - FLOOR_TO_HZ)
    return math.sqrt(tone) >= least_uv and tone >= ratio * expected
