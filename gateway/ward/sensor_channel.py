"""One sensor, from authentic frames to recorded findings.

Everything is recorded in the order in which the analysis saw it: that journal, replayed from the
newest checkpoint, brings a restarted gateway to the same state and to the same beats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.analysis import LiveAnalysis, join
from gateway.checkpoint import CheckpointRefused
from gateway.config import AlarmLimits, SessionConfig
from gateway.counters import Counters
from gateway.dsp.notch import NotchMode
from gateway.messages import (
    SAMPLES_PER_FRAME,
    DeviceId,
    Findings,
    Frame,
    FrameSequence,
    Gap,
    Minute,
    RhythmEvent,
    RhythmKind,
    SampleBlock,
    SampleIndex,
    SessionId,
)
from gateway.minutes import MINUTE_S
from gateway.radio.frame_codec import FrameRefusal, FrameRefused
from gateway.radio.message_codec import Acknowledgement, HeldSession
from gateway.radio.session_keys import SessionKeys
from gateway.served_model.in_service import ModelInService
from gateway.session import (
    LateFrame,
    LiveFrame,
    MissingFrames,
    RepeatedFrame,
    SequenceRanges,
    SessionTrack,
    Step,
    frame_items,
)
from gateway.store.answers import JournalledFrame, JournalledGap, StoredSession
from gateway.store.entries import (
    Checkpoint,
    DeclaredGap,
    Entry,
    Found,
    JournalId,
    MinuteSummary,
    SessionFinished,
    SessionStarted,
    SessionTimed,
    StoredFrame,
)
from gateway.store.reader import Reader
from gateway.wall_clock import SessionClock
from gateway.ward.track import Track, begun_us, frames_of

LEAST_WRONG_S = 1.0  # a minute begins on a second; an unset clock may be right by its battery
MAX_TRACKS = 8  # sessions of one sensor that send at a time: one live, a few backlogs


@dataclass(frozen=True, slots=True)
class ChannelParts:
    """What every channel is built with."""

    model: ModelInService
    limits: AlarmLimits  # the house's
    session: SessionConfig
    checkpoint_interval_s: float
    resend_after_s: int
    keys: SessionKeys
    reader: Reader
    record: Callable[[Entry], object]
    counters: Counters
    notch_mode: NotchMode = NotchMode.OFF
    clock_is_set: Callable[[], bool] = lambda: True  # the gateway's own, by NTP or by somebody


@dataclass(frozen=True, slots=True)
class LiveSignal:
    """What one push brought at the live edge, in order of the axis."""

    session: SessionId
    sample_rate_hz: int
    clock: SessionClock
    items: tuple[SampleBlock | Gap, ...]
    findings: Findings


class SensorChannel:
    """Takes the authentic frames of one sensor, whatever session they belong to."""

    def __init__(self, device_id: DeviceId, parts: ChannelParts) -> None:
        self.device_id = device_id
        self._parts = parts
        self._tracks: dict[SessionId, Track] = {}
        self._live: Track | None = None
        self._analysis: LiveAnalysis | None = None
        self.storing = True  # False: the store has no room; what comes is analysed and not kept
        self.limits = parts.limits
        self.frames = 0
        self.gaps = 0
        self.beats = 0
        self.last_frame_s: float | None = None
        self._redated_s = 0.0

    @property
    def live_session(self) -> SessionId | None:
        return None if self._live is None else self._live.session

    @property
    def clock(self) -> SessionClock | None:
        """Of the live session."""
        return None if self._live is None else self._live.clock

    @property
    def open_kinds(self) -> frozenset[RhythmKind]:
        """Rhythm findings at the live edge that have begun and not ended."""
        return frozenset() if self._analysis is None else self._analysis.open_kinds

    @property
    def deadline_s(self) -> float | None:
        """Monotonic time at which `tick` is due."""
        return None if self._live is None else self._live.order.deadline_s

    def take(
        self, frame: Frame, generation: int, received_s: float, now_s: float
    ) -> list[LiveSignal]:
        """Order, record and analyse a frame; raises FrameRefused where its rate is another one."""
        track = self._track(frame, generation, received_s)
        if frame.sample_rate_hz != track.sample_rate_hz:
            raise FrameRefused(FrameRefusal.ILLEGAL_CONTENT)
        self.frames += 1
        signals = self._make_live(track) if self._is_newer(track) else []
        if track is self._live:
            self.last_frame_s = received_s
            self._time(track, frame.first_sample + SAMPLES_PER_FRAME, received_s)
        steps = track.order.push(frame, now_s)
        return signals + self._apply(track, steps, received_s)

    def tick(self, received_s: float, now_s: float) -> list[LiveSignal]:
        """The grace of a missing frame may be over."""
        if self._live is None:
            return []
        return self._apply(self._live, self._live.order.tick(now_s), received_s)

    def committed(self, session: SessionId, sequences: Iterable[FrameSequence]) -> None:
        """These frames are durable and may be acknowledged."""
        track = self._tracks.get(session)
        if track is not None:
            for sequence in sequences:
                track.settled.add(sequence, sequence)

    def acknowledgement(self, session: SessionId) -> Acknowledgement | None:
        track = self._tracks.get(session)
        return None if track is None else track.acknowledgement(self._parts.resend_after_s)

    def sensor_holds(self, held: HeldSession) -> SessionId | None:
        """What the sensor has given up is lost for good; None for a session never heard of."""
        session = SessionId(self.device_id, held.boot_id, held.salt)
        track = self._tracks.get(session) or self._stored_track(session)
        if track is None:
            return None
        if held.oldest > 0:
            track.settled.add(0, held.oldest - 1)
        if track.order.over and held.oldest == held.next:
            self._close_history(track, held.next, track.order.edge or 0)
        return session

    def has_late(self, session: SessionId) -> bool:
        """Whether frames of the session came below its live edge."""
        track = self._tracks.get(session)
        return track is not None and track.has_late

    def gaps_filled(self, session: SessionId) -> list[Gap]:
        """Gaps of the session that can be analysed: all that will ever come of them is here."""
        track = self._tracks.get(session)
        if track is None:
            return []
        gaps = self._parts.reader.gaps_to_fill(session)
        filled = [gap for gap in gaps if track.settled.covers(*frames_of(gap))]
        track.has_late = len(filled) < len(gaps)
        return filled

    def resume(self, stored: StoredSession) -> Findings:
        """Take up an unfinished session where the store has it; gives what the replay found.

        After a refused checkpoint, as with new analysis code, it begins at the checkpoint's place
        without what came before.
        """
        track = self._restored_track(stored)
        analysis = self._new_analysis(track)
        after = self._restore(analysis, track.session)
        found = [
            self._replay(track, analysis, entry)
            for entry in self._parts.reader.journal_after(track.session, after)
        ]
        findings = join(found)
        track.order = SessionTrack(
            self._parts.session, track.settled.ranges(), analysis.next_sequence
        )
        self._tracks[track.session] = track
        previous, previous_analysis = self._live, self._analysis
        self._live, self._analysis = track, analysis
        self._record_findings(track, findings)
        if previous is not None and previous_analysis is not None:
            self._finish(previous, previous_analysis)
        return findings

    def change_limits(self, limits: AlarmLimits) -> None:
        """Judge by the limits of the sensor's bed from now on, and after a restart."""
        if limits == self.limits:
            return
        self.limits = limits
        if self._analysis is not None:
            self._analysis.change_limits(limits)
            self.save()

    def clock_stepped(self, step_s: float) -> None:
        """The gateway's clock, which nobody had set, was put forward by so much."""
        for track in self._tracks.values():
            if track.clock_unsynced:
                track.clock.shift(step_s)
                self._date_anew(track)

    def take_redating(self) -> float:
        """By how much the live session's times were found wrong since the last question."""
        redated_s, self._redated_s = self._redated_s, 0.0
        return redated_s

    def finish(self) -> None:
        """No more will be heard of the sensor: what is live is over."""
        if self._live is not None and self._analysis is not None:
            self._finish(self._live, self._analysis)
            self._live = self._analysis = None

    def save(self) -> None:
        """Record the analysis state, as before an orderly stop or after a change of model."""
        if self._live is not None and self._analysis is not None:
            self._parts.record(Checkpoint(self._live.session, self._analysis.save()))

    def _time(self, track: Track, end: int, received_s: float) -> None:
        """A live frame tells the time; when somebody sets the clock, what came before does not."""
        corrected = track.clock_unsynced and self._parts.clock_is_set()
        if corrected:
            track.clock.forget()
        track.clock.push(end, received_s)
        if corrected:
            self._date_anew(track)

    def _date_anew(self, track: Track) -> None:
        """From here on rows are dated by a clock that is set.

        The checkpoint keeps a restart from finding minutes again that were told by the old date.
        """
        if track is self._live and self.storing:
            self.save()
        dated_s, right_s = track.wall_offset_s, track.clock.fit().start_s
        wrong_by_s = 0.0
        if dated_s is not None and abs(right_s - dated_s) >= LEAST_WRONG_S:
            wrong_by_s = right_s - dated_s
            track.wall_offset_s = dated_s + wrong_by_s
        track.clock_unsynced = False
        self._record_time(track, wrong_by_s)
        if track is self._live:
            self._redated_s = wrong_by_s

    def _record_time(self, track: Track, wrong_by_s: float = 0.0) -> None:
        fit, unsynced = track.clock.fit(), track.clock_unsynced
        self._parts.record(
            SessionTimed(track.session, fit.start_s, fit.error_s, unsynced, wrong_by_s)
        )

    # Sessions and their order.

    def _track(self, frame: Frame, generation: int, received_s: float) -> Track:
        track = self._tracks.get(frame.session) or self._stored_track(frame.session)
        if track is None:
            track = self._new_track(frame, generation, received_s)
        track.begun_us = begun_us(frame)
        return track

    def _new_track(self, frame: Frame, generation: int, received_s: float) -> Track:
        start = StoredSession(
            frame.session, frame.sample_rate_hz, generation, received_s, None, finished=False
        )
        track = Track(start, SessionTrack(self._parts.session), SequenceRanges())
        track.begun_us = begun_us(frame)
        live = self._is_newer(track)
        if live:
            end = frame.first_sample + SAMPLES_PER_FRAME
            track.wall_offset_s = received_s - end / frame.sample_rate_hz
        self._parts.record(
            SessionStarted(
                frame.session,
                frame.sample_rate_hz,
                generation,
                received_s,
                track.wall_offset_s,
            )
        )
        if live and not self._parts.clock_is_set():
            track.clock_unsynced = True
            self._record_time(track)
        if not live:
            track.order.finish()
            self._parts.record(SessionFinished(frame.session))
        self._keep(track)
        return track

    def _stored_track(self, session: SessionId) -> Track | None:
        """A session from before a restart, or one that was put out of mind: it is history."""
        stored = self._parts.reader.session(session)
        if stored is None:
            return None
        track = self._restored_track(stored)
        received = track.settled.ranges()
        edge = received[-1][1] + 1 if received else None
        track.order = SessionTrack(self._parts.session, received, edge)
        track.order.finish()
        self._keep(track)
        return track

    def _restored_track(self, stored: StoredSession) -> Track:
        received = self._parts.reader.received_ranges(stored.session)
        order = SessionTrack(self._parts.session, received)
        return Track(stored, order, SequenceRanges(received))

    def _keep(self, track: Track) -> None:
        self._tracks[track.session] = track
        if len(self._tracks) > MAX_TRACKS:
            history = [known for known in self._tracks.values() if known is not self._live]
            del self._tracks[min(history, key=lambda known: known.age).session]

    def _is_newer(self, track: Track) -> bool:
        return self._live is None or (track is not self._live and track.age > self._live.age)

    def _make_live(self, track: Track) -> list[LiveSignal]:
        """This session is the newest: the one before is over."""
        signals = []
        if self._live is not None and self._analysis is not None:
            signals = self._finish(self._live, self._analysis)
        self._live, self._analysis = track, self._new_analysis(track)
        return signals

    def _finish(self, track: Track, analysis: LiveAnalysis) -> list[LiveSignal]:
        signals = self._apply(track, track.order.finish(), track.clock.start_s, analysis)
        if track.unstored_from is not None:
            self._close_history(track, track.order.edge or 0, track.unstored_from)
        findings = analysis.finish()
        self._record_findings(track, findings)
        self._parts.record(SessionFinished(track.session))
        return [*signals, self._signal(track, (), findings)]

    def _close_history(self, track: Track, end: int, edge: int) -> None:
        """Nothing more comes of a session that is over: what the journal lacks is a gap."""
        if end > edge:
            gap = MissingFrames(edge, end - 1).gap
            self._parts.record(DeclaredGap(track.session, gap))

    # Steps, live and replayed.

    def _apply(
        self,
        track: Track,
        steps: list[Step],
        received_s: float,
        analysis: LiveAnalysis | None = None,
    ) -> list[LiveSignal]:
        analysis = analysis or self._analysis
        signals = []
        for step in steps:
            match step:
                case LiveFrame(frame):
                    self._keep_step(track, frame.sequence)
                    self._record_frame(track, frame, received_s)
                    signals.append(self._analyse(track, analysis, tuple(frame_items(frame))))
                case MissingFrames():
                    self.gaps += 1
                    self._keep_step(track, step.first)
                    if self.storing:
                        self._parts.record(DeclaredGap(track.session, step.gap))
                    signals.append(self._analyse(track, analysis, (step.gap,)))
                case LateFrame(frame):
                    self._record_frame(track, frame, received_s, late=True)
                case RepeatedFrame(frame):
                    late = frame.sequence in track.unstored
                    self._record_frame(track, frame, received_s, late)
        return signals

    def _keep_step(self, track: Track, first: int) -> None:
        """The journal has a gap where the store had no room for what the stages were given."""
        if not self.storing:
            track.unstored_from = first if track.unstored_from is None else track.unstored_from
        elif track.unstored_from is not None:
            gap = MissingFrames(track.unstored_from, first - 1).gap
            self._parts.record(DeclaredGap(track.session, gap))
            track.unstored_from = None

    def _analyse(
        self, track: Track, analysis: LiveAnalysis | None, items: tuple[SampleBlock | Gap, ...]
    ) -> LiveSignal:
        assert analysis is not None, "a live step has a live session"
        findings = analysis.push(items)
        self._record_findings(track, findings)
        if self.storing and analysis.unsaved_s >= self._parts.checkpoint_interval_s:
            self._parts.record(Checkpoint(track.session, analysis.save()))
            self._record_time(track)
        return self._signal(track, items, findings)

    def _restore(self, analysis: LiveAnalysis, session: SessionId) -> JournalId | None:
        stored = self._parts.reader.checkpoint(session)
        if stored is None:
            return None
        try:
            analysis.restore(stored.state)
        except CheckpointRefused:
            self._parts.counters.add("ecg_checkpoints_refused_total")
        return stored.journal_id

    def _replay(
        self, track: Track, analysis: LiveAnalysis, entry: JournalledFrame | JournalledGap
    ) -> Findings:
        if isinstance(entry, JournalledGap):
            return analysis.push((entry.gap,))
        if entry.frame.late:
            return Findings()
        frame, _ = self._parts.keys.open(entry.frame.sealed)
        track.begun_us = begun_us(frame)
        return analysis.push(frame_items(frame))

    def _record_frame(
        self, track: Track, frame: Frame, received_s: float, late: bool = False
    ) -> None:
        """What there is no room for is not acknowledged; it is late when it comes again."""
        if not self.storing:
            track.unstored.add(frame.sequence, frame.sequence)
            self._parts.counters.add("ecg_frames_unstored_total")
            return
        track.has_late |= late
        self._parts.record(
            StoredFrame(frame.session, frame.sequence, frame.sealed, received_s, late)
        )

    def _record_findings(self, track: Track, findings: Findings) -> None:
        if self.storing and (findings.beats or findings.events):
            model = self._parts.model.card.short_hash
            self._parts.record(Found(track.session, model, findings.beats, findings.events))
        for minute in findings.minutes:
            self._parts.record(_summary(track, minute))

    def _signal(
        self, track: Track, items: tuple[SampleBlock | Gap, ...], findings: Findings
    ) -> LiveSignal:
        self.beats += len(findings.beats)
        return LiveSignal(track.session, track.sample_rate_hz, track.clock, items, findings)

    def _new_analysis(self, track: Track) -> LiveAnalysis:
        parts = self._parts
        return LiveAnalysis(track.sample_rate_hz, parts.model, self.limits, parts.notch_mode)


def open_events(findings: Findings) -> list[RhythmEvent]:
    """The events that these findings began and did not end."""
    opened: dict[tuple[str, SampleIndex], RhythmEvent] = {}
    for event in findings.events:
        opened[event.kind, event.onset] = event
    return [event for event in opened.values() if event.end is None]


def _summary(track: Track, minute: Minute) -> MinuteSummary:
    assert track.wall_offset_s is not None, "a session that was live is dated"
    return MinuteSummary(
        session=track.session,
        minute_s=round(track.wall_offset_s + minute.start / track.sample_rate_hz),
        beats=minute.beats,
        abnormal_beats=minute.abnormal_beats,
        heart_rate_min_bpm=minute.heart_rate_min_bpm,
        heart_rate_mean_bpm=minute.heart_rate_mean_bpm,
        heart_rate_max_bpm=minute.heart_rate_max_bpm,
        usable_s=minute.usable_s,
        gap_s=minute.gap_s,
        rmssd_ms=minute.rmssd_ms,
        beats_by_class=minute.beats_by_class,
        quality=minute.quality,
        lead_off_s=minute.lead_off_s,
        first_sequence=FrameSequence(minute.start // SAMPLES_PER_FRAME),
        last_sequence=FrameSequence(
            (minute.start + MINUTE_S * track.sample_rate_hz - 1) // SAMPLES_PER_FRAME
        ),
    )
