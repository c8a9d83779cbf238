"""The analysis of a stored session again, in one go: what a gateway's findings must be equal to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.analysis import LiveAnalysis
from gateway.config import AlarmLimits
from gateway.messages import SAMPLES_PER_FRAME, Beat, Frame, FrameSequence, Gap
from gateway.session import MissingFrames, frame_items
from gateway.store.answers import JournalledFrame, JournalledGap
from gateway.store.reader import Reader
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from gateway.ward.late_stretch import CONTEXT_S, beats_not_found_before
from tests.end_to_end.processes import wait_until


def wait_for_late_analysis(store: Path, timeout_s: float) -> None:
    """What came last may have filled a gap; it is analysed in the background."""
    reader = Reader(store)
    sessions = [stored.session for stored in reader.open_sessions()]
    wait_until(
        lambda: not any(reader.gaps_to_fill(session) for session in sessions),
        timeout_s,
        "late signal was not analysed",
    )
    reader.close()


class OfflineRun:
    """The packaged model's beats, from the journal's order of arrival and the frames' samples.

    Each gap of the journal must have been filled by its end.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        journal: Sequence[JournalledFrame | JournalledGap],
        frame_at: Callable[[FrameSequence], Frame],
    ) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._arrivals = [entry for entry in journal if isinstance(entry, JournalledFrame)]
        self._gaps = [entry.gap for entry in journal if isinstance(entry, JournalledGap)]
        self._journal = journal
        self._frame_at = frame_at
        self._classifier = TfliteClassifier(default_model_path())

    def beats(self) -> list[Beat]:
        live = self.live()
        late = beats_not_found_before(self.late(), live, self._sample_rate_hz)
        return sorted([*live, *late], key=lambda beat: beat.r_sample)

    def live(self) -> list[Beat]:
        analysis = self._analysis()
        beats: list[Beat] = []
        for entry in self._journal:
            if isinstance(entry, JournalledGap):
                beats += analysis.push((entry.gap,)).beats
            elif not entry.frame.late:
                beats += analysis.push(frame_items(self._frame_at(entry.frame.sequence))).beats
        return beats

    def late(self) -> list[Beat]:
        return [beat for gap in self._gaps for beat in self._filled(gap)]

    def _filled(self, gap: Gap) -> list[Beat]:
        sequences = self._around(gap)
        analysis, found = self._analysis(), []
        for before, sequence in zip([sequences[0] - 1, *sequences], sequences, strict=False):
            if sequence > before + 1:
                found.append(analysis.push((MissingFrames(before + 1, sequence - 1).gap,)))
            found.append(analysis.push(frame_items(self._frame_at(sequence))))
        found.append(analysis.finish())
        return [b for f in found for b in f.beats if gap.start <= b.r_sample < gap.end]

    def _around(self, gap: Gap) -> list[FrameSequence]:
        """The frames in the gap and near it that had come when the last one in it came."""
        first, last = gap.start // SAMPLES_PER_FRAME, gap.end // SAMPLES_PER_FRAME - 1
        inside = [e for e in self._arrivals if first <= e.frame.sequence <= last]
        filled = max(entry.journal_id for entry in inside)
        margin = round(CONTEXT_S * self._sample_rate_hz / SAMPLES_PER_FRAME)
        return sorted(
            e.frame.sequence
            for e in self._arrivals
            if first - margin <= e.frame.sequence <= last + margin and e.journal_id <= filled
        )

    def _analysis(self) -> LiveAnalysis:
        return LiveAnalysis(self._sample_rate_hz, self._classifier, AlarmLimits())
