"""How many beats of a minute are not normal."""

from __future__ import annotations

from collections import deque

from gateway.messages import Beat, BeatClass, RhythmEvent, RhythmKind, SampleIndex
from gateway.rhythm.rule import Fading

BURDEN_WINDOW_S = 60.0
BURDEN_ENDS_AT = 0.5  # of the limit; by chance alone 20 % of 70 beats vary by ± 5 points
MIN_BURDEN_BEATS = 20  # fewer labelled beats say nothing of a minute (20/min is below any rhythm)
MAX_BURDEN_BEATS = 300  # a minute at the 200 ms that the detector keeps between two beats


class AbnormalBurden(Fading):
    """The share of abnormal beats among the last minute's labelled ones."""

    def __init__(self, sample_rate_hz: int, limit_percent: float) -> None:
        super().__init__(RhythmKind.ABNORMAL_BURDEN, sample_rate_hz)
        self._limit_percent = limit_percent
        self._window = round(BURDEN_WINDOW_S * sample_rate_hz)
        self._beats: deque[tuple[SampleIndex, bool]] = deque(maxlen=MAX_BURDEN_BEATS)

    def push_beat(self, beat: Beat) -> None:
        if beat.label is not None:
            abnormal = beat.label.beat_class is not BeatClass.NORMAL
            self._beats.append((beat.r_sample, abnormal))

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        while self._beats and self._beats[0][0] < at - self._window:
            self._beats.popleft()
        return super().decide(at)

    def _burden_percent(self) -> float | None:
        if len(self._beats) < MIN_BURDEN_BEATS:
            return None
        return 100.0 * sum(abnormal for _, abnormal in self._beats) / len(self._beats)

    def _found(self) -> SampleIndex | None:
        burden = self._burden_percent()
        if burden is None or burden < self._limit_percent:
            return None
        return next(r_sample for r_sample, abnormal in self._beats if abnormal)

    def _recovered(self) -> bool:
        burden = self._burden_percent()
        return burden is not None and burden < self._limit_percent * BURDEN_ENDS_AT
