"""Signal that came late is analysed on its own, at its true place, once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.analysis import LiveAnalysis, join
from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    Findings,
    FrameSequence,
    Gap,
    RhythmEvent,
    SampleIndex,
    SessionId,
)
from gateway.sensor_channel import ChannelParts, frames_of
from gateway.session import MissingFrames, frame_items
from gateway.store.entries import StoredFrame

CONTEXT_S = 10.0  # stored signal on each side that warms the stages up
FRAMES_PER_STEP = 16  # analysed between two turns of the event loop: some 10 ms
SAME_BEAT_S = 0.150  # ANSI/AAMI EC57's window: nearer than this, it is one heartbeat


@dataclass(frozen=True, slots=True)
class LateFindings:
    """What a filled gap holds: only what lies inside it and was not known."""

    beats: tuple[Beat, ...]
    events: tuple[RhythmEvent, ...]


async def analyse_late_stretch(
    parts: ChannelParts, session: SessionId, sample_rate_hz: int, gap: Gap
) -> LateFindings:
    """Analyse a gap whose frames are stored by now, giving way to the event loop in between."""
    first, last = frames_of(gap)
    context = round(CONTEXT_S * sample_rate_hz / SAMPLES_PER_FRAME)
    begin, end = max(0, first - context), last + context
    analysis = LiveAnalysis(sample_rate_hz, parts.classifier, parts.limits)
    found = []
    for at in range(begin, end + 1, FRAMES_PER_STEP):
        stored = parts.reader.frames(
            session, FrameSequence(at), FrameSequence(min(end, at + FRAMES_PER_STEP - 1))
        )
        found += [_push(parts, analysis, frame) for frame in stored]
        await asyncio.sleep(0)
    found.append(analysis.finish())
    return _inside(parts, session, sample_rate_hz, gap, join(found))


def _push(parts: ChannelParts, analysis: LiveAnalysis, stored: StoredFrame) -> Findings:
    frame, _ = parts.keys.open(stored.sealed)
    expected = analysis.next_sequence
    missing = []
    if expected is not None and stored.sequence > expected:
        missing = [MissingFrames(expected, stored.sequence - 1).gap]
    return analysis.push([*missing, *frame_items(frame)])


def _inside(
    parts: ChannelParts, session: SessionId, sample_rate_hz: int, gap: Gap, found: Findings
) -> LateFindings:
    margin = round(SAME_BEAT_S * sample_rate_hz)
    around = parts.reader.beats(
        session,
        SampleIndex(max(0, gap.start - margin)),
        SampleIndex(gap.end + margin),
    )
    known = [beat.r_sample for beat in around]
    return LateFindings(
        tuple(
            beat
            for beat in found.beats
            if gap.start <= beat.r_sample < gap.end
            and all(abs(beat.r_sample - r_sample) >= margin for r_sample in known)
        ),
        tuple(event for event in found.events if gap.start <= event.onset < gap.end),
    )
