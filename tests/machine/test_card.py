"""The card's cache at a power cut, and what the store is then held to."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.machine.card import SECTOR_BYTES, Card, LostCache
from tests.machine.frame_ids import FrameId, Verdict, read_frames, write_frames

PAGE = 4096
KEPT, LOST = 0.0, 0.9
WHOLE, TORN = 0.8, 0.0
REACHED_SHARE = 0.5


class Drawn(random.Random):
    """Gives these numbers, one after another; a torn write ends after two sectors."""

    def __init__(self, numbers: Sequence[float]) -> None:
        super().__init__()
        self._numbers = list(numbers)

    def random(self) -> float:
        return self._numbers.pop(0)

    def randrange(self, *_: int) -> int:  # type: ignore[override]  # as it is called
        return 2


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """Pages A, B and C were on it; then A was overwritten by 1, A and B by 2, nothing flushed."""
    (tmp_path / "card.ext4").write_bytes(b"2" * 2 * PAGE + b"C" * PAGE)
    records = [(0, b"A" * PAGE), (0, b"1" * PAGE + b"B" * PAGE)]
    (tmp_path / "cache").write_bytes(
        b"".join(struct.pack("=QQ", at, len(before)) + before for at, before in records)
    )
    return Card(tmp_path)


def pages(card: Card) -> str:
    content = (card.folder / "card.ext4").read_bytes()
    return "".join(chr(content[at]) for at in range(0, len(content), PAGE))


@pytest.mark.parametrize(
    ("draws", "left"),
    [
        ([LOST, LOST], "ABC"),
        ([KEPT, WHOLE, LOST], "1BC"),
        ([LOST, KEPT, WHOLE], "22C"),
        ([KEPT, WHOLE, KEPT, WHOLE], "22C"),
    ],
)
def test_any_write_that_was_not_flushed_may_be_lost(
    card: Card, draws: list[float], left: str
) -> None:
    lost = card.lose_power(Drawn([REACHED_SHARE, *draws]))
    assert pages(card) == left
    assert lost == LostCache(2, draws.count(LOST), 0)
    assert not card.is_taking_writes()


def test_a_torn_write_ends_at_a_sector(card: Card) -> None:
    assert card.lose_power(Drawn([REACHED_SHARE, LOST, KEPT, TORN])) == LostCache(2, 1, 1)
    content = (card.folder / "card.ext4").read_bytes()
    assert content[:PAGE].count(b"2") == 2 * SECTOR_BYTES
    assert content[2 * SECTOR_BYTES : PAGE] == b"A" * (PAGE - 2 * SECTOR_BYTES)


def test_a_write_that_the_cut_forestalled_is_no_record(card: Card) -> None:
    cache = card.folder / "cache"
    cache.write_bytes(cache.read_bytes() + struct.pack("=QQ", PAGE, PAGE) + b"half")
    assert card.lose_power(Drawn([REACHED_SHARE, LOST, LOST])).held == 2
    assert pages(card) == "ABC"


def test_frames_are_missed_and_counted(tmp_path: Path) -> None:
    first, second, other = (FrameId("ECG-1/ab", n, "d") for n in (1, 2, 3))
    write_frames([first, other, other], tmp_path / "stored")
    stored = read_frames(tmp_path / "stored")
    assert Verdict.of({first, second}, stored) == Verdict({second}, {other})


def test_a_frame_with_another_byte_is_missing() -> None:
    verdict = Verdict.of({FrameId("ECG-1/ab", 1, "as sent")}, [FrameId("ECG-1/ab", 1, "other")])
    assert len(verdict.missing) == 1
