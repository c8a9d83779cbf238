"""One session as the gateway knows it: order, what is durable, and when it was."""

from __future__ import annotations

from gateway.messages import SAMPLES_PER_FRAME, Frame, Gap
from gateway.radio.message_codec import MAX_RANGES, Acknowledgement
from gateway.session import SequenceRanges, SessionTrack
from gateway.store.answers import StoredSession
from gateway.wall_clock import SessionClock


class Track:
    """One session's order, and which of its frames are durable or lost for good."""

    def __init__(self, stored: StoredSession, order: SessionTrack, durable: SequenceRanges) -> None:
        self.session = stored.session
        self.sample_rate_hz = stored.sample_rate_hz
        self.generation = stored.key_generation
        self.order = order
        self.settled = durable
        self.has_late = False
        self.unstored = SequenceRanges()  # analysed while the store had no room
        self.unstored_from: int | None = None  # where the journal stops, until there is room again
        self.begun_us = 0.0  # device time of sample 0
        self.wall_offset_s = (
            stored.wall_offset_s
        )  # as rows are dated; so replay agrees, it moves but once
        self.clock = SessionClock(stored.sample_rate_hz)
        self.clock.push(0, stored.start_s or stored.first_received_s)
        self.clock_unsynced = stored.clock_unsynced

    @property
    def age(self) -> tuple[int, int, float]:
        """Sessions of one sensor in order of time."""
        return self.generation, self.session.boot_id, self.begun_us

    def acknowledgement(self, resend_after_s: int) -> Acknowledgement:
        next_expected = self.settled.first_missing()
        above = (pair for pair in self.settled.ranges() if pair[0] > next_expected)
        ranges = tuple(pair for pair, _ in zip(above, range(MAX_RANGES), strict=False))
        return Acknowledgement(
            self.session.boot_id, self.session.salt, next_expected, resend_after_s, ranges
        )


def begun_us(frame: Frame) -> float:
    """Device time of the session's sample 0."""
    return frame.device_time_us - 1e6 * frame.first_sample / frame.sample_rate_hz


def frames_of(gap: Gap) -> tuple[int, int]:
    """The first and last sequence of the frames that a gap touches."""
    return gap.start // SAMPLES_PER_FRAME, (gap.end - 1) // SAMPLES_PER_FRAME
