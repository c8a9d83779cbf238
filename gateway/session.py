"""Frames in whatever order they come → live steps in order, late frames, and what to acknowledge.

Pure: the caller passes monotonic seconds in. A session's frames lie on one sample axis,
index = 187 × sequence + position; the live edge is the first sequence not yet decided. A later
frame opens a grace for a missing one; when it is over the missing ones become a gap and the edge
goes on. What comes below the edge is late.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gateway.config import SessionConfig
from gateway.messages import (
    INVALID_STEP,
    MICROVOLTS_PER_STEP,
    SAMPLES_PER_FRAME,
    Frame,
    FrameFlags,
    Gap,
    GapReason,
    SampleBlock,
    SampleIndex,
)

MAX_WAITING_FRAMES = 64  # 48 s at 250 Hz behind one missing frame: the grace ends long before
_LEAD_OFF = FrameFlags.LEAD_OFF_POSITIVE | FrameFlags.LEAD_OFF_NEGATIVE


class SequenceRanges:
    """A set of sequences as sorted, disjoint, inclusive ranges that never touch."""

    def __init__(self, ranges: tuple[tuple[int, int], ...] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __contains__(self, sequence: int) -> bool:
        at = bisect_right(self._firsts, sequence) - 1
        return at >= 0 and sequence <= self._lasts[at]

    def covers(self, first: int, last: int) -> bool:
        at = bisect_right(self._firsts, first) - 1
        return at >= 0 and last <= self._lasts[at]

    def add(self, first: int, last: int) -> None:
        """Add all of first..last, joining what it touches."""
        begin = bisect_right(self._firsts, first)
        if begin and self._lasts[begin - 1] >= first - 1:
            begin -= 1
            first = self._firsts[begin]
        end = bisect_right(self._firsts, last + 1)
        if end > begin:
            last = max(last, self._lasts[end - 1])
        self._firsts[begin:end] = [first]
        self._lasts[begin:end] = [last]

    def ranges(self) -> tuple[tuple[int, int], ...]:
        return tuple(zip(self._firsts, self._lasts, strict=True))

    def first_missing(self) -> int:
        """The smallest sequence that is not in the set."""
        return self._lasts[0] + 1 if self._firsts and self._firsts[0] == 0 else 0


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """The next frame at the live edge."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class LateFrame:
    """A frame below the live edge, or of a session that is over, seen for the first time."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class RepeatedFrame:
    """A frame whose sequence has come before; the store compares the bytes."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class MissingFrames:
    """Frames `first`..`last` did not come within the grace: a gap at the live edge."""

    first: int
    last: int

    @property
    def gap(self) -> Gap:
        length = (self.last - self.first + 1) * SAMPLES_PER_FRAME
        return Gap(SampleIndex(self.first * SAMPLES_PER_FRAME), length, GapReason.LOST)


Step = LiveFrame | LateFrame | RepeatedFrame | MissingFrames


class SessionTrack:
    """One session's order. `received` and `edge` are restored from the store after a restart."""

    def __init__(
        self,
        config: SessionConfig,
        received: tuple[tuple[int, int], ...] = (),
        edge: int | None = None,
    ) -> None:
        self._grace_s = config.grace_s
        self._received = SequenceRanges(received)
        self._edge = edge
        self._waiting: dict[int, Frame] = {}
        self._deadline_s: float | None = None
        self._over = False

    @property
    def edge(self) -> int | None:
        """The first sequence that is not yet decided; None before the first frame."""
        return self._edge

    @property
    def over(self) -> bool:
        """Whether the session is history: no frame of it is live any more."""
        return self._over

    @property
    def deadline_s(self) -> float | None:
        """When `tick` must be called next, or None while nothing is missing."""
        return self._deadline_s

    def push(self, frame: Frame, now_s: float) -> list[Step]:
        """Take an authentic frame; give the steps that follow from it, in order."""
        sequence = frame.sequence
        if sequence in self._waiting:
            return []
        if sequence in self._received:
            return [RepeatedFrame(frame)]
        self._received.add(sequence, sequence)
        if self._over or (self._edge is not None and sequence < self._edge):
            return [LateFrame(frame)]
        missing: list[Step] = []
        if self._edge is None:
            self._edge = sequence
            missing = [MissingFrames(0, sequence - 1)] if sequence else []
        return [*missing, *self._advance(frame, now_s)]

    def tick(self, now_s: float) -> list[Step]:
        """Close what is missing when its grace is over."""
        if self._deadline_s is None or now_s < self._deadline_s:
            return []
        return self._close_gap(now_s)

    def finish(self) -> list[Step]:
        """The session is over: give what waits, with its gaps; all that comes now is late."""
        steps: list[Step] = []
        while self._waiting:
            steps += self._close_gap(0.0)
        self._over = True
        return steps

    def _advance(self, frame: Frame, now_s: float) -> list[Step]:
        self._waiting[frame.sequence] = frame
        steps = self._drain()
        while len(self._waiting) > MAX_WAITING_FRAMES:
            steps += self._close_gap(now_s)
        if not self._waiting:
            self._deadline_s = None
        elif steps or self._deadline_s is None:
            self._deadline_s = now_s + self._grace_s
        return steps

    def _drain(self) -> list[Step]:
        steps: list[Step] = []
        assert self._edge is not None
        while (frame := self._waiting.pop(self._edge, None)) is not None:
            steps.append(LiveFrame(frame))
            self._edge += 1
        return steps

    def _close_gap(self, now_s: float) -> list[Step]:
        assert self._edge is not None
        first_waiting = min(self._waiting)
        missing = MissingFrames(self._edge, first_waiting - 1)
        self._edge = first_waiting
        steps = [missing, *self._drain()]
        self._deadline_s = now_s + self._grace_s if self._waiting else None
        return steps


def frame_items(frame: Frame) -> list[SampleBlock | Gap]:
    """A frame's samples in µV, with a Gap where the sensor marked them invalid."""
    invalid = frame.steps == INVALID_STEP
    edges = np.flatnonzero(np.diff(invalid)) + 1
    bounds = [0, *edges.tolist(), SAMPLES_PER_FRAME]
    amplitude_uv = frame.steps.astype(np.float64) * MICROVOLTS_PER_STEP
    items: list[SampleBlock | Gap] = []
    for begin, end in pairwise(bounds):
        start = SampleIndex(frame.first_sample + begin)
        if invalid[begin]:
            items.append(Gap(start, end - begin, GapReason.INVALID))
        else:
            items.append(
                SampleBlock(
                    start,
                    frame.sample_rate_hz,
                    amplitude_uv[begin:end],
                    lead_off=bool(frame.flags & _LEAD_OFF),
                    clipped=bool(frame.flags & FrameFlags.CLIPPED),
                )
            )
    return items
