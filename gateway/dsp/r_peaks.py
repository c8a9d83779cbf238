"""Streaming R-peak detection.

Phases: candidates (local maxima of the QRS envelope) → refractory period → T-wave test →
threshold → search-back → threshold update. After Pan & Tompkins (1985) and Hamilton & Tompkins
(1986), with an envelope after Elgendi (2013) and a threshold that falls with the time since the
last beat, so that most weak beats need no search-back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from gateway.dsp.qrs_features import EnvelopeFilter
from gateway.messages import Gap, RPeak, SampleBlock, SampleIndex

LOOK_AHEAD_S = 0.130  # a candidate waits this long for a larger one; R + 300 ms in all
REFRACTORY_S = 0.200  # no second QRS within 200 ms (Pan & Tompkins 1985)
T_WAVE_S = 0.360  # a T wave comes no later (Pan & Tompkins 1985)
T_WAVE_SLOPE = 0.5  # ... and is less than half as steep as its QRS (Pan & Tompkins 1985)
R_SEARCH_S = 0.072  # R lies this near to the envelope's maximum
MIN_ENVELOPE_UV = 20.0
LEARNING_S = 2.0
SEARCH_BACK_INTERVALS = 1.66  # a beat is missing after 166 % of the mean RR (Pan & Tompkins 1985)
SEARCH_BACK_FACTOR = 0.5
LEVEL_BEATS = 8
INITIAL_RR_S = 0.8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local maximum of the envelope. `slope_uv` is the steepest step of the band per sample."""

    sample: int
    height_uv: float
    r_sample: int
    amplitude_uv: float
    slope_uv: float


class RPeakDetector:
    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._filter = EnvelopeFilter(sample_rate_hz)
        self._look = round(LOOK_AHEAD_S * sample_rate_hz)
        self._refractory = round(REFRACTORY_S * sample_rate_hz)
        self._r_search = round(R_SEARCH_S * sample_rate_hz)
        self._band = np.empty(0)
        self._envelope = np.empty(0)
        self._start = 0
        self._beat_heights: deque[float] = deque(maxlen=LEVEL_BEATS)
        self._noise_heights: deque[float] = deque(maxlen=LEVEL_BEATS)
        self._rr: deque[int] = deque(maxlen=LEVEL_BEATS)
        self._candidates: deque[Candidate] = deque()
        self._passed: list[Candidate] = []
        self._last: Candidate | None = None
        self._scanned: int | None = None

    def push(self, item: SampleBlock | Gap) -> list[RPeak]:
        if isinstance(item, Gap):
            return self.finish()
        features = self._filter.push(item.start, item.amplitude_uv)
        if self._scanned is None:
            self._start = features.start
            self._scanned = features.start + 1
            self._band, self._envelope = features.band, features.envelope
        else:
            self._band = np.concatenate((self._band, features.band))
            self._envelope = np.concatenate((self._envelope, features.envelope))
        self._scan()
        return self._decide_until(self._start + self._envelope.size)

    def finish(self) -> list[RPeak]:
        if self._scanned is None:
            return []
        peaks = self._decide_until(10**15)
        self._filter.reset()
        self._scanned = None
        self._last = None
        self._candidates.clear()
        self._passed.clear()
        return peaks

    def _scan(self) -> None:
        """Candidates among the samples whose R search window is known."""
        assert self._scanned is not None
        end = self._start + self._envelope.size
        upto = end - self._r_search - 1
        if upto <= self._scanned:
            return
        lo = self._scanned - self._start
        hi = upto - self._start
        e = self._envelope
        mid = e[lo:hi]
        tops = np.flatnonzero(
            (mid > e[lo - 1 : hi - 1]) & (mid >= e[lo + 1 : hi + 1]) & (mid > MIN_ENVELOPE_UV)
        )
        for top in (tops + lo).tolist():
            self._candidates.append(self._candidate(top))
        self._scanned = upto
        keep = max(0, hi - 2 * self._r_search - 2)
        if keep > 0:
            self._envelope = self._envelope[keep:]
            self._band = self._band[keep:]
            self._start += keep

    def _candidate(self, top: int) -> Candidate:
        lo = max(0, top - self._r_search)
        near = self._band[lo : top + self._r_search + 1]
        r = int(np.abs(near).argmax())
        slope = float(np.abs(np.diff(near)).max())
        return Candidate(
            self._start + top,
            float(self._envelope[top]),
            self._start + lo + r,
            float(near[r]),
            slope,
        )

    def _decide_until(self, end: int) -> list[RPeak]:
        peaks: list[RPeak] = []
        while self._candidates:
            c = self._candidates[0]
            if c.sample + self._look + self._r_search + 1 >= end:
                break
            self._candidates.popleft()
            peaks.extend(self._decide(c))
        return peaks

    def _decide(self, c: Candidate) -> list[RPeak]:
        found = []
        if self._last is not None:
            rr = self._mean_rr()
            if c.sample - self._last.sample > SEARCH_BACK_INTERVALS * rr:
                found = self._search_back(c)
        if self._is_beat(c):
            found.append(self._accept(c, False))
        else:
            self._passed.append(c)
            self._noise_heights.append(c.height_uv)
        return found

    def _search_back(self, c: Candidate) -> list[RPeak]:
        assert self._last is not None
        lim = self._last.sample + round(0.36 * self._rate)
        best = [
            p for p in self._passed if p.sample >= lim and c.sample - p.sample > self._refractory
        ]
        if not best:
            return []
        b = max(best, key=lambda p: p.height_uv)
        if b.height_uv < SEARCH_BACK_FACTOR * self._threshold(b.sample):
            return []
        return [self._accept(b, True)]

    def _mean_rr(self) -> float:
        if not self._rr:
            return INITIAL_RR_S * self._rate
        return float(np.median(self._rr))

    def _threshold(self, sample: int) -> float:
        if not self._beat_heights:
            return MIN_ENVELOPE_UV
        beat = sorted(self._beat_heights)[len(self._beat_heights) // 2]
        noise = (
            sorted(self._noise_heights)[len(self._noise_heights) // 2]
            if self._noise_heights
            else 0.0
        )
        noise = min(noise, beat * 0.5)
        u = 1.0
        if self._last is not None:
            u = (sample - self._last.sample) / self._mean_rr()
        k = float(np.interp(u, (0.4, 0.8, 1.2, 2.0, 4.0), (0.5, 0.35, 0.3, 0.2, 0.1)))
        return max(MIN_ENVELOPE_UV, noise + k * (beat - noise))

    def _is_beat(self, c: Candidate) -> bool:
        if self._last is not None:
            if c.sample - self._last.sample < self._refractory:
                return False
            if (
                c.sample - self._last.sample < T_WAVE_S * self._rate
                and c.slope_uv < T_WAVE_SLOPE * self._last.slope_uv
            ):
                return False
        if c.height_uv < self._threshold(c.sample):
            return False
        for n in self._candidates:
            if n.sample - c.sample > self._look:
                break
            if n.height_uv > c.height_uv:
                return False
        return True

    def _accept(self, c: Candidate, back: bool) -> RPeak:
        if self._last is not None:
            self._rr.append(c.sample - self._last.sample)
        self._last = c
        self._beat_heights.append(c.height_uv)
        self._passed = []
        return RPeak(SampleIndex(c.r_sample), c.amplitude_uv, back)
