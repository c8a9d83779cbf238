"""Store and outbox as one state machine: nothing acknowledged is lost, nothing is told twice.

Rules write, lose power, restore an old backup, deliver, refuse and prune in any order; a model in
plain sets says what must be there. The cloud's table drops a message id that it has, as the real
one does; so what it holds must be each fact once.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.messages import (
    AlarmState,
    DeviceId,
    FrameSequence,
    SessionId,
)
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import (
    AddBed,
    AlarmChanged,
    BedId,
    Found,
    SessionStarted,
)
from gateway.store.frame_files import frames_folder
from gateway.store.outbox import DeliveredRows, Lane, OutboxReader
from gateway.store.reader import Reader
from gateway.store.transactions import StoreWriter
from tests.store.contents import NOW_S, asystole, frame, unlabelled_beats

SESSION = SessionId(DeviceId(7), 1, bytes(16))
SEQUENCES = st.integers(0, 30)


def alarm(number: int) -> AlarmChanged:
    return AlarmChanged(BedId(1), asystole(number, AlarmState.ENDED))


class StoreStates(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "gateway.sqlite3"
        shutil.copy(self.template, self.path)
        self.cloud = self.folder / "delivered.sqlite3"
        with closing(sqlite3.connect(self.cloud)) as connection:
            connection.execute("CREATE TABLE settled (message_id PRIMARY KEY, outcome)")
        self.writer = self.new_writer()
        self.writer.write([AddBed("Bed 1"), SessionStarted(SESSION, 250, 0, NOW_S, None)])
        self.acknowledged: set[int] = set()
        self.raised: set[int] = set()  # alarms, by the second of their onset
        self.in_tables: dict[str, int] = {}  # the cloud's table: message id → onset
        self.refused: set[str] = set()
        self.next_alarm = 0
        self.backup: tuple[set[int], set[int]] | None = None

    def new_writer(self) -> StoreWriter:
        return StoreWriter(writer_engine(self.path), lambda: NOW_S)

    def teardown(self) -> None:
        self.writer.close()
        shutil.rmtree(self.folder)

    @rule(sequences=st.lists(SEQUENCES, max_size=6))
    def take(self, sequences: list[int]) -> None:
        entries = [frame(SESSION, sequence) for sequence in sequences]
        found = Found(SESSION, "0123abcd", unlabelled_beats(sequences))
        commit = self.writer.take([*entries, found])
        assert commit.frames == ({SESSION: tuple(sequences)} if sequences else {})
        self.acknowledged |= set(sequences)

    @rule()
    def index(self) -> None:
        self.writer.index()

    @rule(sequences=st.lists(SEQUENCES, max_size=3))
    def raise_alarm(self, sequences: list[int]) -> None:
        self.writer.write(
            [*(frame(SESSION, sequence) for sequence in sequences), alarm(self.next_alarm)]
        )
        self.acknowledged |= set(sequences)
        self.raised.add(self.next_alarm)
        self.next_alarm += 1

    @rule(again=st.booleans())
    def lose_power(self, again: bool) -> None:
        """The process ends without a word; the last append may be torn."""
        self.writer._engine.dispose()
        newest = max(frames_folder(self.path).glob("*"), default=None)
        if newest is not None:
            with newest.open("ab") as file:
                file.write(b"ECGB\x01" + bytes(3) + b"torn" * 100)
        for _ in range(1 + again):
            assert open_store(self.path).damage is None
            self.writer = self.new_writer()

    @precondition(lambda self: self.raised)
    @rule(data=st.data(), refuse=st.booleans())
    def publish(self, data: st.DataObject, refuse: bool) -> None:
        waiting = {key: onset for key, onset in self.pending().items() if key not in self.refused}
        if not waiting:
            return
        message_id = data.draw(st.sampled_from(sorted(waiting)))
        outcome = "refused" if refuse and message_id not in self.in_tables else "delivered"
        if outcome == "refused":
            self.refused.add(message_id)
        else:
            assert self.in_tables.setdefault(message_id, waiting[message_id]) == waiting[message_id]
        with closing(sqlite3.connect(self.cloud)) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO settled VALUES (?, ?)", (message_id, outcome)
            )

    @rule()
    def prune(self) -> None:
        delivered, _ = DeliveredRows(self.path, self.cloud).look()
        assert set(delivered) <= self.in_tables.keys()
        self.writer.remove_delivered(delivered)

    @rule()
    def back_up(self) -> None:
        self.writer.index()
        kept = self.folder / "backup"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        copy = kept / self.path.name
        with closing(sqlite3.connect(self.path)) as now, closing(sqlite3.connect(copy)) as target:
            now.backup(target)
        if frames_folder(self.path).exists():
            shutil.copytree(frames_folder(self.path), kept / frames_folder(self.path).name)
        self.backup = set(self.acknowledged), set(self.raised)

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        """What came after the backup is gone from here; new alarms must still all arrive."""
        assert self.backup is not None
        self.writer.close()
        for part in self.folder.glob("gateway.*"):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        for part in (self.folder / "backup").iterdir():
            copy = shutil.copytree if part.is_dir() else shutil.copy
            copy(part, self.folder / part.name)
        self.acknowledged, self.raised = set(self.backup[0]), set(self.backup[1])
        self.writer = self.new_writer()

    def pending(self) -> dict[str, int]:
        """Message id → onset of the alarm."""
        with closing(OutboxReader(self.path)) as outbox:
            rows = outbox.pending(Lane.ALARM, 0, 1000)
        return {row.message_id: int(json.loads(row.payload)["onset_s"]) for row in rows}

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        if self.writer.has_waiting:
            return  # it is in the files, and the next start or index finds it
        with closing(Reader(self.path)) as reader:
            found = reader.frames(SESSION, FrameSequence(0), FrameSequence(99))
        assert [each.sequence for each in found] == sorted(self.acknowledged)
        assert found == [frame(SESSION, each.sequence) for each in found]

    @invariant()
    def each_alarm_waits_or_has_arrived_once(self) -> None:
        with closing(Reader(self.path)) as reader:
            kept = {int(stored.alarm.onset_s) for stored in reader.alarm_history(1000)}
        assert kept == self.raised
        told = {**self.pending(), **self.in_tables}
        assert self.raised <= set(told.values())
        assert len(told) == len(set(told.values()))


def test_store_and_outbox_keep_every_promise(migrated: Path) -> None:
    machine = type("Machine", (StoreStates,), {"template": migrated})
    case = machine.TestCase
    case.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
    case().runTest()


@pytest.mark.parametrize("number", [0, 1])
def test_the_same_alarm_has_the_same_id_after_a_restore(
    migrated: Path, tmp_path: Path, number: int
) -> None:
    ids = set()
    for name in ("before", "after"):
        path = tmp_path / name / "gateway.sqlite3"
        path.parent.mkdir()
        shutil.copy(migrated, path)
        writer = StoreWriter(writer_engine(path), lambda: NOW_S)
        writer.write([AddBed("Bed 1"), alarm(number)])
        writer.close()
        with closing(OutboxReader(path)) as outbox:
            ids |= {row.message_id for row in outbox.pending(Lane.ALARM, 0, 9)}
    assert len(ids) == 1
