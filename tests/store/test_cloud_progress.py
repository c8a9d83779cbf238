"""The gateway reads what cloud_sync writes: pending, in the cloud, notified."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cloud_sync.alarm_road import AlarmRoad, NotifiedBy
from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.notice import AlarmWords
from cloud_sync.schema import open_database
from gateway.store.cloud_progress import CloudProgress, cloud_progress


def words(message_id: str, alarm: str) -> AlarmWords:
    return AlarmWords(message_id, f"id of {alarm}", "Bed 1", alarm, "high", 5.25, 9.0)


def test_each_alarm_is_as_far_as_the_farthest_of_its_messages(tmp_path: Path) -> None:
    path = tmp_path / "delivered.sqlite3"
    engine = open_database(path)
    road = AlarmRoad(engine)
    raised = [words("r1", "asystole"), words("r2", "pause"), words("r3", "tachycardia")]
    road.note([(alarm, True) for alarm in raised])
    road.note([(words("e1", "asystole"), False)])
    ends = [Settlement(name, "alarm", 1, Outcome.DELIVERED, 20.0) for name in ("r1", "r2")]
    DeliveryLog(engine).settle(ends)
    road.notified(["r1"], NotifiedBy.SNS, 21.0)
    assert cloud_progress(path) == {
        ("Bed 1", "asystole", 5.25): CloudProgress.NOTIFIED,
        ("Bed 1", "pause", 5.25): CloudProgress.IN_CLOUD,
        ("Bed 1", "tachycardia", 5.25): CloudProgress.PENDING,
    }
    engine.dispose()


def test_where_no_cloud_is_nothing_is_known(tmp_path: Path) -> None:
    assert cloud_progress(tmp_path / "none.sqlite3") == {}
    (tmp_path / "text").write_text("no database, whatever its name")
    assert cloud_progress(tmp_path / "text") == {}
    sqlite3.connect(tmp_path / "older.sqlite3").close()
    assert cloud_progress(tmp_path / "older.sqlite3") == {}
