"""Frame files: blocks whole or not at all, torn tails, damage, and what the tables missed."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages import FrameSequence, Gap, GapReason, SampleIndex, SessionId
from gateway.store import frame_files
from gateway.store.answers import JournalledFrame
from gateway.store.database import writer_engine
from gateway.store.entries import DeclaredGap, JournalId, SessionStarted, StoredFrame
from gateway.store.frame_blocks import (
    PAGE_BYTES,
    BlockDamaged,
    Filed,
    FiledFrame,
    FiledGap,
    decode_block,
    encode_block,
)
from gateway.store.frame_files import FrameAppender, FrameFiles, frames_folder
from gateway.store.reader import Reader
from gateway.store.transactions import StoreWriter
from tests.store.contents import NOW_S, frame


def filed(number: int, sealed_bytes: int = 434) -> FiledFrame:
    sealed = random.Random(number).randbytes(sealed_bytes)
    return FiledFrame(JournalId(number), 1, FrameSequence(number), sealed, NOW_S, bool(number % 2))


def batch(first: int, count: int = 5) -> list[Filed]:
    return [filed(number) for number in range(first, first + count)]


def append(folder: Path, *batches: list[Filed]) -> None:
    appender = FrameAppender(FrameFiles(folder))
    assert list(appender.after(None)) == []
    for entries in batches:
        appender.append(entries)
    appender.close()


def found_in(folder: Path) -> list[list[Filed]]:
    """The whole blocks; then one more block is appended and must be found behind them."""
    appender = FrameAppender(FrameFiles(folder))
    blocks = [entries for _, entries in appender.after(None)]
    appender.append(batch(900))
    appender.close()
    again = [entries for _, entries in FrameAppender(FrameFiles(folder)).after(None)]
    assert again == [*blocks, batch(900)]
    return blocks


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@given(st.integers(1, 2**31), st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_a_block_gives_back_what_was_put_in(first: int, lengths: list[int]) -> None:
    entries: list[Filed] = [filed(first + n, length) for n, length in enumerate(lengths)]
    gap = Gap(SampleIndex(187), 374, GapReason.INVALID)
    entries.append(FiledGap(JournalId(first + len(lengths)), 2**32 - 1, gap))
    block = encode_block(entries)
    assert len(block) % PAGE_BYTES == 0
    assert decode_block(block) == entries


@settings(max_examples=300)
@given(st.data())
def test_a_changed_bit_is_found(data: st.DataObject) -> None:
    block = bytearray(encode_block(batch(1, 3)))
    used = 28 + 3 * (20 + 434)
    bit = data.draw(st.integers(0, 8 * used - 1))
    block[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BlockDamaged):
        decode_block(bytes(block))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_block(noise: bytes) -> None:
    with pytest.raises(BlockDamaged):
        decode_block(noise)


@pytest.mark.parametrize("kept", [*range(0, PAGE_BYTES, 293), PAGE_BYTES - 1])
def test_a_torn_last_block_is_cut_at_each_place(tmp_path: Path, kept: int) -> None:
    append(tmp_path, batch(1), batch(6), batch(11))
    with only_file(tmp_path).open("r+b") as file:
        file.truncate(2 * PAGE_BYTES + kept)
    whole = kept >= 28 + 5 * (20 + 434)
    blocks = found_in(tmp_path)
    assert blocks[:2] == [batch(1), batch(6)]
    assert len(blocks) == (3 if whole else 2)


@pytest.mark.parametrize("garbage", [b"\xff" * PAGE_BYTES, b"ECGB" * 2000, bytes(100_000)])
def test_garbage_behind_the_last_block_is_cut(tmp_path: Path, garbage: bytes) -> None:
    append(tmp_path, batch(1))
    with only_file(tmp_path).open("ab") as file:
        file.write(garbage)
    assert found_in(tmp_path) == [batch(1)]


def test_a_damaged_block_costs_itself_alone(tmp_path: Path) -> None:
    append(tmp_path, batch(1), batch(6), batch(11))
    with only_file(tmp_path).open("r+b") as file:
        file.seek(PAGE_BYTES + 1000)
        file.write(b"damage")
    assert found_in(tmp_path) == [batch(1), batch(11)]


def test_a_full_file_is_closed_and_the_next_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_files, "FILE_BYTES", 2 * PAGE_BYTES)
    append(tmp_path, *(batch(5 * n + 1) for n in range(5)))
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert sizes == [2 * PAGE_BYTES, 2 * PAGE_BYTES, PAGE_BYTES]
    assert found_in(tmp_path) == [batch(5 * n + 1) for n in range(5)]


def test_a_start_at_the_end_of_a_full_file_begins_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_files, "FILE_BYTES", 2 * PAGE_BYTES)
    append(tmp_path, batch(1), batch(6))
    assert found_in(tmp_path) == [batch(1), batch(6)]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_append_that_fails_appends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appender = FrameAppender(FrameFiles(tmp_path))
    assert list(appender.after(None)) == []
    appender.append(batch(1))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail_with(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            appender.append(batch(6, 20))
    appender.append(batch(6))
    appender.close()
    assert found_in(tmp_path) == [batch(1), batch(6)]


def fail_with(code: int):
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_restart_tells_the_tables_what_they_missed(
    store: Path, writer: StoreWriter, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, frame(session, 0)])
    gap = Gap(SampleIndex(187), 187)
    writer.take([DeclaredGap(session, gap), frame(session, 2)])
    commit = writer.take([frame(session, 3)])
    assert commit.frames == {session: (3,)}  # durable, though no table knows it yet
    StoreWriter(writer_engine(store), lambda: NOW_S).close()  # the next start after a crash
    reader = Reader(store)
    journal = list(reader.journal_after(session, None))
    reader.close()
    assert [entry.journal_id for entry in journal] == [1, 2, 3, 4]
    found = [e.frame if isinstance(e, JournalledFrame) else e.gap for e in journal]
    assert found == [frame(session, 0), gap, frame(session, 2), frame(session, 3)]


def test_numbers_go_on_after_a_restart(
    store: Path, writer: StoreWriter, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started])
    writer.take([frame(session, 0)])
    second = StoreWriter(writer_engine(store), lambda: NOW_S)
    assert second.write([frame(session, 0)]).frames == {session: (0,)}
    second.write([frame(session, 1)])
    second.close()
    reader = Reader(store)
    assert [e.journal_id for e in reader.journal_after(session, None)] == [1, 2]
    reader.close()


def test_frames_of_a_session_that_no_table_knows_are_left_alone(store: Path) -> None:
    append(frames_folder(store), batch(1))
    StoreWriter(writer_engine(store), lambda: NOW_S).close()


def test_a_damaged_block_reads_as_missing_frames(
    store: Path, reader: Reader, writer: StoreWriter, session: SessionId, started: SessionStarted
) -> None:
    writer.write([started, frame(session, 0)])
    writer.write([frame(session, 1)])
    with only_file(frames_folder(store)).open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    assert [
        stored.sequence for stored in reader.frames(session, FrameSequence(0), FrameSequence(9))
    ] == [1]


_pwrite = os.pwrite


class FullDisk:
    """Takes so many pages of frames in all, and no more until files are removed."""

    def __init__(self, folder: Path, pages: int) -> None:
        self._folder, self._bytes = folder, pages * PAGE_BYTES

    def is_full_for(self, writer: StoreWriter, frame: StoredFrame) -> bool:
        try:
            writer.write([frame])
        except OSError as error:
            return error.errno == errno.ENOSPC
        return False

    def write(self, fd: int, content: bytes, offset: int) -> int:
        used = sum(path.stat().st_size for path in self._folder.iterdir())
        grown = max(0, offset + len(content) - os.fstat(fd).st_size)
        return _pwrite(fd, content[: max(0, self._bytes - used)] if grown else content, offset)


def test_a_full_disk_takes_the_oldest_waveforms_and_nothing_else(
    store: Path,
    reader: Reader,
    writer: StoreWriter,
    session: SessionId,
    started: SessionStarted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_files, "FILE_BYTES", 2 * PAGE_BYTES)
    monkeypatch.setattr(frame_files, "STRETCH_BYTES", PAGE_BYTES)
    disk = FullDisk(frames_folder(store), pages=6)
    monkeypatch.setattr(os, "pwrite", disk.write)
    writer.write([started])
    evicted = 0
    for sequence in range(20):
        while disk.is_full_for(writer, frame(session, sequence)):
            assert writer.make_room()
            evicted += 1
    assert evicted == 7
    stored = reader.frames(session, FrameSequence(0), FrameSequence(99))
    assert [each.sequence for each in stored] == list(range(14, 20))


@pytest.fixture
def written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrameAppender:
    """The third file is the first one, written over; the second is gone."""
    monkeypatch.setattr(frame_files, "FILE_BYTES", 3 * PAGE_BYTES)
    append(tmp_path, *(batch(5 * n + 1) for n in range(6)))
    files = FrameFiles(tmp_path)
    files.set_by(0)
    appender = FrameAppender(files)
    assert len(list(appender.after(None))) == 3
    appender.append(batch(31))
    return appender


def test_a_file_that_was_set_by_is_written_over(
    tmp_path: Path, written_over: FrameAppender
) -> None:
    files = FrameFiles(tmp_path)
    assert not files.spare.exists()
    assert files.numbers() == [1, 2]
    assert files.path(2).stat().st_size == 3 * PAGE_BYTES
    assert [entries for _, entries, _ in files.blocks(2)] == [batch(31)]
    written_over.append(batch(36))
    assert [entries for _, entries, _ in files.blocks(2)] == [batch(31), batch(36)]


def test_after_a_crash_old_blocks_of_a_spare_are_not_taken_for_new_ones(
    tmp_path: Path, written_over: FrameAppender
) -> None:
    again = [entries for _, entries in FrameAppender(FrameFiles(tmp_path)).after(None)]
    assert again[-2:] == [batch(26), batch(31)]


def test_a_crash_before_the_first_block_in_a_spare_begins_it_anew(tmp_path: Path) -> None:
    append(tmp_path, batch(1), batch(6))
    old = only_file(tmp_path).read_bytes()
    appender = FrameAppender(FrameFiles(tmp_path))
    list(appender.after(None))
    appender.append(batch(11))
    appender.close()
    FrameFiles(tmp_path).path(1).write_bytes(old)  # renamed, and nothing written yet
    assert found_in(tmp_path) == [batch(1), batch(6), batch(11)]


def test_there_is_one_spare_and_a_full_disk_takes_it(tmp_path: Path) -> None:
    files = FrameFiles(tmp_path)
    for number in range(3):
        files.path(number).write_bytes(encode_block(batch(1)))
    files.set_by(0)
    files.set_by(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000002.frames", "spare"]
    files.remove(2)
    assert list(tmp_path.iterdir()) == []


def test_a_block_is_written_over_bytes_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each `fdatasync` has metadata to write."""
    appender = FrameAppender(FrameFiles(tmp_path))
    assert list(appender.after(None)) == []
    appender.append(batch(1))
    sizes = {only_file(tmp_path).stat().st_size}
    for number in range(10):
        appender.append(batch(10 + 5 * number))
        sizes.add(only_file(tmp_path).stat().st_size)
    assert sizes == {frame_files.STRETCH_BYTES}
    appender.close()
    assert only_file(tmp_path).stat().st_size == 11 * PAGE_BYTES
