"""Findings → one summary for each minute of a session. Pure; a checkpoint keeps it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.dsp.variability import VARIABILITY_S, NormalIntervals, rmssd_ms, variability
from gateway.messages import (
    UNLABELLED,
    Beat,
    BeatClass,
    Minute,
    QualityReason,
    SampleIndex,
    VitalSigns,
)

MINUTE_S = 60
SETTLE_S = 10  # beats, also those that search-back finds, are finished by then


class Minutes:
    """Counts a session's beats and seconds by minute; `push` gives each minute once, closed."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._samples = MINUTE_S * sample_rate_hz
        self._settle = SETTLE_S * sample_rate_hz
        self._beats: list[tuple[int, BeatClass | None]] = []
        self._seconds: list[VitalSigns] = []
        self._normal = NormalIntervals(sample_rate_hz)
        self._open: int | None = None

    def push(self, beats: Sequence[Beat], seconds: Sequence[VitalSigns]) -> list[Minute]:
        """Take the next beats and seconds; give the minutes that they close."""
        self._beats += [
            (beat.r_sample, None if beat.label is None else beat.label.beat_class) for beat in beats
        ]
        self._normal.push(beats)
        self._seconds += seconds
        if self._open is None and self._seconds:
            self._open = self._seconds[0].start // self._samples
        closed = []
        while self._seconds and self._is_settled(self._seconds[-1].start):
            closed.append(self._close())
        return closed

    def finish(self) -> list[Minute]:
        """The session is over: its last, shorter minutes."""
        closed = []
        while self._beats or self._seconds:
            closed.append(self._close())
        return closed

    def _is_settled(self, now: int) -> bool:
        assert self._open is not None
        return now >= (self._open + 1) * self._samples + self._settle

    def _close(self) -> Minute:
        if self._open is None:
            self._open = self._beats[0][0] // self._samples
        start, end = self._open * self._samples, (self._open + 1) * self._samples
        beats = [beat_class for r_sample, beat_class in self._beats if r_sample < end]
        seconds = [second for second in self._seconds if second.start < end]
        self._beats = [beat for beat in self._beats if beat[0] >= end]
        self._seconds = self._seconds[len(seconds) :]
        self._open += 1
        return self._summarise(SampleIndex(start), SampleIndex(end), beats, seconds)

    def _summarise(
        self,
        start: SampleIndex,
        end: SampleIndex,
        beats: list[BeatClass | None],
        seconds: list[VitalSigns],
    ) -> Minute:
        rate = self._sample_rate_hz
        by_class = {str(c): beats.count(c) for c in BeatClass} | {UNLABELLED: beats.count(None)}
        rates = [s.heart_rate_bpm for s in seconds if s.heart_rate_bpm is not None]
        five_minutes_before = SampleIndex(end - VARIABILITY_S * rate)
        return Minute(
            start,
            beats=len(beats),
            abnormal_beats=sum(beats.count(c) for c in BeatClass if c is not BeatClass.NORMAL),
            heart_rate_min_bpm=min(rates, default=None),
            heart_rate_mean_bpm=sum(rates) / len(rates) if rates else None,
            heart_rate_max_bpm=max(rates, default=None),
            usable_s=sum(second.quality.rate_usable for second in seconds),
            gap_s=sum(QualityReason.GAP in second.quality.reasons for second in seconds),
            rmssd_ms=rmssd_ms(self._normal.between(start, end), rate, MINUTE_S),
            variability=variability(self._normal.between(five_minutes_before, end), rate),
            beats_by_class=by_class,
            quality=sum(s.quality.index for s in seconds) / len(seconds) if seconds else None,
            lead_off_s=sum(QualityReason.LEAD_OFF in s.quality.reasons for s in seconds),
        )
