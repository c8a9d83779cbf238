"""Entries → rows, one transaction at a time. All of it runs on the recorder's thread."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    FrameSequence,
    RhythmEvent,
    SessionId,
)
from gateway.store.beds import SensorStays, apply_bed_command, note_sensor
from gateway.store.entries import (
    AlarmChanged,
    BedCommand,
    BedCommandRefused,
    Checkpoint,
    DeclaredGap,
    Entry,
    Found,
    JournalId,
    LateStretchAnalysed,
    MinuteSummary,
    OutboxDelivered,
    SecurityEvent,
    SessionFinished,
    SessionStarted,
    SessionTimed,
    StayId,
    StoredFrame,
)
from gateway.store.known_models import KnownModels
from gateway.store.known_sessions import KnownSession, KnownSessions, newest_journal_id
from gateway.store.reports import (
    note_security_event,
    remove_delivered,
    report_alarm,
    report_summary,
)
from gateway.store.retention import remove_old
from gateway.store.schema import beats, checkpoints, events, frames, gaps, sessions

FRAME_CONFLICT = "frame conflict"

_INSERT_FRAMES = insert(frames)
_INSERT_GAP = upsert(gaps).on_conflict_do_nothing()
_INSERT_BEATS = upsert(beats).on_conflict_do_nothing()
_upsert_events = upsert(events)
_UPSERT_EVENTS = _upsert_events.on_conflict_do_update(
    index_elements=["session_id", "kind", "onset"],
    set_={"end": func.coalesce(_upsert_events.excluded.end, events.c.end)},
)
_INSERT_SESSION = upsert(sessions).on_conflict_do_nothing()
_REPLACE_CHECKPOINT = insert(checkpoints).prefix_with("OR REPLACE")


@dataclass(frozen=True, slots=True)
class Commit:
    """What has become durable.

    `frames` are to be acknowledged, repeats of the same bytes among them. `conflicts` are not:
    other valid bytes were stored under that sequence before. `refused` are the bed commands that
    did not fit, by their place among the entries.
    """

    frames: Mapping[SessionId, tuple[FrameSequence, ...]]
    conflicts: tuple[StoredFrame, ...]
    refused: Mapping[int, BedCommandRefused]


class StoreWriter:
    """The one writer. What it remembers between transactions is only what the tables say."""

    def __init__(self, engine: Engine, now: Callable[[], float]) -> None:
        """`now` gives Unix seconds."""
        self._engine = engine
        self._now = now
        self._sessions = KnownSessions()
        self._stays = SensorStays()
        self._models = KnownModels()
        self._journal_id: JournalId | None = None

    def write(self, entries: Sequence[Entry | BedCommand]) -> Commit:
        """Write all entries in one transaction, or none: then raises SQLAlchemy's error."""
        try:
            with self._engine.begin() as connection:
                transaction = _Transaction(
                    connection,
                    self._sessions,
                    self._stays,
                    self._models,
                    self._journal_id,
                    self._now(),
                )
                for place, entry in enumerate(entries):
                    transaction.add(place, entry)
                commit = transaction.finish()
        except SQLAlchemyError:
            self._sessions.forget()
            self._stays.forget()
            self._models.forget()
            self._journal_id = None
            raise
        self._journal_id = transaction.journal_id
        self._sessions.trim()
        return commit

    def remove_old(self, waveform_days: int) -> bool:
        """One step of retention in a transaction of its own; True if more may be due."""
        with self._engine.begin() as connection:
            return remove_old(connection, self._now(), waveform_days)

    def close(self) -> None:
        self._engine.dispose()


class _Transaction:
    """Rows of the many-row tables are gathered and written together at the end."""

    def __init__(
        self,
        connection: Connection,
        known: KnownSessions,
        sensor_stays: SensorStays,
        models: KnownModels,
        journal_id: JournalId | None,
        now_s: float,
    ) -> None:
        self._connection = connection
        self._known = known
        self._stays = sensor_stays
        self._models = models
        self._now_s = now_s
        self.journal_id = newest_journal_id(connection) if journal_id is None else journal_id
        self._frames: dict[tuple[int, FrameSequence], dict[str, Any]] = {}
        self._beats: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._grown: dict[int, KnownSession] = {}
        self._committed: dict[SessionId, list[FrameSequence]] = defaultdict(list)
        self._conflicts: list[StoredFrame] = []
        self._refused: dict[int, BedCommandRefused] = {}

    def add(self, place: int, entry: Entry | BedCommand) -> None:
        match entry:
            case StoredFrame():
                self._frame(entry)
            case Found():
                self._found(entry)
            case DeclaredGap():
                self._gap(entry)
            case Checkpoint():
                self._checkpoint(entry)
            case SessionStarted():
                self._start_session(entry)
            case SessionTimed() | SessionFinished():
                self._change_session(entry)
            case LateStretchAnalysed():
                self._late_stretch(entry)
            case AlarmChanged():
                self._alarm(entry)
            case MinuteSummary():
                self._summary(entry)
            case SecurityEvent():
                note_security_event(self._connection, entry)
            case OutboxDelivered():
                remove_delivered(self._connection, entry)
            case _:
                self._bed_command(place, entry)

    def finish(self) -> Commit:
        """Write what was gathered."""
        if self._frames:
            self._connection.execute(_INSERT_FRAMES, list(self._frames.values()))
        if self._beats:
            self._connection.execute(_INSERT_BEATS, self._beats)
        if self._events:
            self._connection.execute(_UPSERT_EVENTS, self._events)
        for session in self._grown.values():
            session.store_ranges(self._connection)
        committed = {session: tuple(done) for session, done in self._committed.items()}
        return Commit(committed, tuple(self._conflicts), self._refused)

    def _session(self, session: SessionId) -> KnownSession:
        return self._known.get(self._connection, session)

    def _next_journal_id(self) -> JournalId:
        self.journal_id = JournalId(self.journal_id + 1)
        return self.journal_id

    def _stay_at(self, session: SessionId, sample: int, otherwise_s: float) -> StayId | None:
        at_s = self._session(session).time_of(sample, otherwise_s)
        return self._stays.at(self._connection, session.device_id, at_s)

    def _frame(self, frame: StoredFrame) -> None:
        known = self._session(frame.session)
        if frame.sequence in known.received:
            if not self._same_bytes(known, frame):
                self._conflict(frame)
                return
        else:
            self._new_frame(known, frame)
        self._committed[frame.session].append(frame.sequence)

    def _new_frame(self, known: KnownSession, frame: StoredFrame) -> None:
        first_sample = frame.sequence * SAMPLES_PER_FRAME
        self._frames[known.row_id, frame.sequence] = {
            "journal_id": self._next_journal_id(),
            "session_id": known.row_id,
            "sequence": frame.sequence,
            "sealed": frame.sealed,
            "received_s": frame.received_s,
            "stay_id": self._stay_at(frame.session, first_sample, frame.received_s),
            "late": int(frame.late),
        }
        known.received.add(frame.sequence, frame.sequence)
        self._grown[known.row_id] = known

    def _same_bytes(self, known: KnownSession, frame: StoredFrame) -> bool:
        """Against the stored frame. One that retention has taken can't differ any more."""
        gathered = self._frames.get((known.row_id, frame.sequence))
        if gathered is not None:
            return bool(gathered["sealed"] == frame.sealed)
        sealed = self._connection.scalar(
            select(frames.c.sealed).where(
                frames.c.session_id == known.row_id, frames.c.sequence == frame.sequence
            )
        )
        return sealed is None or sealed == frame.sealed

    def _conflict(self, frame: StoredFrame) -> None:
        self._conflicts.append(frame)
        detail = f"{frame.session.name} sequence {frame.sequence}: other bytes are stored"
        device_id = frame.session.device_id
        event = SecurityEvent(frame.received_s, FRAME_CONFLICT, detail, device_id)
        note_security_event(self._connection, event)

    def _gap(self, entry: DeclaredGap) -> None:
        values = {
            "journal_id": self._next_journal_id(),
            "session_id": self._session(entry.session).row_id,
            "start": entry.gap.start,
            "length": entry.gap.length,
            "reason": entry.gap.reason.value,
        }
        self._connection.execute(_INSERT_GAP, values)

    def _late_stretch(self, entry: LateStretchAnalysed) -> None:
        self._connection.execute(
            update(gaps)
            .where(gaps.c.session_id == self._session(entry.session).row_id)
            .where(gaps.c.start == entry.gap_start)
            .values(late_analysed=1)
        )

    def _found(self, found: Found) -> None:
        row_id = self._session(found.session).row_id
        for beat in found.beats:
            stay_id = self._stay_at(found.session, beat.r_sample, self._now_s)
            values = _beat_values(beat, row_id, stay_id, found.late)
            self._beats.append({**values, "model_id": self._model_id(found, beat)})
        for event in found.events:
            stay_id = self._stay_at(found.session, event.onset, self._now_s)
            self._events.append(_event_values(event, row_id, stay_id, found.late))

    def _model_id(self, found: Found, beat: Beat) -> int | None:
        return None if beat.label is None else self._models.row_id(self._connection, found.model)

    def _checkpoint(self, entry: Checkpoint) -> None:
        values = {
            "session_id": self._session(entry.session).row_id,
            "journal_id": self.journal_id,
            "state": entry.state,
        }
        self._connection.execute(_REPLACE_CHECKPOINT, values)

    def _change_session(self, entry: SessionTimed | SessionFinished) -> None:
        known = self._session(entry.session)
        change = update(sessions).where(sessions.c.id == known.row_id)
        match entry:
            case SessionTimed(_, wall_offset_s):
                known.wall_offset_s = wall_offset_s
                self._connection.execute(change.values(wall_offset_s=wall_offset_s))
            case SessionFinished():
                self._connection.execute(change.values(finished=1))
                self._connection.execute(
                    delete(checkpoints).where(checkpoints.c.session_id == known.row_id)
                )

    def _start_session(self, entry: SessionStarted) -> None:
        session = entry.session
        note_sensor(self._connection, session.device_id, entry.first_received_s)
        values = {
            "device_id": session.device_id,
            "boot_id": session.boot_id,
            "salt": session.salt,
            "sample_rate_hz": entry.sample_rate_hz,
            "key_generation": entry.key_generation,
            "first_received_s": entry.first_received_s,
            "wall_offset_s": entry.wall_offset_s,
        }
        self._connection.execute(_INSERT_SESSION, values)

    def _alarm(self, entry: AlarmChanged) -> None:
        row_id = None if entry.session is None else self._session(entry.session).row_id
        report_alarm(self._connection, entry, row_id, self._now_s)

    def _summary(self, entry: MinuteSummary) -> None:
        row_id = self._session(entry.session).row_id
        stay_id = self._stays.at(self._connection, entry.session.device_id, entry.minute_s)
        report_summary(self._connection, entry, row_id, stay_id, self._now_s)

    def _bed_command(self, place: int, command: BedCommand) -> None:
        try:
            apply_bed_command(self._connection, command)
        except BedCommandRefused as refusal:
            self._refused[place] = refusal
        self._stays.forget()


def _beat_values(beat: Beat, row_id: int, stay_id: StayId | None, late: bool) -> dict[str, Any]:
    label = beat.label
    return {
        "session_id": row_id,
        "r_sample": beat.r_sample,
        "amplitude_uv": beat.amplitude_uv,
        "rr_ms": beat.rr_ms,
        "searched_back": int(beat.searched_back),
        "beat_class": None if label is None else label.beat_class.value,
        "p_abnormal": None if label is None else label.p_abnormal,
        "stay_id": stay_id,
        "late": int(late),
    }


def _event_values(
    event: RhythmEvent, row_id: int, stay_id: StayId | None, late: bool
) -> dict[str, Any]:
    return {
        "session_id": row_id,
        "kind": event.kind.value,
        "onset": event.onset,
        "decided": event.decided,
        "end": event.end,
        "stay_id": stay_id,
        "late": int(late),
        "confidence": event.confidence,
        "evidence": json.dumps(event.evidence, separators=(",", ":")),
    }
