"""What the writer remembers between transactions, so that a frame costs no query."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.messages import SessionId
from gateway.session import SequenceRanges
from gateway.store.entries import JournalId
from gateway.store.frame_index import newest_number
from gateway.store.schema import checkpoints, frames, gaps, received_ranges, sessions

MAX_KNOWN_SESSIONS = 64  # 8 sensors, each with older sessions whose backlog still comes

_upsert_ranges = upsert(received_ranges)
_UPSERT_RANGES = _upsert_ranges.on_conflict_do_update(
    index_elements=["session_id", "first_sequence"],
    set_={"last_sequence": _upsert_ranges.excluded.last_sequence},
)


@dataclass(slots=True)
class KnownSession:
    """A session's row, and its received sequences as they will stand after this transaction."""

    row_id: int
    sample_rate_hz: int
    wall_offset_s: float | None
    received: SequenceRanges
    stored_ranges: dict[int, int]  # first → last, as the table has them
    clock_unsynced: bool

    def time_of(self, sample: int, otherwise_s: float) -> float:
        """Unix seconds of a sample; `otherwise_s` where the session's start is not known."""
        if self.wall_offset_s is None:
            return otherwise_s
        return self.wall_offset_s + sample / self.sample_rate_hz

    def store_ranges(self, connection: Connection) -> None:
        """Bring the table up to `received`: few rows change, for ranges mostly grow."""
        current = dict(self.received.ranges())
        grown = [
            {"session_id": self.row_id, "first_sequence": first, "last_sequence": last}
            for first, last in current.items()
            if self.stored_ranges.get(first) != last
        ]
        joined = self.stored_ranges.keys() - current.keys()
        if grown:
            connection.execute(_UPSERT_RANGES, grown)
        if joined:
            connection.execute(
                delete(received_ranges)
                .where(received_ranges.c.session_id == self.row_id)
                .where(received_ranges.c.first_sequence.in_(joined))
            )
        self.stored_ranges = current


class KnownSessions:
    """The sessions lately written to, read from the tables when they are first asked for."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[SessionId, KnownSession] = OrderedDict()

    def forget(self) -> None:
        """The transaction was rolled back: what is remembered may never have happened."""
        self._sessions.clear()

    def named(self, connection: Connection, row_id: int) -> SessionId | None:
        """Whose row this is; None: no session's."""
        row = connection.execute(select(sessions).where(sessions.c.id == row_id)).first()
        return None if row is None else SessionId(row.device_id, row.boot_id, row.salt)

    def get(self, connection: Connection, session: SessionId) -> KnownSession:
        """Raises `LookupError` where the session has not been started."""
        known = self._sessions.get(session) or _read_session(connection, session)
        self._sessions[session] = known
        self._sessions.move_to_end(session)
        return known

    def trim(self) -> None:
        """Between transactions: let go of the sessions that were not written to for longest."""
        while len(self._sessions) > MAX_KNOWN_SESSIONS:
            self._sessions.popitem(last=False)


def newest_journal_id(connection: Connection) -> JournalId:
    """The highest number that anything in the index knows; the next one is new."""
    columns = (frames.c.journal_id, gaps.c.journal_id, checkpoints.c.journal_id)
    of_tables = (connection.scalar(select(func.max(c))) or 0 for c in columns)
    return JournalId(max(newest_number(connection), *of_tables))


def _read_session(connection: Connection, session: SessionId) -> KnownSession:
    row = connection.execute(
        select(sessions).where(
            sessions.c.device_id == session.device_id,
            sessions.c.boot_id == session.boot_id,
            sessions.c.salt == session.salt,
        )
    ).first()
    if row is None:
        raise LookupError(f"{session.name} has not been started")
    ranges = tuple(
        (r.first_sequence, r.last_sequence)
        for r in connection.execute(
            select(received_ranges).where(received_ranges.c.session_id == row.id)
        )
    )
    return KnownSession(
        row.id,
        row.sample_rate_hz,
        row.wall_offset_s,
        SequenceRanges(ranges),
        dict(ranges),
        bool(row.clock_unsynced),
    )
