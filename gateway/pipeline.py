"""One session's stages in order: samples in, findings out.

No arithmetic on the signal and no input or output. Items are cut where a second can be judged and
where a rhythm rule's deadline lies; rhythm is decided there and nowhere else. What the stages know
at such a sample depends on the signal before it alone, so the findings do not depend on how the
signal was cut when it came. Beats are finished before the second that is judged at the same
sample, which is the order in which finer pieces would have brought them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.beat_classifier import BeatClassifier
from gateway.config import AlarmLimits
from gateway.dsp.beat_context import BeatContext
from gateway.dsp.beat_windows import BeatWindowCutter
from gateway.dsp.fibrillation import FibrillationMeter
from gateway.dsp.filters import BandPass
from gateway.dsp.notch import Notch, NotchMode
from gateway.dsp.pacing import PacingMeter
from gateway.dsp.quality import PEAK_DELAY_S, QualityMeter
from gateway.dsp.r_peaks import RPeakDetector
from gateway.dsp.rr_intervals import RRSeries
from gateway.messages import (
    Beat,
    BeatLabel,
    BeatWindow,
    Findings,
    Gap,
    Quality,
    RhythmEvent,
    RhythmKind,
    RPeak,
    SampleBlock,
    SampleIndex,
    VitalSigns,
)
from gateway.minutes import Minutes
from gateway.rhythm.analyser import RhythmAnalyser


@dataclass(slots=True)
class _Found:
    """What one push has found so far."""

    beats: list[Beat] = field(default_factory=list)
    vitals: list[VitalSigns] = field(default_factory=list)
    events: list[RhythmEvent] = field(default_factory=list)


class Pipeline:
    """Push the items of one session in order, each starting where the last one ended.

    A beat that the detector finds in time is given out when its window is complete and the signal
    around it is judged: 0.53 to 0.85 s after R. Its label is None where that signal is not fit, and
    in a paced rhythm.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        classifier: BeatClassifier,
        limits: AlarmLimits,
        notch_mode: NotchMode = NotchMode.OFF,
    ) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.classifier = classifier
        self.limits = limits
        self.notch_mode = notch_mode
        self._notch = Notch(sample_rate_hz, notch_mode)
        self._band_pass = BandPass(sample_rate_hz)
        self._detector = RPeakDetector(sample_rate_hz)
        self._rr = RRSeries(sample_rate_hz)
        self._cutter = BeatWindowCutter(sample_rate_hz)
        self._context = BeatContext()
        self._meter = QualityMeter(sample_rate_hz)
        self._fibrillation = FibrillationMeter(sample_rate_hz)
        self._pacing = PacingMeter(sample_rate_hz)
        self._rhythm = RhythmAnalyser(sample_rate_hz, limits)
        self._minutes = Minutes(sample_rate_hz)
        self._judgement_lag = round(PEAK_DELAY_S * sample_rate_hz)
        self._end: SampleIndex | None = None
        self._peaks: deque[RPeak] = deque()  # whose beat is not finished
        self._windows: deque[BeatWindow] = deque()  # that wait for the quality of their signal

    @property
    def end(self) -> SampleIndex | None:
        """One past the last sample that was pushed; None before the first."""
        return self._end

    @property
    def open_kinds(self) -> frozenset[RhythmKind]:
        """The rhythm findings that have begun and not ended."""
        return self._rhythm.open_kinds

    def change_limits(self, limits: AlarmLimits) -> None:
        """Judge by these from the next sample on; all else goes on as it was."""
        self.limits = limits
        self._rhythm.change_limits(limits)

    def push(self, item: SampleBlock | Gap) -> Findings:
        """The findings that this item completes."""
        if self._end is None and item.start > 0:
            self._rhythm.push_gap(Gap(SampleIndex(0), item.start))
        item = self._without_mains(item)
        filtered = self._filter(item)
        found = _Found()
        for start, end in self._cuts(item):
            self._take(_piece(item, start, end), _piece(filtered, start, end), found)
        blocks = (filtered,) if isinstance(filtered, SampleBlock) else ()
        minutes = self._minutes.push(found.beats, found.vitals)
        return Findings(
            blocks, tuple(found.beats), tuple(found.vitals), tuple(found.events), tuple(minutes)
        )

    def finish(self) -> Findings:
        """The last findings: the session is over, and what comes after it is unknown.

        Beats whose window is not whole have no label; open rhythm events end here.
        """
        if self._end is None:
            return Findings()
        peaks = self._detector.finish()
        self._take_peaks(peaks)
        unknown = Gap(self._end, self._judgement_lag)
        judged = self._meter.push(unknown, unknown, peaks, self._detector.take_doubtful())
        self._windows.extend(self._cutter.finish())
        beats = self._finish_beats(list(self._windows))
        self._windows.clear()
        vitals = [self._judge(quality) for quality in judged]
        events = self._rhythm.finish(self._end)
        minutes = [*self._minutes.push(beats, vitals), *self._minutes.finish()]
        return Findings((), tuple(beats), tuple(vitals), tuple(events), tuple(minutes))

    def _without_mains(self, item: SampleBlock | Gap) -> SampleBlock | Gap:
        if isinstance(item, Gap):
            self._notch.reset()
            return item
        return self._notch.push(item)

    def _filter(self, item: SampleBlock | Gap) -> SampleBlock | Gap:
        if isinstance(item, Gap):
            self._band_pass.reset()
            return item
        return self._band_pass.push(item)

    def _cuts(self, item: SampleBlock | Gap) -> Iterator[tuple[int, int]]:
        """(start, end) of the item's pieces; asked again after each, since deadlines move."""
        start: int = item.start
        while start < item.end:
            end = min(item.end, self._next_cut(start))
            yield start, end
            start = end

    def _next_cut(self, start: int) -> int:
        seconds = (start - self._judgement_lag) // self.sample_rate_hz + 1
        judgement = seconds * self.sample_rate_hz + self._judgement_lag
        deadline = self._rhythm.deadline
        return judgement if deadline is None or deadline <= start else min(judgement, deadline)

    def _take(self, item: SampleBlock | Gap, filtered: SampleBlock | Gap, found: _Found) -> None:
        deadline = self._rhythm.deadline
        if isinstance(item, SampleBlock) and item.lead_off:
            self._rr.push_unseen(item.start, item.end)
        peaks = self._detector.push(item)
        self._take_peaks(peaks)
        self._windows.extend(self._cutter.push(filtered))
        if isinstance(item, Gap):
            self._rr.push_gap(item)
            self._rhythm.push_gap(item)
        self._fibrillation.push(filtered)
        self._pacing.push(item)
        judged = self._meter.push(item, filtered, peaks, self._detector.take_doubtful())
        self._end = item.end
        found.beats += self._finish_beats(self._judged_windows())
        found.vitals += [self._judge(quality) for quality in judged]
        if judged or item.end == deadline:
            found.events += self._rhythm.decide(item.end)

    def _take_peaks(self, peaks: list[RPeak]) -> None:
        for peak in peaks:
            self._peaks.append(peak)
            self._cutter.add_peak(peak, self._rr.push_peak(peak))
            self._rhythm.push_peak(peak)

    def _judge(self, quality: Quality) -> VitalSigns:
        end = SampleIndex(quality.start + self.sample_rate_hz)
        rate = self._rr.heart_rate_bpm(end) if quality.rate_usable else None
        vitals = VitalSigns(quality.start, rate, quality)
        self._rhythm.push_second(vitals)
        self._rhythm.push_fibrillation(end, self._fibrillation.log_odds(end))
        return vitals

    def _judged_windows(self) -> list[BeatWindow]:
        """The waiting windows, from the oldest on, whose signal is judged."""
        ready = []
        while self._windows and self._meter.has_judged(self._windows[0].r_sample):
            ready.append(self._windows.popleft())
        return ready

    def _finish_beats(self, windows: list[BeatWindow]) -> list[Beat]:
        """Label what may be labelled, all in one call, and join each with its peak."""
        placed = [
            self._context.push(window, self._meter.is_fit(window.r_sample)) for window in windows
        ]
        fit = [beat for beat in placed if beat is not None]
        labels = self.classifier.classify(fit) if fit else []
        label_of = {beat.r_sample: label for beat, label in zip(fit, labels, strict=True)}
        beats = [self._join(window, label_of.get(window.r_sample)) for window in windows]
        for beat in beats:
            self._rhythm.push_beat(beat)
        return beats

    def _join(self, window: BeatWindow, label: BeatLabel | None) -> Beat:
        peak = self._peaks.popleft()
        assert peak.sample == window.r_sample, "windows come in the order of their peaks"
        label = None if self._is_paced(peak) else label
        return Beat(peak.sample, peak.amplitude_uv, window.rr_ms, peak.searched_back, label)

    def _is_paced(self, peak: RPeak) -> bool:
        """Whether a pacemaker makes the rhythm, this beat included."""
        has_spike = None if peak.searched_back else self._pacing.has_spike(peak.sample)
        if has_spike is not None:
            self._rhythm.push_spike(peak.sample, has_spike)
        return self._rhythm.is_paced


def _piece(item: SampleBlock | Gap, start: int, end: int) -> SampleBlock | Gap:
    """The item's samples from `start` to `end`."""
    if isinstance(item, Gap):
        return Gap(SampleIndex(start), end - start, item.reason)
    return SampleBlock(
        SampleIndex(start),
        item.sample_rate_hz,
        item.amplitude_uv[start - item.start : end - item.start],
        item.lead_off,
        item.clipped,
    )
