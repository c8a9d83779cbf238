"""Entries → rows, in one transaction. All of it runs on the recorder's thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.messages import SAMPLES_PER_FRAME, Beat, RhythmEvent, SessionId
from gateway.store.beds import SensorStays, apply_bed_command, note_sensor
from gateway.store.entries import (
    AlarmChanged,
    AlarmRedated,
    BedCommand,
    BedCommandRefused,
    Checkpoint,
    DeclaredGap,
    Entry,
    Found,
    JournalId,
    LateStretchAnalysed,
    MinuteSummary,
    SecurityEvent,
    SessionFinished,
    SessionStarted,
    SessionTimed,
    StayId,
    StoredFrame,
)
from gateway.store.frame_files import Place
from gateway.store.known_models import KnownModels
from gateway.store.known_sessions import KnownSession, KnownSessions
from gateway.store.redating import clock_known, redate_open_alarm
from gateway.store.reports import (
    note_security_event,
    report_alarm,
    report_summary,
)
from gateway.store.schema import beats, checkpoints, events, frame_runs, gaps, sessions

_INSERT_RUNS = upsert(frame_runs).on_conflict_do_nothing()
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
class Numbered:
    """An entry on its way to the index.

    `journal_id` is a frame's or gap's own number, of another entry the last one given before it;
    `place` is the block of a frame; `order` is the entry's place in its batch.
    """

    entry: Entry | BedCommand
    journal_id: JournalId
    place: Place | None
    order: int


@dataclass(slots=True)
class Memory:
    """What is remembered between transactions; it is only what the tables say."""

    sessions: KnownSessions
    stays: SensorStays
    models: KnownModels

    def forget(self) -> None:
        """The transaction was rolled back."""
        self.sessions.forget()
        self.stays.forget()
        self.models.forget()


class Transaction:
    """Rows of the many-row tables are gathered and written together at the end."""

    def __init__(self, connection: Connection, memory: Memory, now_s: float) -> None:
        self._connection = connection
        self._known = memory.sessions
        self._stays = memory.stays
        self._models = memory.models
        self._now_s = now_s
        self._runs: list[dict[str, Any]] = []
        self._open_runs: dict[int, dict[str, Any]] = {}
        self._beats: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._grown: dict[int, KnownSession] = {}
        self._refused: dict[int, BedCommandRefused] = {}

    def add(self, numbered: Numbered) -> None:
        match numbered.entry:
            case StoredFrame() as frame:
                self._frame(frame, numbered)
            case Found() as found:
                self._found(found)
            case DeclaredGap() as gap:
                self._gap(gap, numbered.journal_id)
            case Checkpoint() as checkpoint:
                self._checkpoint(checkpoint, numbered.journal_id)
            case SessionStarted() as started:
                start_session(self._connection, started)
            case SessionTimed() | SessionFinished() as change:
                self._change_session(change)
            case LateStretchAnalysed() as stretch:
                self._late_stretch(stretch)
            case AlarmChanged() as alarm:
                self._alarm(alarm)
            case AlarmRedated() as redated:
                redate_open_alarm(self._connection, redated, self._now_s)
            case MinuteSummary() as summary:
                self._summary(summary)
            case SecurityEvent() as event:
                note_security_event(self._connection, event)
            case command:
                self._bed_command(numbered.order, command)

    def finish(self) -> Mapping[int, BedCommandRefused]:
        """Write what was gathered; gives the bed commands that did not fit, by their order."""
        if self._runs:
            self._connection.execute(_INSERT_RUNS, self._runs)
        if self._beats:
            self._connection.execute(_INSERT_BEATS, self._beats)
        if self._events:
            self._connection.execute(_UPSERT_EVENTS, self._events)
        for session in self._grown.values():
            session.store_ranges(self._connection)
        return self._refused

    def _session(self, session: SessionId) -> KnownSession:
        return self._known.get(self._connection, session)

    def _stay_at(self, session: SessionId, sample: int, otherwise_s: float) -> StayId | None:
        at_s = self._session(session).time_of(sample, otherwise_s)
        return self._stays.at(self._connection, session.device_id, at_s)

    def _frame(self, frame: StoredFrame, numbered: Numbered) -> None:
        assert numbered.place is not None, "a frame is in a file before it is indexed"
        known = self._session(frame.session)
        stay_id = self._stay_at(frame.session, frame.sequence * SAMPLES_PER_FRAME, frame.received_s)
        place, late = numbered.place, int(frame.late)
        run = self._open_runs.get(known.row_id)
        same = (place.file, place.offset, stay_id, late, frame.sequence - 1)
        if run is None or same != _ends_with(run):
            run = _new_run(known.row_id, frame, numbered.journal_id, place, stay_id)
            self._open_runs[known.row_id] = run
            self._runs.append(run)
        run["last_journal_id"] = numbered.journal_id
        run["last_sequence"] = frame.sequence
        run["received_s"] = frame.received_s
        known.received.add(frame.sequence, frame.sequence)
        self._grown[known.row_id] = known

    def _gap(self, entry: DeclaredGap, journal_id: JournalId) -> None:
        values = {
            "journal_id": journal_id,
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

    def _checkpoint(self, entry: Checkpoint, journal_id: JournalId) -> None:
        values = {
            "session_id": self._session(entry.session).row_id,
            "journal_id": journal_id,
            "state": entry.state,
        }
        self._connection.execute(_REPLACE_CHECKPOINT, values)

    def _change_session(self, entry: SessionTimed | SessionFinished) -> None:
        known = self._session(entry.session)
        change = update(sessions).where(sessions.c.id == known.row_id)
        match entry:
            case SessionTimed(_, fit_s, error_s, unsynced, _):
                if known.clock_unsynced and not unsynced:
                    self._clock_known(known, entry)
                known.clock_unsynced = unsynced
                timed = {"wall_fit_s": fit_s, "wall_error_s": error_s}
                self._connection.execute(change.values(**timed, clock_unsynced=int(unsynced)))
            case SessionFinished():
                self._connection.execute(change.values(finished=1))
                self._connection.execute(
                    delete(checkpoints).where(checkpoints.c.session_id == known.row_id)
                )

    def _clock_known(self, known: KnownSession, entry: SessionTimed) -> None:
        clock_known(self._connection, known.row_id, entry)
        if known.wall_offset_s is not None:
            known.wall_offset_s += entry.wrong_by_s
        self._stays.forget()

    def _alarm(self, entry: AlarmChanged) -> None:
        row_id = None if entry.session is None else self._session(entry.session).row_id
        dated_by = entry.session or entry.dated_by
        clock = None if dated_by is None else self._session(dated_by)
        unsynced = clock.row_id if clock is not None and clock.clock_unsynced else None
        report_alarm(self._connection, entry, row_id, unsynced, self._now_s)

    def _summary(self, entry: MinuteSummary) -> None:
        known = self._session(entry.session)
        stay_id = self._stays.at(self._connection, entry.session.device_id, entry.minute_s)
        unsynced = known.clock_unsynced
        report_summary(self._connection, entry, known.row_id, stay_id, unsynced, self._now_s)

    def _bed_command(self, order: int, command: BedCommand) -> None:
        try:
            apply_bed_command(self._connection, command)
        except BedCommandRefused as refusal:
            self._refused[order] = refusal
        self._stays.forget()


def start_session(connection: Connection, entry: SessionStarted) -> None:
    """Make the session known, if it is not."""
    session = entry.session
    note_sensor(connection, session.device_id, entry.first_received_s)
    values = {
        "device_id": session.device_id,
        "boot_id": session.boot_id,
        "salt": session.salt,
        "sample_rate_hz": entry.sample_rate_hz,
        "key_generation": entry.key_generation,
        "first_received_s": entry.first_received_s,
        "wall_offset_s": entry.wall_offset_s,
    }
    connection.execute(_INSERT_SESSION, values)


def _new_run(
    row_id: int, frame: StoredFrame, journal_id: JournalId, place: Place, stay_id: StayId | None
) -> dict[str, Any]:
    return {
        "journal_id": journal_id,
        "session_id": row_id,
        "first_sequence": frame.sequence,
        "file": place.file,
        "offset": place.offset,
        "stay_id": stay_id,
        "late": int(frame.late),
    }


def _ends_with(run: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a frame must follow on to be of the same run."""
    return run["file"], run["offset"], run["stay_id"], run["late"], run["last_sequence"]


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
