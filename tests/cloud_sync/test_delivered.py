from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.schema import open_database


def delivered(message_id: str, outbox_id: int = 1, lane: str = "alarm") -> Settlement:
    return Settlement(message_id, lane, outbox_id, Outcome.DELIVERED, 5.0)


def refused(message_id: str, at_s: float, outbox_id: int = 1) -> Settlement:
    return Settlement(message_id, "alarm", outbox_id, Outcome.REFUSED, at_s, "too large")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DeliveryLog]:
    engine = open_database(tmp_path / "delivered.sqlite3")
    yield DeliveryLog(engine)
    engine.dispose()


def test_remembers_by_message_id_across_a_restart(log: DeliveryLog, tmp_path: Path) -> None:
    log.settle([delivered("a"), refused("b", 6.0)])
    engine = open_database(tmp_path / "delivered.sqlite3")
    assert DeliveryLog(engine).settled(["a", "b", "c"]) == {"a", "b"}
    engine.dispose()


def test_a_second_delivery_of_one_message_is_one_row(log: DeliveryLog) -> None:
    log.settle([refused("a", 5.0)])
    log.settle([delivered("a")])
    assert log.count("alarm", Outcome.DELIVERED) == 1
    assert log.count("alarm", Outcome.REFUSED) == 0


def test_forgets_what_left_the_outbox_but_never_a_refusal(log: DeliveryLog) -> None:
    log.settle([delivered("a", 1), delivered("b", 2), refused("c", 5.0, 1)])
    log.settle([delivered("d", 1, "summary")])
    log.forget_below("alarm", 2)
    assert log.settled(["a", "b", "c", "d"]) == {"b", "c", "d"}


def test_names_the_latest_refusals_first(log: DeliveryLog) -> None:
    log.settle([refused("old", 1.0), refused("new", 3.0), refused("middle", 2.0)])
    assert [end.message_id for end in log.refused(2)] == ["new", "middle"]
    assert log.refused(1) == [refused("new", 3.0)]
