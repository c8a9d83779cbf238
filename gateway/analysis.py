"""A session's pipeline at the live edge: when it begins, starts anew, and can be saved.

The same steps, given again, bring the same findings: live, replayed from the journal after a
restart, or from a recording.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway import checkpoint
from gateway.beat_classifier import BeatClassifier
from gateway.config import AlarmLimits
from gateway.dsp.notch import NotchMode
from gateway.messages import SAMPLES_PER_FRAME, Findings, Gap, RhythmKind, SampleBlock
from gateway.pipeline import Pipeline

MAX_BRIDGED_GAP_S = 60  # across a longer gap no stage remembers anything of use: it starts anew


class LiveAnalysis:
    """Findings of one session, item by item along its axis."""

    def __init__(
        self,
        sample_rate_hz: int,
        classifier: BeatClassifier,
        limits: AlarmLimits,
        notch_mode: NotchMode = NotchMode.OFF,
    ) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._classifier = classifier
        self._limits = limits
        self._notch_mode = notch_mode
        self._pipeline = self._new_pipeline()
        self._end: int | None = None
        self._unsaved_samples = 0

    @property
    def next_sequence(self) -> int | None:
        """The sequence of the frame that comes next; None before the first item."""
        return None if self._end is None else self._end // SAMPLES_PER_FRAME

    @property
    def open_kinds(self) -> frozenset[RhythmKind]:
        """The rhythm findings that have begun and not ended."""
        return self._pipeline.open_kinds

    @property
    def unsaved_s(self) -> float:
        """Seconds of signal since the state was last saved."""
        return self._unsaved_samples / self._sample_rate_hz

    def change_limits(self, limits: AlarmLimits) -> None:
        """Judge by these from the next sample on."""
        self._limits = limits
        self._pipeline.change_limits(limits)

    def push(self, items: Sequence[SampleBlock | Gap]) -> Findings:
        """The findings that these items complete. A leading or a long gap is not pushed through."""
        found = [self._push(item) for item in items]
        self._end = items[-1].end
        return found[0] if len(found) == 1 else join(found)

    def finish(self) -> Findings:
        """The session is over."""
        findings = self._pipeline.finish()
        self._pipeline = self._new_pipeline()
        return findings

    def save(self) -> bytes:
        """The state, for `restore`."""
        self._unsaved_samples = 0
        return checkpoint.save(self._pipeline)

    def restore(self, state: bytes) -> None:
        """Go on from a saved state; raises CheckpointRefused."""
        checkpoint.load(self._pipeline, state)
        self._end = self._pipeline.end

    def _push(self, item: SampleBlock | Gap) -> Findings:
        if isinstance(item, SampleBlock):
            self._unsaved_samples += item.amplitude_uv.size
            return self._pipeline.push(item)
        if self._pipeline.end is None:
            return Findings()
        if item.length > MAX_BRIDGED_GAP_S * self._sample_rate_hz:
            return self.finish()
        return self._pipeline.push(item)

    def _new_pipeline(self) -> Pipeline:
        return Pipeline(self._sample_rate_hz, self._classifier, self._limits, self._notch_mode)


def join(found: Sequence[Findings]) -> Findings:
    """Findings one after the other."""
    return Findings(
        filtered=tuple(block for f in found for block in f.filtered),
        beats=tuple(beat for f in found for beat in f.beats),
        vitals=tuple(vitals for f in found for vitals in f.vitals),
        events=tuple(event for f in found for event in f.events),
        minutes=tuple(minute for f in found for minute in f.minutes),
    )
