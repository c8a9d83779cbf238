"""The one writer: frames into their file first, then all entries into the tables.

What a restart finds again by replaying the journal (beats, checkpoints, a minute's figures) may
wait for the tables: a frame is durable when `take` returns, and where the tables had not learned
of it the next start tells them. Alarms and what people command never wait: see `may_wait`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.config import StoreConfig
from gateway.messages import FrameSequence, SessionId
from gateway.store.beds import SensorStays
from gateway.store.entries import (
    BedCommand,
    BedCommandRefused,
    Checkpoint,
    DeclaredGap,
    Entry,
    Found,
    JournalId,
    MinuteSummary,
    SecurityEvent,
    SessionStarted,
    SessionTimed,
    StoredFrame,
)
from gateway.store.frame_blocks import MAX_ENTRIES, Filed, FiledFrame, FiledGap
from gateway.store.frame_files import FrameAppender, FrameFiles, Place, frames_folder
from gateway.store.frame_index import frames_between, last_place
from gateway.store.known_models import KnownModels
from gateway.store.known_sessions import KnownSessions, newest_journal_id
from gateway.store.outbox import remove_delivered
from gateway.store.redating import redate
from gateway.store.retention import Retention, remove_oldest_file
from gateway.store.rows import Memory, Numbered, Transaction, start_session
from gateway.store.salvage import Salvage, salvage_note

FRAME_CONFLICT = "frame conflict"
BLOCKS_INDEXED_AT_ONCE = 64  # at a start after a crash: some 5 minutes of frames


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


def may_wait(entry: Entry | BedCommand) -> bool:
    """Whether a restart would find the entry again, so that the tables may learn of it later.

    Signal that came late is looked for in the tables as soon as it is durable.
    """
    match entry:
        case StoredFrame() | Found():
            return not entry.late
        case DeclaredGap() | Checkpoint() | MinuteSummary() | SessionTimed():
            return True
    return False


class StoreWriter:
    """What it remembers between transactions is only what tables and frame files say."""

    def __init__(self, engine: Engine, now: Callable[[], float]) -> None:
        """Tells the tables of frames that they missed. `now` gives Unix seconds."""
        self._engine = engine
        self._now = now
        self._memory = Memory(KnownSessions(), SensorStays(), KnownModels())
        self._files = FrameFiles(frames_folder(Path(str(engine.url.database))))
        self._appender = FrameAppender(self._files)
        self._retention = Retention(self._files)
        self._waiting: list[Numbered] = []
        self._unindexed: dict[tuple[SessionId, FrameSequence], bytes] = {}
        self._path = Path(str(engine.url.database))
        self._journal_id = self._index_what_was_missed()
        self._salvage = self._salvaging() if salvage_note(self._path).exists() else None

    def write(self, entries: Sequence[Entry | BedCommand]) -> Commit:
        """`take` and `index` in one; where the latter raises, nothing is in the tables."""
        commit = self.take(entries)
        return replace(commit, refused=self.index())

    def take(self, entries: Sequence[Entry | BedCommand]) -> Commit:
        """Put the frames into their file; all entries then wait for `index`.

        Raises SQLAlchemyError or OSError; then none of the entries was taken.
        """
        self._start_sessions(entry for entry in entries if isinstance(entry, SessionStarted))
        batch = _Batch(self._journal_id)
        with self._engine.begin() as connection:
            for order, entry in enumerate(entries):
                batch.order = order
                self._number(connection, batch, entry)
        places = self._append(batch.filed)
        self._journal_id = batch.journal_id
        for one in batch.numbered:
            is_frame = isinstance(one.entry, StoredFrame)
            place = places[one.journal_id] if is_frame else None
            self._waiting.append(replace(one, place=place))
        self._unindexed |= batch.frames
        committed = {session: tuple(done) for session, done in batch.committed.items()}
        return Commit(committed, tuple(batch.conflicts), {})

    def index(self) -> Mapping[int, BedCommandRefused]:
        """Write all that waits in one transaction, or raise SQLAlchemyError: then it still waits.

        Gives the bed commands of the last batch that did not fit.
        """
        try:
            with self._engine.begin() as connection:
                transaction = Transaction(connection, self._memory, self._now())
                for numbered in self._waiting:
                    transaction.add(numbered)
                refused = transaction.finish()
        except SQLAlchemyError:
            self._memory.forget()
            raise
        self._waiting.clear()
        self._unindexed.clear()
        self._memory.sessions.trim()
        return refused

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def remove_old(self, config: StoreConfig) -> bool:
        """One step of retention in a transaction of its own; True if more may be due."""
        with self._engine.begin() as connection:
            return self._retention.step(connection, config, self._now())

    def remove_delivered(self, message_ids: Sequence[str]) -> None:
        """Take rows out of the outbox that the cloud has, in a transaction of their own."""
        with self._engine.begin() as connection:
            remove_delivered(connection, message_ids)

    def redate(self) -> bool:
        """One step of dating anew what an unset clock has dated; True if more is due."""
        with self._engine.begin() as connection:
            return redate(connection, self._now())

    @property
    def is_salvaging(self) -> bool:
        """Whether some of a damaged database may still be found."""
        return self._salvage is not None

    def salvage(self) -> bool:
        """One step more of it; True if more is to do. Raises what `index` does."""
        if self._salvage is not None and next(self._salvage, None) is None:
            self._salvage = None
        return self._salvage is not None

    def _salvaging(self) -> Iterator[Place | bool]:
        """First the long tables, then the index of frames that lie in files of before."""
        salvage = Salvage(self._path)
        while salvage.step():
            yield True
        last = self._appender.end.file
        for number in self._files.numbers():
            for place, entries, _ in self._files.blocks(number) if number < last else ():
                self._index_missed(place, entries)
                self.index()
                yield place
        salvage.finish()

    def make_room(self) -> bool:
        """Remove the oldest waveforms; False where there are none but those being written."""
        return remove_oldest_file(self._files)

    def close(self) -> None:
        self._appender.close()
        self._engine.dispose()

    def _start_sessions(self, started: Iterable[SessionStarted]) -> None:
        """A frame's file names its session by the row, so the row is durable before it."""
        sessions = list(started)
        if sessions:
            with self._engine.begin() as connection:
                for session in sessions:
                    start_session(connection, session)

    def _number(self, connection: Connection, batch: _Batch, entry: Entry | BedCommand) -> None:
        match entry:
            case StoredFrame():
                self._number_frame(connection, batch, entry)
            case DeclaredGap(session, gap):
                row = self._memory.sessions.get(connection, session).row_id
                batch.file(entry, FiledGap(batch.next_number(), row, gap))
            case _:
                batch.add(entry)

    def _number_frame(self, connection: Connection, batch: _Batch, frame: StoredFrame) -> None:
        known = self._memory.sessions.get(connection, frame.session)
        key = frame.session, frame.sequence
        if key in batch.frames or key in self._unindexed or frame.sequence in known.received:
            sealed = batch.frames.get(key) or self._unindexed.get(key)
            if sealed is None:
                sealed = self._stored(connection, known.row_id, frame.sequence)
            if sealed is not None and sealed != frame.sealed:  # what is gone can't differ any more
                batch.conflict(frame)
                return
        else:
            batch.frames[key] = frame.sealed
            batch.file(
                frame,
                FiledFrame(
                    batch.next_number(),
                    known.row_id,
                    frame.sequence,
                    frame.sealed,
                    frame.received_s,
                    frame.late,
                ),
            )
        batch.committed[frame.session].append(frame.sequence)

    def _stored(self, connection: Connection, row_id: int, sequence: int) -> bytes | None:
        found = frames_between(connection, self._files, row_id, sequence, sequence)
        return found[0].sealed if found else None

    def _append(self, filed: Sequence[Filed]) -> dict[JournalId, Place]:
        places: dict[JournalId, Place] = {}
        for begin in range(0, len(filed), MAX_ENTRIES):
            block = filed[begin : begin + MAX_ENTRIES]
            place = self._appender.append(block)
            places |= dict.fromkeys((entry.journal_id for entry in block), place)
        return places

    def _index_what_was_missed(self) -> JournalId:
        """After a crash the tables may lag behind the files; gives the last number used."""
        with self._engine.begin() as connection:
            indexed = last_place(connection)
            newest = newest_journal_id(connection)
        newest_file = max(self._files.numbers(), default=0)
        # Where the index is gone, files before the newest are salvaged later.
        missed = self._appender.after(indexed, first_file=newest_file)
        for number, (place, entries) in enumerate(missed):
            newest = max(newest, entries[-1].journal_id)
            self._index_missed(place, entries)
            if number % BLOCKS_INDEXED_AT_ONCE == 0:
                self.index()
        self.index()
        return newest

    def _index_missed(self, place: Place, entries: Iterable[Filed]) -> None:
        """Let a block's entries wait for the index, as if they had just been filed."""
        with self._engine.begin() as connection:
            for order, entry in enumerate(entries):
                session = self._memory.sessions.named(connection, entry.session_row)
                if session is None:
                    continue
                if isinstance(entry, FiledGap):
                    missed: Entry = DeclaredGap(session, entry.gap)
                else:
                    missed = StoredFrame(
                        session, entry.sequence, entry.sealed, entry.received_s, entry.late
                    )
                self._waiting.append(Numbered(missed, entry.journal_id, place, order))


@dataclass(slots=True)
class _Batch:
    """The entries of one `take`, numbered in the order in which they came."""

    journal_id: JournalId
    numbered: list[Numbered] = field(default_factory=list)
    filed: list[Filed] = field(default_factory=list)
    frames: dict[tuple[SessionId, FrameSequence], bytes] = field(default_factory=dict)
    committed: dict[SessionId, list[FrameSequence]] = field(
        default_factory=lambda: defaultdict(list)
    )
    conflicts: list[StoredFrame] = field(default_factory=list)
    order: int = 0  # of the entry in hand among all

    def next_number(self) -> JournalId:
        return JournalId(self.journal_id + 1)

    def file(self, entry: Entry, filed: Filed) -> None:
        self.journal_id = filed.journal_id
        self.filed.append(filed)
        self.add(entry)

    def add(self, entry: Entry | BedCommand) -> None:
        self.numbered.append(Numbered(entry, self.journal_id, None, self.order))

    def conflict(self, frame: StoredFrame) -> None:
        """Other valid bytes under one sequence: no honest sensor does this."""
        self.conflicts.append(frame)
        detail = f"{frame.session.name} sequence {frame.sequence}: other bytes are stored"
        event = SecurityEvent(frame.received_s, FRAME_CONFLICT, detail, frame.session.device_id)
        self.add(event)
