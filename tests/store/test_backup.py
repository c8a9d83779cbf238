"""Backups: whole or refused, taken while the writer writes, and put back with a way to undo it."""

from __future__ import annotations

import io
import random
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway import __main__ as command_line
from gateway.control.socket import SOCKET_NAME
from gateway.messages import DeviceId, FrameSequence, SessionId
from gateway.store import sealed_stream
from gateway.store.backup import BackupRefused, back_up, check, restore, undo_restore
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import AddBed, SessionStarted
from gateway.store.frame_files import frames_folder
from gateway.store.reader import Reader
from gateway.store.sealed_stream import OpeningReader, SealingWriter, StreamRefused
from gateway.store.transactions import StoreWriter
from tests.store.contents import NOW_S, frame

SESSION = SessionId(DeviceId(7), 1, bytes(range(16)))
PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase's work is scrypt's, not this test's."""
    monkeypatch.setattr(sealed_stream, "_SCRYPT_N", 2**4)


def fill(path: Path, *batches: range, index_last: bool = True) -> None:
    writer = StoreWriter(writer_engine(path), lambda: NOW_S)
    writer.write([SessionStarted(SESSION, 250, 0, NOW_S, NOW_S)])
    for number, batch in enumerate(batches):
        writer.take([frame(SESSION, sequence) for sequence in batch])
        if index_last or number < len(batches) - 1:
            writer.index()
    writer.close()


def sequences(path: Path) -> list[int]:
    with closing(Reader(path)) as reader:
        found = reader.frames(SESSION, FrameSequence(0), FrameSequence(999))
        assert found == [frame(SESSION, each.sequence) for each in found]
        return [each.sequence for each in found]


@pytest.mark.parametrize("length", [0, 1, 999, 1000, 1001, 5000])
def test_a_sealed_stream_gives_back_what_was_written(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_stream, "CHUNK_BYTES", 1000)
    plain = random.Random(length).randbytes(length)
    sealed = sealed_bytes(plain)
    assert not plain or plain not in sealed
    assert opened_bytes(sealed) == plain
    for cut in {len(sealed) - 1, len(sealed) // 2, 40}:
        with pytest.raises(StreamRefused):
            opened_bytes(sealed[:cut])
    with pytest.raises(StreamRefused, match="passphrase is another one"):
        opened_bytes(sealed, "another")


def sealed_bytes(plain: bytes) -> bytes:
    sink = io.BytesIO()
    writer = SealingWriter(sink, PASSPHRASE)
    for at in range(0, len(plain), 700):
        writer.write(plain[at : at + 700])
    writer.finish()
    return sink.getvalue()


def opened_bytes(sealed: bytes, passphrase: str = PASSPHRASE) -> bytes:
    with OpeningReader(io.BufferedReader(io.BytesIO(sealed)), passphrase) as reader:  # type: ignore[arg-type]  # a file is one, too
        plain = b"".join(iter(lambda: reader.read(300) or b"", b""))
        reader.expect_end()
        return plain


def test_chunks_of_a_sealed_stream_can_not_be_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_stream, "CHUNK_BYTES", 100)
    sealed = sealed_bytes(bytes(300))
    chunk, begin = 4 + 100 + 16, 8 + 16 + 7
    first, second = sealed[begin : begin + chunk], sealed[begin + chunk : begin + 2 * chunk]
    with pytest.raises(StreamRefused):
        opened_bytes(sealed[:begin] + second + first + sealed[begin + 2 * chunk :])


def test_what_was_backed_up_is_restored_and_the_restore_undone(store: Path, tmp_path: Path) -> None:
    fill(store, range(5), range(5, 10))
    target = tmp_path / "stick" / "ecg.backup"
    target.parent.mkdir()
    back_up(store, target, PASSPHRASE)
    check(target, PASSPHRASE)
    assert frame(SESSION, 3).sealed[:50] not in target.read_bytes()
    fill(store, range(10, 15))
    restore(target, store, PASSPHRASE)
    open_store(store)
    assert sequences(store) == list(range(10))
    fill(store, range(20, 25))
    assert sequences(store) == [*range(10), *range(20, 25)]
    undo_restore(store)
    assert sequences(store) == list(range(15))


def test_frames_that_the_index_does_not_know_yet_are_for_the_next_backup(
    store: Path, tmp_path: Path
) -> None:
    fill(store, range(5), range(5, 10), index_last=False)
    target = tmp_path / "ecg.backup"
    back_up(store, target, PASSPHRASE)
    restore(target, store, PASSPHRASE)
    StoreWriter(writer_engine(store), lambda: NOW_S).close()
    assert sequences(store) == list(range(5))


def test_a_backup_without_waveforms_reads_as_removed(store: Path, tmp_path: Path) -> None:
    fill(store, range(5))
    target = tmp_path / "ecg.backup"
    back_up(store, target, PASSPHRASE, with_waveforms=False)
    restore(target, store, PASSPHRASE)
    assert sequences(store) == []
    fill(store, range(5, 8))
    assert sequences(store) == [5, 6, 7]
    with closing(Reader(store)) as reader:
        assert reader.received_ranges(SESSION) == ((0, 7),)


def flip(target: Path) -> None:
    raw = bytearray(target.read_bytes())
    raw[len(raw) // 2] ^= 1
    target.write_bytes(raw)


def cut(target: Path) -> None:
    target.write_bytes(target.read_bytes()[:-100])


def replace_all(target: Path) -> None:
    target.write_bytes(b"not a backup " * 100)


@pytest.mark.parametrize("harm", [flip, cut, replace_all])
def test_a_damaged_backup_changes_nothing(
    store: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    fill(store, range(5))
    target = tmp_path / "ecg.backup"
    back_up(store, target, PASSPHRASE)
    harm(target)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(BackupRefused):
        check(target, PASSPHRASE)
    with pytest.raises(BackupRefused):
        restore(target, store, PASSPHRASE)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert sequences(store) == list(range(5))


def test_a_backup_is_taken_while_the_gateway_writes(store: Path, tmp_path: Path) -> None:
    fill(store, range(5))
    writer = StoreWriter(writer_engine(store), lambda: NOW_S)
    writer.take([frame(SESSION, 5)])
    back_up(store, tmp_path / "ecg.backup", PASSPHRASE)
    writer.write([frame(SESSION, 6), AddBed("Bed 1")])
    writer.close()
    assert sequences(store) == list(range(7))


@pytest.fixture
def command(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Runs `ecg-gateway …` on the store; gives exit code, stdout and stderr."""
    config, secret = tmp_path / "gateway.toml", tmp_path / "passphrase"
    config.write_text(f'state_directory = "{store.parent}"\n')
    secret.write_text(PASSPHRASE + "\n")

    def run(*words: object) -> tuple[int, str, str]:
        given = ["--config", str(config), "--passphrase-file", str(secret)]
        code = command_line.main([*map(str, words), *given])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_the_commands_back_up_check_restore_and_undo(
    store: Path, tmp_path: Path, command: Callable
) -> None:
    fill(store, range(5))
    target = tmp_path / "ecg.backup"
    code, out, _ = command("backup", target, "--verify")
    assert (code, "found whole" in out) == (0, True)
    assert target.stat().st_mode & 0o777 == 0o600
    assert command("backup", target)[0] == 1  # nothing is overwritten
    assert command("restore", target, "--check")[:2] == (0, f"{target} is whole\n")
    fill(store, range(5, 10))
    assert command("restore", target)[0] == 0
    assert sequences(store) == list(range(5))
    assert command("restore", "--undo")[0] == 0
    assert sequences(store) == list(range(10))
    assert frames_folder(store).is_dir()


def test_a_running_gateway_is_not_restored_over(
    store: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, range(5))
    command("backup", tmp_path / "ecg.backup")
    monkeypatch.chdir(store.parent)
    with socket.socket(socket.AF_UNIX) as gateway:
        gateway.bind(SOCKET_NAME)
        gateway.listen()
        code, _, err = command("restore", tmp_path / "ecg.backup")
    assert code == 1
    assert "the gateway is running" in err
    assert command("restore", tmp_path / "ecg.backup")[0] == 0


def test_a_short_passphrase_is_refused(store: Path, tmp_path: Path, command: Callable) -> None:
    (tmp_path / "passphrase").write_text("short\n")
    code, _, err = command("backup", tmp_path / "ecg.backup")
    assert code == 1
    assert "12 characters" in err
