"""What age takes away: old waveforms, in steps short enough that the writer never holds long.

The record of received ranges stays, so a replay of a frame that is gone is still known as one.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from gateway.store.schema import frames

FRAMES_PER_STEP = 256  # 2–3 minutes of one sensor: some 5 ms here, 50 ms is the limit on a Pi
SECONDS_PER_DAY = 86_400


def remove_old_frames(connection: Connection, before_s: float) -> bool:
    """Remove the oldest frames received before that time; True if more may be due."""
    oldest = connection.execute(
        select(frames.c.journal_id, frames.c.received_s)
        .order_by(frames.c.journal_id)
        .limit(FRAMES_PER_STEP)
    ).all()
    old = [row.journal_id for row in oldest if row.received_s < before_s]
    if old:
        connection.execute(delete(frames).where(frames.c.journal_id.in_(old)))
    return len(old) == FRAMES_PER_STEP
