"""Times that a gateway's unset clock had wrong, corrected in the table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.intake import MISSING_FOR_S, Intake, NotYetHere
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.fakes import NOW_S, Clock, FakeIot, event_of
from tests.cloud_aws.messages import MINUTE_S, SESSION, alarm, summary

SHIFT_S = 3600.5
NEW_NAME = "f" * 32


def correction(lane: str, wrong: dict[str, str | None], **changed: object) -> dict[str, Any]:
    return {
        "version": 1,
        "id": f"redate-{lane}-00",
        "gateway": "ward-3",
        "lane": lane,
        "kind": "redate",
        "created_s": NOW_S,
        "number": 9,
        **SESSION,
        "shift_s": SHIFT_S,
        "of": wrong,
        **changed,
    }


def take(parts: Account, clock: Clock, words: dict[str, Any]) -> None:
    Intake(parts, clock).take(event_of(f"ecg/ward-3/{words['lane']}", words))


def facts_of(account: EmulatedAccount) -> dict[str, Any]:
    (item,) = account.items()
    facts: dict[str, Any] = json.loads(item["facts"])
    return {**facts, "at_ms": item["at_ms"]}


def test_a_minute_moves_once_however_often_it_is_told(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    take(parts, clock, summary())
    for _ in range(2):
        take(parts, clock, correction("summary", {summary()["id"]: None}))
    facts = facts_of(account)
    assert facts["minute_s"] == MINUTE_S + round(SHIFT_S)
    assert facts["at_ms"] == 1000 * facts["minute_s"]
    assert facts["redated_by_s"] == SHIFT_S
    take(parts, clock, summary())  # a late copy of the wrong one
    assert facts_of(account) == facts


def test_an_alarm_moves_with_its_times_and_gets_its_new_name(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    take(parts, clock, alarm())
    account.notices()
    wrong = correction("alarm", {alarm()["id"]: NEW_NAME})
    take(parts, clock, wrong)
    facts = facts_of(account)
    assert facts["onset_s"] == NOW_S - 5 + SHIFT_S
    assert facts["raised_s"] == NOW_S - 1 + SHIFT_S
    assert facts["ended_s"] is None
    assert facts["alarm_id"] == NEW_NAME
    assert account.notices() == []
    assert iot.said[-1] == ("ecg/ward-3/ack", {"version": 1, "ids": [wrong["id"]]})


def test_what_is_still_under_way_is_waited_for_a_day(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    early = correction("alarm", {alarm()["id"]: NEW_NAME})
    with pytest.raises(NotYetHere):
        take(parts, clock, early)
    assert iot.said == []
    clock.now_s += MISSING_FOR_S
    take(parts, clock, early)
    assert len(iot.said) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"shift_s": "much"},
        {"shift_s": 1e12},
        {"of": {}},
        {"of": []},
        {"of": {"?": None}},
        {"of": {"0123456789": 7}},
    ],
)
def test_a_correction_that_no_gateway_sends_goes_aside(
    account: EmulatedAccount, parts: Account, clock: Clock, changed: dict[str, object]
) -> None:
    take(parts, clock, correction("summary", {summary()["id"]: None}, **changed))
    (kept,) = account.refused()
    assert "reason" in kept
