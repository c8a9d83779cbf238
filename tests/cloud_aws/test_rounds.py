"""Every five minutes: one digest for late alarms, and a word about gateways that are silent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.acknowledgement import acknowledge
from cloud_sync.aws.functions.intake import Intake
from cloud_sync.aws.functions.notices import LISTED, digest_notice
from cloud_sync.aws.functions.rounds import FRESH_OVERDUE_MS, Rounds
from cloud_sync.aws.functions.status import GRACE_MS, take_status
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.fakes import NOW_S, Clock, DeadTopic, FakeIot, event_of
from tests.cloud_aws.messages import alarm, status

ALARMS = "ecg/ward-3/alarm"
STATUS = "ecg/ward-3/status"
OLD_S = NOW_S - 7200


def test_late_alarms_become_one_digest(
    account: EmulatedAccount, parts: Account, clock: Clock, iot: FakeIot
) -> None:
    for number in (3, 1, 2):
        late = alarm(number, created_s=OLD_S, onset_s=OLD_S + number)
        Intake(parts, clock).take(event_of(ALARMS, late))
    iot.said.clear()
    Rounds(parts, clock).go()
    (notice,) = account.notices()
    assert notice["Subject"] == "late: 3 alarms of ward-3"
    lines = notice["Message"].splitlines()
    assert [line.rpartition(" ")[2] for line in lines[1:]] == [f"{n:032x}" for n in (1, 2, 3)]
    ((topic, words),) = iot.said
    assert topic == "ecg/ward-3/ack"
    assert sorted(words["notified"]) == sorted(alarm(n)["id"] for n in (1, 2, 3))
    Rounds(parts, clock).go()
    assert account.notices() == []


def test_a_long_digest_counts_what_it_does_not_name(iot: FakeIot) -> None:
    alarms = [alarm(number) for number in range(LISTED + 60)]
    assert digest_notice("ward-3", alarms)["Message"].endswith("\nand 60 more, all in the table")
    acknowledge(iot, "ward-3", [words["id"] for words in alarms])
    assert [len(words["ids"]) for _, words in iot.said] == [100, 10]


def test_gateways_that_send_their_own_digest_are_left_to_it(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    parts = replace(parts, sends_late_digest=False)
    Intake(parts, clock).take(event_of(ALARMS, alarm(created_s=OLD_S)))
    Rounds(parts, clock).go()
    assert account.notices() == []


def test_a_fresh_alarm_that_sns_never_took_is_told_by_the_round(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    with pytest.raises(ConnectionError):
        Intake(replace(parts, alarm_topic=DeadTopic()), clock).take(event_of(ALARMS, alarm()))
    Rounds(parts, clock).go()
    assert account.notices() == []  # its own function may still be at it
    clock.now_s += FRESH_OVERDUE_MS / 1000
    Rounds(parts, clock).go()
    assert len(account.notices()) == 1


def test_silence_is_told_once_and_so_is_the_return(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    take_status(event_of(STATUS, status()), parts, clock)
    clock.now_s += 900 + GRACE_MS / 1000 - 1
    Rounds(parts, clock).go()
    assert account.notices() == []
    clock.now_s += 1
    Rounds(parts, clock).go()
    (notice,) = account.notices()
    assert notice["Subject"] == "silent: gateway ward-3"
    assert "since 2026-11-21 22:26:40 UTC" in notice["Message"]
    Rounds(parts, clock).go()
    assert account.notices() == []
    take_status(event_of(STATUS, status()), parts, clock)
    (notice,) = account.notices()
    assert notice["Subject"] == "reports again: gateway ward-3"


def test_a_gateway_that_rests_is_not_missed_before_it_said(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    resting = status(state="offline", reason="resting", next_within_s=36_000)
    take_status(event_of(STATUS, resting), parts, clock)
    clock.now_s += 35_999
    Rounds(parts, clock).go()
    assert account.notices() == []


def test_a_last_will_alone_is_no_alarm_yet(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    """A clinic's link breaks daily; the gateway is missed when it does not come back."""
    take_status(event_of(STATUS, status(state="offline", reason="lost")), parts, clock)
    Rounds(parts, clock).go()
    assert account.notices() == []
    (row,) = account.items()
    assert (row["link_state"], row["link_reason"]) == ("offline", "lost")


@pytest.mark.parametrize(
    "words",
    [
        b"\x00",
        status(gateway="ward-9"),
        status(state="maybe"),
        status(version=0),
        status(reason=""),
        status(next_within_s=8 * 86_400),
        status(next_within_s=None),
    ],
)
def test_a_status_that_none_would_send_goes_aside(
    account: EmulatedAccount, parts: Account, clock: Clock, words: object
) -> None:
    take_status(event_of(STATUS, words), parts, clock)
    assert account.items() == []
    assert len(account.refused()) == 1
