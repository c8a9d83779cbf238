"""Signal quality: published once a second, and judged in between for each beat.

The index is the worst of the scores of `quality_measures`; a reason is given below 0.5. The gates
are not alike: heart rate and labels need a clean signal, lethal alarms only a real one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.dsp import quality_measures as measures
from gateway.dsp.quality_beats import RecentBeats
from gateway.dsp.signal_history import SignalHistory
from gateway.dsp.spectrum import SEGMENT_S, welch_psd
from gateway.messages import Gap, Quality, QualityReason, RPeak, SampleBlock, SampleIndex

PEAK_DELAY_S = 0.300  # a stretch is judged when its last R peak is known
HOPS_PER_SECOND = 4
BEAT_SEEN_S = 0.550  # after R a beat's own signal is over; with the peaks' delay, 0.85 s
REMEMBERED_HOPS = 16 * HOPS_PER_SECOND  # a beat that search-back found lies no further back
STRETCH_S = 4.0  # what the measures look at: three beats at 45 bpm
HISTORY_S = 6.0  # the stretch, the hop that waits for its peaks, and their delay
REASON_BELOW = 0.5
HOLD_SECONDS = 3  # noise spoils the intervals of the rate's mean for a while after it is over
HELD_REASONS = (
    QualityReason.MAINS,
    QualityReason.MUSCLE,
    QualityReason.BASELINE_WANDER,
    QualityReason.TEMPLATE_MISMATCH,
)
LABEL_BELOW = 0.25  # a label rests on one beat, a rate on eight intervals: it stands more noise
RATE_ONLY = frozenset(
    {
        QualityReason.ELECTRODE_MOTION,
        QualityReason.IMPLAUSIBLE_RATE,
        QualityReason.DETECTOR_DISAGREEMENT,
    }
)
LETHAL_REASONS = frozenset({QualityReason.GAP, QualityReason.LEAD_OFF, QualityReason.CLIPPED})
Scores = dict[QualityReason, float]


class QualityMeter:
    """Judges each second of the axis (second k is samples k·rate … (k+1)·rate − 1), and each
    beat by the last hop that ends up to 0.55 s after R (hops end at whole quarters of a second).

    Push each item raw and filtered with the peaks it brought, and what the detector passed over
    in doubt. Searched-back peaks come at no fixed delay and are left out, so that chunking cannot
    change the answer.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._raw = SignalHistory()
        self._filtered = SignalHistory()
        self._flagged: deque[tuple[int, int, QualityReason]] = deque()
        self._peaks: deque[int] = deque()
        self._doubtful: deque[int] = deque()
        self._beats = RecentBeats(sample_rate_hz)
        self._recent: deque[Scores] = deque(maxlen=HOLD_SECONDS * HOPS_PER_SECOND)
        self._steady: Scores = {}  # what is measured each second, of the last whole one
        self._fit: deque[bool] = deque(maxlen=REMEMBERED_HOPS)  # the hops before the next
        self._hop: int | None = None  # the next to be judged, by its end
        self._end = 0

    def push(
        self,
        raw: SampleBlock | Gap,
        filtered: SampleBlock | Gap,
        peaks: Sequence[RPeak],
        doubtful: Sequence[SampleIndex],
    ) -> list[Quality]:
        """The seconds that can be judged with this item."""
        if self._hop is None:
            self._hop = raw.start * HOPS_PER_SECOND // self._rate + 1
            if raw.start % self._rate:
                self._flagged.append((0, raw.start, QualityReason.GAP))
        self._flagged.extend(_flags(raw))
        if isinstance(raw, SampleBlock) and isinstance(filtered, SampleBlock):
            self._raw.append(raw)
            self._filtered.append(filtered)
        self._peaks.extend(peak.sample for peak in peaks if not peak.searched_back)
        self._doubtful.extend(doubtful)
        self._end = raw.end
        judged = list(self._judge_known())
        for history in (self._raw, self._filtered):
            history.forget(self._end - round(HISTORY_S * self._rate))
        return judged

    def has_judged(self, r_sample: int) -> bool:
        """Whether the signal around this beat is judged."""
        return self._hop is not None and self._hop_of(r_sample) < self._hop

    def is_fit(self, r_sample: int) -> bool:
        """Whether this beat may have a label; False where it is not judged, or too long ago."""
        if self._hop is None:
            return False
        hops_ago = self._hop - self._hop_of(r_sample)
        return 1 <= hops_ago <= len(self._fit) and self._fit[-hops_ago]

    def _hop_of(self, r_sample: int) -> int:
        seen = r_sample + round(BEAT_SEEN_S * self._rate)
        return (HOPS_PER_SECOND * (seen + 1) - 1) // self._rate  # the last that ends by then

    def _judge_known(self) -> Iterator[Quality]:
        assert self._hop is not None
        known = self._end - round(PEAK_DELAY_S * self._rate)
        while (end := self._hop * self._rate // HOPS_PER_SECOND) <= known:
            flags, scores = self._judge(end)
            self._fit.append(not flags and all(map(_lets_label, scores.items())))
            if self._hop % HOPS_PER_SECOND == 0:
                yield _quality(end - self._rate, scores | self._held() | flags)
            self._hop += 1

    def _judge(self, end: int) -> tuple[Scores, Scores]:
        """What the items said of the second before `end`, and what the signal says."""
        start = end - self._rate
        self._flagged = deque(flag for flag in self._flagged if flag[1] > start)
        flags = {why: 0.0 for first, _, why in self._flagged if first < end}
        self._take_beats(end)
        if QualityReason.GAP in flags:
            self._beats.clear()
            self._recent.clear()
            self._steady = {}
            return flags, {}
        scores = self._measure(end)
        self._recent.append(scores)
        return flags, scores

    def _held(self) -> Scores:
        """The worst of the last seconds."""
        return {
            reason: min((recent.get(reason, 1.0) for recent in self._recent), default=1.0)
            for reason in HELD_REASONS
        }

    def _take_beats(self, end: int) -> None:
        while self._peaks and self._peaks[0] < end:
            peak = self._peaks.popleft()
            if found := self._filtered.run_with(peak):
                self._beats.add(peak, *found)
        while self._doubtful and self._doubtful[0] < end:
            self._beats.add_doubtful(self._doubtful.popleft())

    def _measure(self, end: int) -> Scores:
        if end % self._rate == 0:
            self._steady = self._measure_second(end)
        scores = self._steady | self._beats.scores(end)
        scores[QualityReason.MUSCLE] = min(
            each.get(QualityReason.MUSCLE, 1.0) for each in (self._steady, scores)
        )
        scores[QualityReason.FLAT] = measures.flatness(self._stretch(self._filtered, end))
        scores[QualityReason.IMPLAUSIBLE_RATE] = measures.rate(self._beats.intervals_s)
        return scores

    def _measure_second(self, end: int) -> Scores:
        raw = self._stretch(self._raw, end)
        scores = {QualityReason.CLIPPED: measures.clipping(raw[-self._rate :], self._rate)}
        if raw.size >= SEGMENT_S * self._rate:
            spectrum = welch_psd(raw, self._rate)
            scores[QualityReason.MUSCLE] = measures.muscle(spectrum)
            scores[QualityReason.MAINS] = measures.mains(spectrum)
            scores[QualityReason.BASELINE_WANDER] = measures.baseline(spectrum)
        return scores

    def _stretch(self, history: SignalHistory, end: int) -> NDArray[np.float64]:
        """The unbroken signal of up to `STRETCH_S` before `end`."""
        found = history.run_with(end - 1)
        assert found is not None, "a second without a gap has its samples"
        start, run = found
        return run[max(0, end - start - round(STRETCH_S * self._rate)) : end - start]


def _flags(item: SampleBlock | Gap) -> Iterator[tuple[int, int, QualityReason]]:
    """What the item itself says: start, one past the end, reason."""
    if isinstance(item, Gap):
        yield item.start, item.end, QualityReason.GAP
        return
    if item.lead_off:
        yield item.start, item.end, QualityReason.LEAD_OFF
    if item.clipped:
        yield item.start, item.end, QualityReason.CLIPPED


def _lets_label(score: tuple[QualityReason, float]) -> bool:
    reason, value = score
    return reason in RATE_ONLY or value >= LABEL_BELOW


def _quality(start: int, scores: Scores) -> Quality:
    reasons = frozenset(reason for reason, score in scores.items() if score < REASON_BELOW)
    return Quality(
        start=SampleIndex(start),
        index=min(scores.values(), default=1.0),
        reasons=reasons,
        rate_usable=not reasons,
        lethal_usable=not reasons & LETHAL_REASONS,
    )
