"""The frames that a sensor still holds, and when each goes on the air. Pure: time is passed in."""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.messages import SessionId

RESEND_AFTER_S = 5.0  # without news in the frame's session, until the gateway says otherwise
BACKLOG_TIMES_REAL_TIME = 4.0  # what is resent or caught up, beside the live frames
BACKLOG_BURST_FRAMES = 8.0  # of that rate, after a pause
WINDOW_FRAMES = 256  # sent and not acknowledged: 15 s of live frames and backlog at 500 Hz
LEAST_HELD_FRAMES = 161  # 60 s at 500 Hz, the RAM of the smallest sensor


@dataclass(slots=True)
class HeldFrame:
    """A sealed frame, until it is acknowledged."""

    session: SessionId
    sequence: int
    sealed: bytes
    age: int  # its place among all frames that were ever held
    sending: int | None = None  # its place among all sendings, while it is in flight
    sent_s: float | None = None  # when it was last sent


class Outbox:
    """Live frames first, then the backlog oldest-first; forgets only what is acknowledged.

    When it is full the oldest frame is overwritten, and counted.
    """

    def __init__(self, held_limit: int) -> None:
        if held_limit < LEAST_HELD_FRAMES:
            raise ValueError(f"a sensor holds at least {LEAST_HELD_FRAMES} frames")
        self._held_limit = held_limit
        self.resend_after_s = RESEND_AFTER_S
        self._sessions: OrderedDict[SessionId, OrderedDict[int, HeldFrame]] = OrderedDict()
        self._live: deque[HeldFrame] = deque()
        self._waiting: list[tuple[int, HeldFrame]] = []  # a heap by age
        self._in_flight: OrderedDict[int, HeldFrame] = OrderedDict()  # by sending
        self._ages = 0
        self._sendings = 0
        self._allowance = 0.0
        self._taken_s = 0.0
        self._progress_s: dict[SessionId, float] = {}  # the last useful acknowledgement
        self.held = 0
        self.overwritten = 0
        self.acknowledged = 0
        self.resent = 0

    def add(self, session: SessionId, sequence: int, sealed: bytes, live: bool) -> None:
        """Hold a new frame. Frames of a session come in order, and sessions one after another."""
        if self.held >= self._held_limit:
            self._forget(self._oldest())
            self.overwritten += 1
        frame = HeldFrame(session, sequence, sealed, self._ages)
        self._ages += 1
        self._sessions.setdefault(session, OrderedDict())[sequence] = frame
        self.held += 1
        if live:
            self._live.append(frame)
        else:
            self._wait(frame)

    def take(self, now_s: float, frame_period_s: float) -> list[bytes]:
        """The frames to send now; each is in flight from here on."""
        self._give_up_waiting(now_s)
        earned = (now_s - self._taken_s) * BACKLOG_TIMES_REAL_TIME / frame_period_s
        self._allowance = min(BACKLOG_BURST_FRAMES, self._allowance + earned)
        self._taken_s = now_s
        sent: list[bytes] = []
        while self._live and len(self._in_flight) < WINDOW_FRAMES:
            self._send(self._live.popleft(), now_s, sent)
        while self._waiting and self._allowance >= 1 and len(self._in_flight) < WINDOW_FRAMES:
            if self._send(heapq.heappop(self._waiting)[1], now_s, sent):
                self._allowance -= 1
        return sent

    def acknowledge(
        self,
        session: SessionId,
        next_expected: int,
        ranges: Sequence[tuple[int, int]],
        now_s: float,
    ) -> None:
        """Forget what was committed, and queue again what was lost.

        A frame was lost when one that was sent after it is acknowledged and it is not.
        """
        frames = self._sessions.get(session, OrderedDict())
        done = [frame for frame in frames.values() if _covers(next_expected, ranges, frame)]
        latest = max((f.sending for f in done if f.sending is not None), default=-1)
        for frame in done:
            self._forget(frame)
        self.acknowledged += len(done)
        if done and frames:
            self._progress_s[session] = now_s
        for frame in frames.values():
            if frame.sending is not None and frame.sending < latest:
                self._wait(frame)

    def link_lost(self) -> None:
        """All that was in flight or live becomes backlog."""
        for frame in [*self._in_flight.values(), *self._live]:
            self._wait(frame)
        self._live.clear()

    def oldest(self, session: SessionId) -> int | None:
        """The oldest sequence that is still held of a session."""
        return next(iter(self._sessions.get(session, ())), None)

    def newest(self) -> dict[SessionId, int]:
        """The newest sequence that is held of each session, oldest session first."""
        return {session: next(reversed(held)) for session, held in self._sessions.items()}

    def frames(self) -> Iterator[bytes]:
        """All held frames, oldest first."""
        for frames in self._sessions.values():
            yield from (frame.sealed for frame in frames.values())

    def _send(self, frame: HeldFrame, now_s: float, sent: list[bytes]) -> bool:
        if not self._holds(frame):
            return False
        self.resent += frame.sent_s is not None
        frame.sending, frame.sent_s = self._sendings, now_s
        self._sendings += 1
        self._in_flight[frame.sending] = frame
        sent.append(frame.sealed)
        return True

    def _give_up_waiting(self, now_s: float) -> None:
        waited_s = now_s - self.resend_after_s
        for frame in list(self._in_flight.values()):
            progress_s = self._progress_s.get(frame.session, waited_s)
            if frame.sent_s is not None and max(frame.sent_s, progress_s) <= waited_s:
                self._wait(frame)

    def _wait(self, frame: HeldFrame) -> None:
        if frame.sending is not None:
            del self._in_flight[frame.sending]
            frame.sending = None
        heapq.heappush(self._waiting, (frame.age, frame))

    def _forget(self, frame: HeldFrame) -> None:
        frames = self._sessions[frame.session]
        del frames[frame.sequence]
        if not frames:
            del self._sessions[frame.session]
            self._progress_s.pop(frame.session, None)
        if frame.sending is not None:
            del self._in_flight[frame.sending]
        self.held -= 1

    def _oldest(self) -> HeldFrame:
        return next(iter(next(iter(self._sessions.values())).values()))

    def _holds(self, frame: HeldFrame) -> bool:
        return frame.sequence in self._sessions.get(frame.session, ())


def _covers(next_expected: int, ranges: Sequence[tuple[int, int]], frame: HeldFrame) -> bool:
    in_range = any(first <= frame.sequence <= last for first, last in ranges)
    return frame.sequence < next_expected or in_range
