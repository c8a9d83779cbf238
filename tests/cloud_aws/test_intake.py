"""Alarms and summaries into the table: once, told once, acknowledged after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.intake import LATE_AFTER_S, NOTICE_LEASE_MS, Intake
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.fakes import NOW_S, Clock, DeadTopic, FakeIot, event_of
from tests.cloud_aws.messages import alarm, summary


def take(parts: Account, clock: Clock, words: dict[str, Any], gateway: str = "ward-3") -> None:
    topic = f"ecg/{gateway}/{words['lane']}"
    Intake(parts, clock).take(event_of(topic, words | {"gateway": gateway}))


def test_a_repeat_is_dropped_told_once_and_acknowledged_again(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    for _ in range(3):
        take(parts, clock, alarm())
    (item,) = account.items()
    assert (item["gateway"], item["id"]) == ("ward-3", alarm()["id"])
    (notice,) = account.notices()
    assert notice["Subject"] == "asystole, Bed 4"
    assert "onset 2026-11-21 22:26:35 UTC" in notice["Message"]
    assert f"alarm {alarm()['alarm_id']}" in notice["Message"]
    ids = [alarm()["id"]]
    assert iot.said == 3 * [("ecg/ward-3/ack", {"version": 1, "ids": ids, "notified": ids})]


class StutteringTable:
    """The answer to a write got lost, and the SDK repeats it."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def put_item(self, **words: Any) -> Any:
        self._table.put_item(**words)
        return self._table.put_item(**words)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def test_a_write_that_the_sdk_repeats_is_not_taken_for_a_repeat(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    take(replace(parts, table=StutteringTable(parts.table)), clock, alarm())
    assert len(account.notices()) == 1
    assert iot.said[0][1]["notified"] == [alarm()["id"]]


def test_the_same_id_of_another_gateway_is_another_message(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    take(parts, clock, alarm())
    take(parts, clock, alarm(), "ward-4")
    assert {item["gateway"] for item in account.items()} == {"ward-3", "ward-4"}


@pytest.mark.parametrize("state", ["acknowledged", "latched", "ended"])
def test_a_state_that_calls_nobody_is_kept_and_acknowledged(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot, state: str
) -> None:
    take(parts, clock, alarm(state=state, notify=False))
    assert len(account.items()) == 1
    assert account.notices() == []
    assert iot.said == [("ecg/ward-3/ack", {"version": 1, "ids": [alarm()["id"]]})]


def test_no_acknowledgement_while_the_telephone_is_owed(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    with pytest.raises(ConnectionError):
        take(replace(parts, alarm_topic=DeadTopic()), clock, alarm())
    assert iot.said == []
    assert len(account.items()) == 1
    clock.now_s += NOTICE_LEASE_MS / 1000 + 1
    take(parts, clock, alarm())
    assert len(account.notices()) == 1
    assert iot.said[0][1]["notified"] == [alarm()["id"]]


def test_a_repeat_beside_a_function_that_still_runs_does_not_call_twice(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    with pytest.raises(ConnectionError):
        take(replace(parts, alarm_topic=DeadTopic()), clock, alarm())
    clock.now_s += NOTICE_LEASE_MS / 1000 - 1
    take(parts, clock, alarm())
    assert account.notices() == []
    assert iot.said == [("ecg/ward-3/ack", {"version": 1, "ids": [alarm()["id"]]})]


@pytest.mark.parametrize(("age_s", "calls"), [(LATE_AFTER_S, 1), (LATE_AFTER_S + 1, 0)])
def test_an_alarm_older_than_ten_minutes_calls_nobody(
    account: EmulatedAccount, parts: Account, clock: Clock, age_s: float, calls: int
) -> None:
    take(parts, clock, alarm(created_s=NOW_S - age_s, onset_s=NOW_S - age_s - 5))
    assert len(account.items()) == 1
    notices = account.notices()
    assert len(notices) == calls
    assert all(notice["Subject"].startswith("late: ") for notice in notices)


def test_a_summary_is_kept_once_and_not_answered(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    take(parts, clock, summary())
    take(parts, clock, summary())
    take(parts, clock, summary(2))
    assert len(account.items()) == 2
    assert iot.said == []


def test_a_strip_lies_beside_the_facts_and_in_no_index(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    take(parts, clock, alarm(strip={"first_sequence": 7, "frames": [None]}))
    (item,) = account.items()
    assert "strip" not in item["facts"]
    assert item["strip"] == '{"first_sequence":7,"frames":[null]}'


DEEP = b'{"id":' + 100_000 * b"["

HOSTILE: list[tuple[str, object, str]] = [
    ("alarm", b"\xff\xfe", "its payload is no JSON"),
    ("alarm", b"", "its payload is no JSON"),
    ("alarm", b"[]", "its payload is no JSON object"),
    ("alarm", b'"text"', "its payload is no JSON object"),
    ("alarm", DEEP[:90_000], "its payload is no JSON"),
    ("alarm", b'{"id": NaN}', "its payload is no JSON"),
    ("alarm", 100_001 * b" ", "100,001 bytes; at most 100,000 are taken"),
    ("alarm", alarm(id="#gateway"), "its id is not 8 to 64 of A–Z a–z 0–9 _ -"),
    ("alarm", alarm(id=17), "its id is not 8 to 64 of A–Z a–z 0–9 _ -"),
    ("alarm", alarm(gateway="ward-9"), "its gateway is not the topic's, ward-3"),
    ("alarm", alarm(lane="summary"), "its lane is not the topic's, alarm"),
    ("alarm", alarm(version=2), "its version is not known"),
    ("alarm", alarm(onset_s=True), "its onset_s is no Unix time"),
    ("alarm", alarm(onset_s=1e300), "its onset_s is no Unix time"),
    ("alarm", alarm(created_s="soon"), "its created_s is no Unix time"),
    ("alarm", alarm(bed=None), "it does not name its alarm"),
    ("alarm", alarm(bed=201 * "x"), "it does not name its alarm"),
    ("alarm", alarm(notify="yes"), "it does not name its alarm"),
    ("summary", summary(minute_s=-1), "its minute_s is no Unix time"),
    ("status", alarm(), "its topic is no lane of the outbox"),
    ("alarm/x", alarm(), "its topic is no gateway's lane"),
]


@pytest.mark.parametrize(("level", "words", "reason"), HOSTILE)
def test_what_no_gateway_would_send_goes_aside_with_its_reason(
    account: EmulatedAccount,
    parts: Account,
    clock: Clock,
    iot: FakeIot,
    level: str,
    words: object,
    reason: str,
) -> None:
    Intake(parts, clock).take(event_of(f"ecg/ward-3/{level}", words))
    assert account.items() == []
    assert iot.said == []
    assert [aside["reason"] for aside in account.refused()] == [reason]
