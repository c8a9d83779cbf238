"""Streaming R-peak detection, decided within 300 ms of the peak.

Phases for each candidate (a maximum of the QRS envelope, `qrs_candidates`): learning →
search-back → refractory period → T-wave test → threshold → update of the levels. The rules are
those of Pan & Tompkins (1985) with the medians of Hamilton & Tompkins (1986), and a beat must
also stand over the muscle noise around it; constants were tuned on DS1.
"""

from __future__ import annotations

from collections import deque
from statistics import median, median_low

from gateway.dsp.qrs_candidates import Candidate, CandidateFinder
from gateway.messages import Gap, RPeak, SampleBlock, SampleIndex

REFRACTORY_S = 0.200  # no second QRS within 200 ms (Pan & Tompkins 1985)
T_WAVE_S = 0.360  # what follows a QRS within 360 ms may be its T wave (Pan & Tompkins 1985)
T_WAVE_SLOPE = 0.5  # ... and is, if less than half as steep (Pan & Tompkins 1985)
LEVEL_BEATS = 8  # medians over eight beats (Hamilton & Tompkins 1986)
LEVEL_NOISES = 16  # ... and about as long a time of what lies between them
MIN_BEAT_UV = 20.0  # envelope of a 0.14 mV QRS; IEC 60601-2-27 wants 0.15 mV left uncounted
THRESHOLD = 0.19  # share of the way from noise to beat level (Hamilton & Tompkins 0.18 to 0.31)
NOISE_CAP = 0.5  # noise is never believed to stand higher than half a beat
OVER_MUSCLE = 2.0  # a beat stands higher than muscle noise does for a moment; best on DS1
MUSCLE_CAP = 0.8  # ... unless it reaches this share of the usual beat
DOUBTFUL = 0.9  # of what is needed: a little other noise, and it would have been a beat
ARTEFACT_RISE = 3.0  # one beat counts as at most three times the others: artefacts do not deafen
MISSING_INTERVALS = 1.66  # a beat is missing after 166 % of the usual RR (Pan & Tompkins 1985)
SEARCH_BACK = 0.5  # ... and is looked for at half of what is needed (Pan & Tompkins 1985)
USUAL_RR_S = 0.8  # 75 bpm, until intervals are known
LEARNING_S = 2.0  # as Pan & Tompkins (1985); holds at least one beat above 30 bpm
LEARNING_SHARE = 0.4  # beats are those of the stretch's maxima that reach this share of the highest
SILENCE_S = 4.0  # after this the levels are learnt anew: asystole, or a far smaller signal


class RPeakDetector:
    """Finds R peaks in raw signal; a Gap ends a run, and what was learnt outlasts it.

    A peak that was missed at first and found by search-back or learning is flagged; it comes at
    most `SILENCE_S` and the decision's 300 ms after R.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._finder: CandidateFinder | None = None
        self._run_start = 0
        self._last: Candidate | None = None  # the last beat of this run
        self._passed: list[Candidate] = []  # since then, not taken, at most SILENCE_S old
        self._beat_heights: deque[float] = deque(maxlen=LEVEL_BEATS)
        self._noise_heights: deque[float] = deque(maxlen=LEVEL_NOISES)
        self._intervals: deque[int] = deque(maxlen=LEVEL_BEATS)
        self._doubtful: list[SampleIndex] = []

    def push(self, item: SampleBlock | Gap) -> list[RPeak]:
        """The peaks that this item settles, in order."""
        if isinstance(item, Gap):
            return self.finish()
        if self._finder is None:
            self._finder = CandidateFinder(self._rate, item.start)
            self._run_start = item.start
        return self._decide_all(self._finder.push(item.amplitude_uv))

    def take_doubtful(self) -> list[SampleIndex]:
        """R of what the items since the last call passed over though it came near to a beat."""
        doubtful, self._doubtful = self._doubtful, []
        return doubtful

    def finish(self) -> list[RPeak]:
        """The peaks that still waited for later signal, which will not come."""
        if self._finder is None:
            return []
        peaks = self._decide_all(self._finder.finish())
        self._finder = None
        self._last = None
        self._passed.clear()
        return peaks

    def _decide_all(self, candidates: list[Candidate]) -> list[RPeak]:
        return [peak for candidate in candidates for peak in self._decide(candidate)]

    def _decide(self, candidate: Candidate) -> list[RPeak]:
        found = self._learn(candidate) or self._search_back(candidate)
        peaks = [self._accept(beat, searched_back=True) for beat in found if self._is_apart(beat)]
        if self._is_beat(candidate):
            peaks.append(self._accept(candidate, searched_back=False))
        else:
            self._pass(candidate)
        return peaks

    def _learn(self, candidate: Candidate) -> list[Candidate]:
        """Beats of the last two seconds, where no level is known or the known one finds none."""
        start = self._run_start if self._last is None else self._last.sample
        patience_s = LEARNING_S if self._last is None else SILENCE_S
        if candidate.sample - start < patience_s * self._rate:
            return []
        since = candidate.sample - LEARNING_S * self._rate
        recent = [passed for passed in self._likely_passed() if passed.sample >= since]
        if not recent:
            return []
        highest = max(passed.height_uv for passed in recent)
        self._beat_heights.clear()
        self._noise_heights.clear()
        return [passed for passed in recent if passed.height_uv >= LEARNING_SHARE * highest]

    def _search_back(self, candidate: Candidate) -> list[Candidate]:
        """The likeliest of the candidates passed over where a beat should have been."""
        if self._last is None:
            return []
        if candidate.sample - self._last.sample <= MISSING_INTERVALS * self._usual_interval():
            return []
        first = self._last.sample + T_WAVE_S * self._rate
        last = candidate.sample - REFRACTORY_S * self._rate
        missed = [passed for passed in self._likely_passed() if first <= passed.sample <= last]
        likeliest = max(missed, key=lambda passed: passed.height_uv, default=None)
        if likeliest is None or likeliest.height_uv < SEARCH_BACK * self._needed_uv(likeliest):
            return []
        return [likeliest]

    def _likely_passed(self) -> list[Candidate]:
        return [passed for passed in self._passed if passed.height_uv >= MIN_BEAT_UV]

    def _is_beat(self, candidate: Candidate) -> bool:
        if not self._beat_heights or not self._is_apart(candidate):
            return False
        share = candidate.height_uv / self._needed_uv(candidate)
        if DOUBTFUL <= share < 1.0:
            self._doubtful.append(SampleIndex(candidate.r_sample))
        return share >= 1.0

    def _is_apart(self, candidate: Candidate) -> bool:
        """Whether it is more than the last beat's echo."""
        return not self._is_refractory(candidate) and not self._is_t_wave(candidate)

    def _is_refractory(self, candidate: Candidate) -> bool:
        last = self._last
        return last is not None and candidate.sample - last.sample < REFRACTORY_S * self._rate

    def _is_t_wave(self, candidate: Candidate) -> bool:
        last = self._last
        return (
            last is not None
            and candidate.sample - last.sample < T_WAVE_S * self._rate
            and candidate.slope_uv < T_WAVE_SLOPE * last.slope_uv
        )

    def _needed_uv(self, candidate: Candidate) -> float:
        """How high a beat stands: over the threshold, and over the muscle noise around it."""
        beat = median_low(self._beat_heights)
        noise = min(median(self._noise_heights or [0.0]), NOISE_CAP * beat)
        threshold = noise + THRESHOLD * (beat - noise)
        over_muscle = min(OVER_MUSCLE * candidate.muscle_uv, MUSCLE_CAP * beat)
        return max(MIN_BEAT_UV, threshold, over_muscle)

    def _usual_interval(self) -> float:
        return median(self._intervals or [USUAL_RR_S * self._rate])

    def _accept(self, beat: Candidate, searched_back: bool) -> RPeak:
        if self._last is not None:
            self._intervals.append(beat.sample - self._last.sample)
        height = beat.height_uv
        if self._beat_heights:
            height = min(height, ARTEFACT_RISE * median(self._beat_heights))
        self._beat_heights.append(height)
        self._last = beat
        self._passed = [passed for passed in self._passed if passed.sample > beat.sample]
        return RPeak(SampleIndex(beat.r_sample), beat.amplitude_uv, searched_back)

    def _pass(self, candidate: Candidate) -> None:
        oldest = candidate.sample - SILENCE_S * self._rate
        self._passed = [passed for passed in self._passed if passed.sample >= oldest]
        self._passed.append(candidate)
        if not self._is_refractory(candidate):
            self._noise_heights.append(candidate.height_uv)
