"""Ventricular beats in a row, as the rules for couplets, runs and tachycardia see them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.messages import Beat, BeatClass, SampleIndex
from gateway.rhythm.rule import Finding

KEPT_BEATS = 32  # of a run that goes on: more than any criterion asks for
MAX_UNKNOWN_S = 4.0  # a run of which nothing has been known for so long is over
UNKNOWN_CONFIDENCE = 0.5  # of a beat without a label


@dataclass(frozen=True, slots=True)
class Run:
    """The newest beats of a run, from a ventricular one to a ventricular one.

    `length` counts the ventricular beats, `onset` is the first one's, both of the whole run.
    """

    onset: SampleIndex
    length: int
    beats: tuple[Beat, ...]

    @property
    def end(self) -> SampleIndex:
        return self.beats[-1].r_sample

    @property
    def has_unknown(self) -> bool:
        return any(beat.label is None for beat in self.beats)

    def last(self, count: int) -> Run:
        """The part of it that ends with its last `count` ventricular beats."""
        known = [place for place, beat in enumerate(self.beats) if beat.label is not None]
        return Run(self.onset, self.length, self.beats[known[-count] :])

    def rate_bpm(self, sample_rate_hz: int) -> float:
        """Mean rate of the kept beats, two at least."""
        span_s = (self.end - self.beats[0].r_sample) / sample_rate_hz
        return 60.0 * (len(self.beats) - 1) / span_s

    @property
    def finding(self) -> Finding:
        sure = [
            UNKNOWN_CONFIDENCE if beat.label is None else beat.label.p_abnormal
            for beat in self.beats
        ]
        return Finding(self.onset, [b.r_sample for b in self.beats], sum(sure) / len(sure))


class RunTracker:
    """Follows the runs of one session.

    A beat without a label neither counts nor ends a run: it may be either. What ends one is a
    beat that is known to be no ventricular one, a gap, and four seconds without a known beat.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._max_unknown = round(MAX_UNKNOWN_S * sample_rate_hz)
        self._unknown: list[Beat] = []  # behind the last ventricular beat
        self.run: Run | None = None

    def push(self, beat: Beat) -> Run | None:
        """Take the next beat; gives the run that it ends."""
        ended = None
        if beat.rr_ms is None or self._is_lost(beat):
            ended = self._close()
        if beat.label is None:
            if self.run is not None:
                self._unknown.append(beat)
        elif beat.label.beat_class is BeatClass.VENTRICULAR:
            self._extend(beat)
        else:
            ended = self._close() or ended
        return ended

    def _is_lost(self, beat: Beat) -> bool:
        return self.run is not None and beat.r_sample - self.run.end > self._max_unknown

    def _extend(self, beat: Beat) -> None:
        if self.run is None:
            self.run = Run(beat.r_sample, 1, (beat,))
        else:
            beats = (*self.run.beats, *self._unknown, beat)[-KEPT_BEATS:]
            self.run = Run(self.run.onset, self.run.length + 1, beats)
        self._unknown.clear()

    def _close(self) -> Run | None:
        ended, self.run = self.run, None
        self._unknown.clear()
        return ended
