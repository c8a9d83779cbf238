"""Signal quality, once a second.

The index is the worst of the scores of `quality_measures`; a reason is given below 0.5. The two
gates are not alike: heart rate and labels need a clean signal, lethal alarms only a real one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.dsp import quality_measures as measures
from gateway.dsp.signal_history import SignalHistory
from gateway.dsp.spectrum import SEGMENT_S, welch_psd
from gateway.messages import Gap, Quality, QualityReason, RPeak, SampleBlock, SampleIndex

PEAK_DELAY_S = 0.300  # a second is judged when its last R peak is known
STRETCH_S = 4.0  # what the measures look at: three beats at 45 bpm
HISTORY_S = 6.0  # the stretch, the second that waits for its peaks, and their delay
RECENT_BEATS = 8  # as many as the heart rate's mean
RECENT_S = 8.0  # ... and no older than eight at 60 bpm
BEAT_BEFORE_S, BEAT_AFTER_S = 0.100, 0.160  # the QRS and what follows it
REASON_BELOW = 0.5
HOLD_SECONDS = 4  # noise spoils the intervals of the rate's mean for a while after it is over
HELD_REASONS = (
    QualityReason.MAINS,
    QualityReason.MUSCLE,
    QualityReason.BASELINE_WANDER,
    QualityReason.TEMPLATE_MISMATCH,
)
LETHAL_REASONS = frozenset({QualityReason.GAP, QualityReason.LEAD_OFF, QualityReason.CLIPPED})


class QualityMeter:
    """Judges each second of the axis (second k is samples k·rate … (k+1)·rate − 1).

    Push each item raw and filtered with the peaks it brought. Searched-back peaks come at no
    fixed delay and are left out, so that chunking cannot change the answer.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._raw = SignalHistory()
        self._filtered = SignalHistory()
        self._flagged: deque[tuple[int, int, QualityReason]] = deque()
        self._peaks: deque[int] = deque()
        self._beats: deque[tuple[int, NDArray[np.float64]]] = deque(maxlen=RECENT_BEATS)
        self._recent: deque[dict[QualityReason, float]] = deque(maxlen=HOLD_SECONDS)
        self._second: int | None = None
        self._end = 0

    def push(
        self, raw: SampleBlock | Gap, filtered: SampleBlock | Gap, peaks: Sequence[RPeak]
    ) -> list[Quality]:
        """The seconds that can be judged with this item."""
        if self._second is None:
            self._second = raw.start // self._rate
            if raw.start % self._rate:
                self._flagged.append((0, raw.start, QualityReason.GAP))
        self._flagged.extend(_flags(raw))
        if isinstance(raw, SampleBlock) and isinstance(filtered, SampleBlock):
            self._raw.append(raw)
            self._filtered.append(filtered)
        self._peaks.extend(peak.sample for peak in peaks if not peak.searched_back)
        self._end = raw.end
        judged = list(self._judge_known())
        for history in (self._raw, self._filtered):
            history.forget(self._end - round(HISTORY_S * self._rate))
        return judged

    def _judge_known(self) -> Iterator[Quality]:
        assert self._second is not None
        lag = round(PEAK_DELAY_S * self._rate)
        while (self._second + 1) * self._rate + lag <= self._end:
            yield self._judge(self._second * self._rate)
            self._second += 1

    def _judge(self, start: int) -> Quality:
        end = start + self._rate
        reasons = {why for first, past, why in self._flagged if first < end and past > start}
        self._flagged = deque(flag for flag in self._flagged if flag[1] > end)
        self._take_beats(end)
        if QualityReason.GAP in reasons:
            self._beats.clear()
            self._recent.clear()
            return _quality(start, dict.fromkeys(reasons, 0.0))
        scores = self._measure(end)
        held = self._held(scores)
        self._recent.append(scores)
        return _quality(start, scores | held | dict.fromkeys(reasons, 0.0))

    def _held(self, scores: dict[QualityReason, float]) -> dict[QualityReason, float]:
        """The worst of this second and the last few."""
        return {
            reason: min(recent.get(reason, 1.0) for recent in (*self._recent, scores))
            for reason in HELD_REASONS
        }

    def _take_beats(self, end: int) -> None:
        """The shapes of the beats up to `end` whose signal is unbroken."""
        before, after = round(BEAT_BEFORE_S * self._rate), round(BEAT_AFTER_S * self._rate)
        while self._peaks and self._peaks[0] < end:
            peak = self._peaks.popleft()
            found = self._filtered.run_with(peak)
            if found and found[0] <= peak - before and peak + after < found[0] + found[1].size:
                at = peak - found[0]
                self._beats.append((peak, found[1][at - before : at + after]))

    def _measure(self, end: int) -> dict[QualityReason, float]:
        raw, filtered = self._stretch(self._raw, end), self._stretch(self._filtered, end)
        recent = [(r, shape) for r, shape in self._beats if r >= end - RECENT_S * self._rate]
        peaks = [r for r, _ in recent]
        in_stretch = [r - end + filtered.size for r in peaks]
        scores = {
            QualityReason.FLAT: measures.flatness(filtered),
            QualityReason.CLIPPED: measures.clipping(raw[-self._rate :], self._rate),
            QualityReason.IMPLAUSIBLE_RATE: measures.rate(np.diff(peaks) / self._rate),
            QualityReason.TEMPLATE_MISMATCH: measures.likeness([shape for _, shape in recent]),
            QualityReason.MUSCLE: measures.calm_between(filtered, in_stretch, self._rate),
        }
        if raw.size >= SEGMENT_S * self._rate:
            spectrum = welch_psd(raw, self._rate)
            muscle = measures.muscle(spectrum)
            scores[QualityReason.MUSCLE] = min(scores[QualityReason.MUSCLE], muscle)
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


def _quality(start: int, scores: dict[QualityReason, float]) -> Quality:
    reasons = frozenset(reason for reason, score in scores.items() if score < REASON_BELOW)
    return Quality(
        start=SampleIndex(start),
        index=min(scores.values(), default=1.0),
        reasons=reasons,
        rate_usable=not reasons,
        lethal_usable=not reasons & LETHAL_REASONS,
    )
