"""Read-only questions to the store: a restart's, the dashboard's, an export's.

Every answer is of frozen values. Each question is a read transaction of its own and a short one,
for a long one would keep the WAL from being folded back into the file.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, select

from gateway.messages import (
    AlarmState,
    DeviceId,
    FrameSequence,
    Gap,
    RhythmEvent,
    SampleIndex,
    SessionId,
)
from gateway.store.answers import (
    Bed,
    JournalledFrame,
    JournalledGap,
    Sensor,
    Stay,
    StoredAlarm,
    StoredBeat,
    StoredCheckpoint,
    StoredSession,
    alarm_of,
    beat_of,
    bed_of,
    event_of,
    gap_of,
    removed_gap,
    stored_frame,
    stored_session,
    summary_of,
)
from gateway.store.entries import (
    BedId,
    JournalId,
    MinuteSummary,
    SecurityEvent,
    StayId,
    StoredFrame,
)
from gateway.store.frame_blocks import FiledFrame
from gateway.store.frame_files import FrameFiles, frames_folder
from gateway.store.frame_index import (
    frame_of_table,
    frames_between,
    frames_of_runs,
    runs_after,
)
from gateway.store.reader_engine import reader_engine
from gateway.store.schema import (
    alarms,
    assignments,
    beats,
    beds,
    checkpoints,
    events,
    frame_runs,
    frames,
    gaps,
    models,
    received_ranges,
    removed_frames,
    security_events,
    sensors,
    sessions,
    stays,
    summaries,
)

JOURNAL_PAGE_ROWS = 256  # 0.1 MB of frames in memory at a time, however long the journal is
JOURNAL_PAGE_RUNS = 64  # whose frames are read block by block


class Reader:
    """Any thread may ask. A store with newer or older tables raises SQLAlchemy's errors."""

    def __init__(self, path: Path) -> None:
        self._engine = reader_engine(path)
        self._files = FrameFiles(frames_folder(path))

    def close(self) -> None:
        self._engine.dispose()

    def open_sessions(self) -> list[StoredSession]:
        """Sessions that are not finished, oldest first."""
        return [stored_session(r) for r in self._rows(_sessions().where(sessions.c.finished == 0))]

    def session(self, session: SessionId) -> StoredSession | None:
        rows = self._rows(_sessions().where(_is_session(session)))
        return stored_session(rows[0]) if rows else None

    def sessions_of(self, device_id: DeviceId) -> list[StoredSession]:
        """All sessions of a sensor, oldest first."""
        rows = self._rows(_sessions().where(sessions.c.device_id == device_id))
        return [stored_session(r) for r in rows]

    def checkpoint(self, session: SessionId) -> StoredCheckpoint | None:
        rows = self._rows(select(checkpoints).join(sessions).where(_is_session(session)))
        return StoredCheckpoint(JournalId(rows[0].journal_id), rows[0].state) if rows else None

    def received_ranges(
        self, session: SessionId
    ) -> tuple[tuple[FrameSequence, FrameSequence], ...]:
        """First and last of each run of sequences that ever came, kept beyond their frames."""
        rows = select(received_ranges).join(sessions).where(_is_session(session))
        return tuple(
            (FrameSequence(r.first_sequence), FrameSequence(r.last_sequence))
            for r in self._rows(rows.order_by(received_ranges.c.first_sequence))
        )

    def journal_after(
        self, session: SessionId, journal_id: JournalId | None
    ) -> Iterator[JournalledFrame | JournalledGap]:
        """Frames and gaps of the session in the order they came; None: from its beginning."""
        row_id = self._row_id(session)
        if row_id is None:
            return
        after = self._journal_begin(row_id) if journal_id is None else journal_id
        parts: tuple[Iterator[FiledFrame | JournalledGap], ...] = (
            self._table_frames_after(row_id, after),
            self._filed_frames_after(row_id, after),
            self._gaps_after(row_id, after),
        )
        for entry in heapq.merge(*parts, key=lambda entry: entry.journal_id):
            if isinstance(entry, FiledFrame):
                yield JournalledFrame(entry.journal_id, stored_frame(session, entry))
            else:
                yield entry

    def frame(self, session: SessionId, sequence: FrameSequence) -> StoredFrame | None:
        found = self.frames(session, sequence, sequence)
        return found[0] if found else None

    def last_arrival(
        self, session: SessionId, first: FrameSequence, last: FrameSequence
    ) -> JournalId | None:
        """Where in the journal the newest frame of `first` to `last` is; None: there is none."""
        found = self._frames(session, first, last)
        return max((frame.journal_id for frame in found), default=None)

    def frames(
        self,
        session: SessionId,
        first: FrameSequence,
        last: FrameSequence,
        until: JournalId | None = None,
    ) -> list[StoredFrame]:
        """The stored frames from `first` to `last`, both included, in order of sequence.

        `until` leaves out what came later than that place in the journal.
        """
        return [
            stored_frame(session, frame)
            for frame in self._frames(session, first, last)
            if until is None or frame.journal_id <= until
        ]

    def removed(self, session: SessionId) -> list[Gap]:
        """Signal that was stored and had to go, in order of the axis."""
        rows = select(removed_frames).join(sessions).where(_is_session(session))
        return [removed_gap(r) for r in self._rows(rows.order_by(removed_frames.c.first_sequence))]

    def gaps_to_fill(self, session: SessionId) -> list[Gap]:
        """Gaps whose late frames have not been analysed, in order of the axis."""
        rows = (
            select(gaps)
            .join(sessions)
            .where(_is_session(session), gaps.c.late_analysed == 0)
            .order_by(gaps.c.start)
        )
        return [gap_of(r) for r in self._rows(rows)]

    def beats(self, session: SessionId, start: SampleIndex, end: SampleIndex) -> list[StoredBeat]:
        """Beats whose R sample lies in start ≤ R < end."""
        rows = (
            select(beats, models.c.short_hash)
            .join(sessions)
            .join(models, isouter=True)
            .where(_is_session(session), beats.c.r_sample >= start, beats.c.r_sample < end)
            .order_by(beats.c.r_sample)
        )
        return [beat_of(r) for r in self._rows(rows)]

    def events(self, session: SessionId) -> list[RhythmEvent]:
        """All rhythm events of the session, by onset."""
        rows = select(events).join(sessions).where(_is_session(session))
        return [event_of(r) for r in self._rows(rows.order_by(events.c.onset, events.c.kind))]

    def summaries(self, session: SessionId) -> list[MinuteSummary]:
        rows = select(summaries).join(sessions).where(_is_session(session))
        return [summary_of(session, r) for r in self._rows(rows.order_by(summaries.c.minute_s))]

    def beds(self) -> list[Bed]:
        """All beds by name."""
        rows = (
            select(beds, stays.c.id.label("stay_id"), stays.c.limits, assignments.c.device_id)
            .join(stays, _open_stay(), isouter=True)
            .join(assignments, _assigned_to_bed(), isouter=True)
            .order_by(beds.c.name)
        )
        return [bed_of(r) for r in self._rows(rows)]

    def sensors(self) -> list[Sensor]:
        """All sensors that were ever seen or assigned."""
        rows = select(sensors, assignments.c.bed_id).join(
            assignments,
            and_(
                assignments.c.device_id == sensors.c.device_id,
                assignments.c.released_s.is_(None),
            ),
            isouter=True,
        )
        return [
            Sensor(DeviceId(r.device_id), r.first_seen_s, r.bed_id)
            for r in self._rows(rows.order_by(sensors.c.device_id))
        ]

    def stays(self, bed: BedId) -> list[Stay]:
        """All stays of the bed, newest first."""
        rows = select(stays).where(stays.c.bed_id == bed).order_by(stays.c.id.desc())
        return [
            Stay(StayId(r.id), BedId(r.bed_id), r.admitted_s, r.discharged_s)
            for r in self._rows(rows)
        ]

    def open_alarms(self) -> list[StoredAlarm]:
        """Alarms that are not over, oldest first."""
        not_ended = alarms.c.state != AlarmState.ENDED.value
        return [alarm_of(r) for r in self._rows(_alarms().where(not_ended).order_by(alarms.c.id))]

    def alarm_history(self, limit: int) -> list[StoredAlarm]:
        """The last `limit` alarms, newest first."""
        return [
            alarm_of(r) for r in self._rows(_alarms().order_by(alarms.c.id.desc()).limit(limit))
        ]

    def security_events(self, limit: int) -> list[SecurityEvent]:
        """The last `limit` security events, newest first."""
        rows = select(security_events).order_by(security_events.c.id.desc()).limit(limit)
        return [
            SecurityEvent(r.occurred_s, r.kind, r.detail, r.device_id) for r in self._rows(rows)
        ]

    def _rows(self, question: Select[Any]) -> list[Row[Any]]:
        with self._engine.connect() as connection:
            return list(connection.execute(question))

    def _row_id(self, session: SessionId) -> int | None:
        with self._engine.connect() as connection:
            return connection.scalar(select(sessions.c.id).where(_is_session(session)))

    def _frames(self, session: SessionId, first: int, last: int) -> list[FiledFrame]:
        row_id = self._row_id(session)
        if row_id is None:
            return []
        with self._engine.connect() as connection:
            return frames_between(connection, self._files, row_id, first, last)

    def _journal_begin(self, row_id: int) -> JournalId:
        """Just before the first journalled entry of the session."""
        firsts = [
            row[0]
            for table in (frames, frame_runs, gaps)
            for row in self._rows(
                select(func.min(table.c.journal_id)).where(table.c.session_id == row_id)
            )
            if row[0] is not None
        ]
        return JournalId(min(firsts, default=1) - 1)

    def _filed_frames_after(self, row_id: int, after: JournalId) -> Iterator[FiledFrame]:
        while runs := self._rows(runs_after(row_id, after, JOURNAL_PAGE_RUNS)):
            for frame in frames_of_runs(self._files, runs):
                if frame.journal_id > after:
                    yield frame
            after = JournalId(runs[-1].last_journal_id)

    def _table_frames_after(self, row_id: int, after: JournalId) -> Iterator[FiledFrame]:
        while page := self._rows(_page(frames, row_id, after)):
            for row in page:
                yield frame_of_table(row)
            after = JournalId(page[-1].journal_id)

    def _gaps_after(self, row_id: int, after: JournalId) -> Iterator[JournalledGap]:
        while page := self._rows(_page(gaps, row_id, after)):
            for row in page:
                yield JournalledGap(JournalId(row.journal_id), gap_of(row))
            after = JournalId(page[-1].journal_id)


def _sessions() -> Select[Any]:
    return select(sessions).order_by(sessions.c.id)


def _is_session(session: SessionId) -> ColumnElement[bool]:
    return and_(
        sessions.c.device_id == session.device_id,
        sessions.c.boot_id == session.boot_id,
        sessions.c.salt == session.salt,
    )


def _open_stay() -> ColumnElement[bool]:
    return and_(stays.c.bed_id == beds.c.id, stays.c.discharged_s.is_(None))


def _assigned_to_bed() -> ColumnElement[bool]:
    return and_(assignments.c.bed_id == beds.c.id, assignments.c.released_s.is_(None))


def _alarms() -> Select[Any]:
    return select(alarms, beds.c.name.label("bed_name")).join(beds)


def _page(table: Table, row_id: int, after: JournalId) -> Select[Any]:
    """`+ 0` keeps SQLite off the session's index, which would sort the whole session first."""
    return (
        select(table)
        .where(table.c.session_id + 0 == row_id, table.c.journal_id > after)
        .order_by(table.c.journal_id)
        .limit(JOURNAL_PAGE_ROWS)
    )
