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
    SessionId,
)
from gateway.sensor_channel import ChannelParts, frames_of
from gateway.session import MissingFrames, frame_items
from gateway.store.entries import StoredFrame

CONTEXT_S = 10.0  # stored signal on each side that warms the stages up
FRAMES_PER_STEP = 16  # analysed between two turns of the event loop: some 10 ms


@dataclass(frozen=True, slots=True)
class LateFindings:
    """What a filled gap holds."""

    beats: tuple[Beat, ...]
    events: tuple[RhythmEvent, ...]


async def analyse_late_stretch(
    parts: ChannelParts, session: SessionId, sample_rate_hz: int, gap: Gap
) -> LateFindings:
    """Analyse a gap whose frames are stored by now, giving way to the event loop in between.

    Only what came no later than the gap's last frame is looked at: the findings follow from the
    journal alone, whenever they are made.
    """
    first, last = frames_of(gap)
    until = parts.reader.last_arrival(session, FrameSequence(first), FrameSequence(last))
    if until is None:
        return LateFindings((), ())
    context = round(CONTEXT_S * sample_rate_hz / SAMPLES_PER_FRAME)
    analysis = LiveAnalysis(sample_rate_hz, parts.classifier, parts.limits)
    found = []
    for begin in range(max(0, first - context), last + context + 1, FRAMES_PER_STEP):
        end = min(last + context, begin + FRAMES_PER_STEP - 1)
        stored = parts.reader.frames(session, FrameSequence(begin), FrameSequence(end), until)
        found += [_push(parts, analysis, frame) for frame in stored]
        await asyncio.sleep(0)
    return inside(gap, join([*found, analysis.finish()]))


def inside(gap: Gap, found: Findings) -> LateFindings:
    """What lies in the gap itself; all else was found live."""
    return LateFindings(
        tuple(beat for beat in found.beats if gap.start <= beat.r_sample < gap.end),
        tuple(event for event in found.events if gap.start <= event.onset < gap.end),
    )


def _push(parts: ChannelParts, analysis: LiveAnalysis, stored: StoredFrame) -> Findings:
    frame, _ = parts.keys.open(stored.sealed)
    expected = analysis.next_sequence
    missing = []
    if expected is not None and stored.sequence > expected:
        missing = [MissingFrames(expected, stored.sequence - 1).gap]
    return analysis.push([*missing, *frame_items(frame)])
