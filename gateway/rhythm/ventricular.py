"""Ventricular beats in a row: couplets, runs, idioventricular rhythm, tachycardia."""

from __future__ import annotations

from abc import abstractmethod

from gateway.messages import Beat, BeatClass, RhythmEvent, RhythmKind, SampleIndex
from gateway.rhythm.rule import Noting
from gateway.rhythm.ventricular_run import Run, RunTracker

COUPLET_BEATS = 2
RUN_BEATS = 3  # ANSI/AAMI EC57: three and more in a row are a run
TACHYCARDIA_BEATS = 5  # PhysioNet/CinC Challenge 2015: five beats above 100 bpm
FAST_BPM = 100.0
RECOVERED_BEATS = 3  # one beat that the classifier takes for normal ends no tachycardia
ASK_AGAIN_S = 0.1  # a lethal run is told within 1 s of its last beat; the label takes most of it


class VentricularTachycardia(Noting):
    """Five ventricular beats in a row above 100 bpm.

    It ends with three known beats in a row that are normal or slow; a signal that is lost proves
    no recovery. Beats without a label make none and end none.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.VENTRICULAR_TACHYCARDIA, sample_rate_hz)
        self._tracker = RunTracker(sample_rate_hz)
        self._recovered: list[SampleIndex] = []
        self._ask_again: SampleIndex | None = None

    @property
    def deadline(self) -> SampleIndex | None:
        return self._ask_again

    def decide(self, at: SampleIndex) -> list[RhythmEvent]:
        events = super().decide(at)
        run = self._tracker.run
        near = run is not None and run.length >= COUPLET_BEATS and not self._holds
        self._ask_again = SampleIndex(at + self._samples(ASK_AGAIN_S)) if near else None
        return events

    def push_beat(self, beat: Beat) -> None:
        self._tracker.push(beat)
        run = self._tracker.run
        if self._holds:
            self._look_for_recovery(beat)
        elif run is not None and is_tachycardia(run, self._sample_rate_hz):
            self._note_begin(run.last(TACHYCARDIA_BEATS).finding)
            self._recovered = []

    def _look_for_recovery(self, beat: Beat) -> None:
        if beat.label is None or beat.rr_ms is None:
            return
        fast = beat.rr_ms < 60_000.0 / FAST_BPM
        if fast and beat.label.beat_class is BeatClass.VENTRICULAR:
            self._recovered = []
            return
        self._recovered.append(beat.r_sample)
        if len(self._recovered) == RECOVERED_BEATS:
            self._note_end(self._recovered[0])


class RunRule(Noting):
    """A finding that is made when a run is over, and names the whole of it."""

    def __init__(self, kind: RhythmKind, sample_rate_hz: int) -> None:
        super().__init__(kind, sample_rate_hz)
        self._tracker = RunTracker(sample_rate_hz)

    def push_beat(self, beat: Beat) -> None:
        run = self._tracker.push(beat)
        if run is not None and not run.has_unknown and self._is_one(run):
            self._note(run.finding, run.end)

    @abstractmethod
    def _is_one(self, run: Run) -> bool:
        """Whether a run, of which every beat is known, is this rule's."""


class Couplet(RunRule):
    """Two ventricular beats in a row."""

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.COUPLET, sample_rate_hz)

    def _is_one(self, run: Run) -> bool:
        return run.length == COUPLET_BEATS


class VentricularRun(RunRule):
    """Three or four ventricular beats in a row above 100 bpm."""

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.VENTRICULAR_RUN, sample_rate_hz)

    def _is_one(self, run: Run) -> bool:
        fast = run.length > 1 and run.rate_bpm(self._sample_rate_hz) > FAST_BPM
        return RUN_BEATS <= run.length < TACHYCARDIA_BEATS and fast


class IdioventricularRhythm(Noting):
    """Three ventricular beats in a row and more, not above 100 bpm; open as long as they go on."""

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__(RhythmKind.IDIOVENTRICULAR_RHYTHM, sample_rate_hz)
        self._tracker = RunTracker(sample_rate_hz)

    def push_beat(self, beat: Beat) -> None:
        before = self._tracker.run
        ended = self._tracker.push(beat)
        if self._holds and ended is not None:
            self._note_end(ended.end)
        run = self._tracker.run
        if not self._holds and run is not None and run is not before and self._is_slow(run):
            self._note_begin(run.last(RUN_BEATS).finding)

    def _is_slow(self, run: Run) -> bool:
        if run.length < RUN_BEATS:
            return False
        return run.last(RUN_BEATS).rate_bpm(self._sample_rate_hz) <= FAST_BPM


def is_tachycardia(run: Run, sample_rate_hz: int) -> bool:
    if run.length < TACHYCARDIA_BEATS:
        return False
    return run.last(TACHYCARDIA_BEATS).rate_bpm(sample_rate_hz) > FAST_BPM
