"""Signal that came late is analysed on its own, at its true place, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.analysis import LiveAnalysis
from gateway.config import AlarmLimits
from gateway.dsp.r_peaks import REFRACTORY_S
from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    DeviceId,
    Findings,
    FrameSequence,
    Gap,
    RhythmEvent,
    RhythmKind,
    SampleIndex,
    SessionId,
)
from gateway.radio.frame_codec import FrameRefused
from gateway.radio.session_keys import SessionKeys
from gateway.session import MissingFrames, frame_items
from gateway.store.entries import Found, LateStretchAnalysed, StoredFrame
from gateway.ward.sensor_channel import ChannelParts, SensorChannel
from gateway.ward.track import frames_of

CONTEXT_S = 10.0  # stored signal on each side that warms the stages up
FRAMES_PER_STEP = 16  # analysed between two turns of the event loop: some 10 ms


class LateAnalysis:
    """Looks through sessions whose late frames may fill a gap, one after the other."""

    def __init__(
        self,
        parts: ChannelParts,
        on_event: Callable[[DeviceId, RhythmEvent, float], None],
        on_refused: Callable[[SessionId, FrameRefused], None],
    ) -> None:
        """`on_event` is told of each event with its Unix time, where the session has one."""
        self._parts = parts
        self._on_event = on_event
        self._on_refused = on_refused
        self._waiting: dict[SessionId, SensorChannel] = {}
        self._wake = asyncio.Event()

    def look(self, channel: SensorChannel, session: SessionId) -> None:
        """Something new of the session is durable, or lost for good."""
        self._waiting[session] = channel
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                session, channel = self._waiting.popitem()
                try:
                    for gap in channel.gaps_filled(session):
                        await self._analyse(session, gap, channel.limits)
                except FrameRefused as refused:
                    self._on_refused(session, refused)

    async def _analyse(self, session: SessionId, gap: Gap, limits: AlarmLimits) -> None:
        stored = self._parts.reader.session(session)
        assert stored is not None, "a gap belongs to a stored session"
        rate_hz = stored.sample_rate_hz
        found = await analyse_late_stretch(self._parts, session, rate_hz, gap, limits)
        self._parts.record(Found(session, found.model, found.beats, found.events, late=True))
        self._parts.record(LateStretchAnalysed(session, gap.start))
        if stored.start_s is None:
            return
        for event in found.events:
            onset_s = stored.start_s + event.onset / stored.sample_rate_hz
            self._on_event(session.device_id, event, onset_s)


@dataclass(frozen=True, slots=True)
class LateFindings:
    """What a filled gap holds, and the short hash of the model that labelled it."""

    model: str
    beats: tuple[Beat, ...]
    events: tuple[RhythmEvent, ...]


async def analyse_late_stretch(
    parts: ChannelParts, session: SessionId, sample_rate_hz: int, gap: Gap, limits: AlarmLimits
) -> LateFindings:
    """Analyse a gap whose frames are stored by now, giving way to the event loop in between.

    Only what came no later than the gap's last frame is looked at: the findings follow from the
    journal alone, whenever they are made.
    """
    classifier = parts.model.classifier
    first, last = frames_of(gap)
    until = parts.reader.last_arrival(session, FrameSequence(first), FrameSequence(last))
    if until is None:
        return LateFindings(classifier.card.short_hash, (), ())
    context = round(CONTEXT_S * sample_rate_hz / SAMPLES_PER_FRAME)
    filled, live = (
        LiveAnalysis(sample_rate_hz, classifier, limits, parts.notch_mode) for _ in range(2)
    )
    inside = _Inside(gap)
    outside: list[Beat] = []
    for begin in range(max(0, first - context), last + context + 1, FRAMES_PER_STEP):
        end = min(last + context, begin + FRAMES_PER_STEP - 1)
        stored = parts.reader.frames(session, FrameSequence(begin), FrameSequence(end), until)
        for frame in stored:
            inside.take(push_stored(filled, parts.keys, frame))
            if not first <= frame.sequence <= last:
                outside += push_stored(live, parts.keys, frame).beats
        await asyncio.sleep(0)
    inside.take(filled.finish())
    outside += live.finish().beats
    beats = beats_not_found_before(inside.beats, outside, sample_rate_hz)
    return LateFindings(classifier.card.short_hash, beats, tuple(inside.events.values()))


def beats_not_found_before(
    late: Sequence[Beat], live: Sequence[Beat], sample_rate_hz: int
) -> tuple[Beat, ...]:
    """The late beats but those that were found live from the part of a QRS outside the gap.

    A QRS that the gap's edge cuts has its peak on one side with the gap and maybe on the other
    without it; no second one follows within the refractory time.
    """
    refractory = REFRACTORY_S * sample_rate_hz
    return tuple(
        beat
        for beat in late
        if all(abs(beat.r_sample - known.r_sample) >= refractory for known in live)
    )


class _Inside:
    """Keeps what lies in the gap itself, each event once; all else was found live."""

    def __init__(self, gap: Gap) -> None:
        self._gap = gap
        self.beats: list[Beat] = []
        self.events: dict[tuple[RhythmKind, SampleIndex], RhythmEvent] = {}

    def take(self, found: Findings) -> None:
        self.beats += [beat for beat in found.beats if self._holds(beat.r_sample)]
        for event in found.events:
            if self._holds(event.onset):
                self.events[event.kind, event.onset] = event

    def _holds(self, sample: SampleIndex) -> bool:
        return self._gap.start <= sample < self._gap.end


def push_stored(analysis: LiveAnalysis, keys: SessionKeys, stored: StoredFrame) -> Findings:
    """What a stored frame brings, with a gap before it where frames are missing.

    Raises FrameRefused where the keys do not open it.
    """
    frame, _ = keys.open(stored.sealed)
    expected = analysis.next_sequence
    missing = []
    if expected is not None and stored.sequence > expected:
        missing = [MissingFrames(expected, stored.sequence - 1).gap]
    return analysis.push([*missing, *frame_items(frame)])
