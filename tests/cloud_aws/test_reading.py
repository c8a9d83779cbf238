"""The read API: feeds for those who may read, strips opened for those who may see them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from cloud_sync.aws.functions import read_strip
from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.intake import Intake
from cloud_sync.aws.functions.read_feed import BadRequest, answer
from cloud_sync.aws.functions.rounds import Rounds
from cloud_sync.aws.functions.status import GRACE_MS, take_status
from gateway.messages import INVALID_STEP, SAMPLES_PER_FRAME, DeviceId, FrameSequence, SessionId
from gateway.radio.frame_codec import FrameHeader, derive_frame_key, seal_frame
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.fakes import NOW_S, Clock, event_of
from tests.cloud_aws.messages import MINUTE_S, alarm, status, summary

SESSION_ID = SessionId(DeviceId(42), 5, bytes(16))
ROOT_KEYS = [bytes(32), bytes(range(32))]  # the older generation first
ESCROW = "/ecg/ward-3/root-keys/ECG-0000002A"


def take(parts: Account, clock: Clock, words: dict[str, Any]) -> None:
    Intake(parts, clock).take(event_of(f"ecg/ward-3/{words['lane']}", words))


def read(parts: Account, clock: Clock, feed: str, **query: str) -> dict[str, Any]:
    path = {"gateway": "ward-3", "feed": feed}
    return answer({"pathParameters": path, "queryStringParameters": query}, parts, clock)


def test_alarms_come_newest_first_and_only_of_the_span(parts: Account, clock: Clock) -> None:
    for number, onset_s in enumerate((NOW_S - 90_000, NOW_S - 20, NOW_S - 10)):
        take(parts, clock, alarm(number, onset_s=onset_s))
    take(parts, clock, summary())
    got = read(parts, clock, "alarms")
    assert [found["onset_s"] for found in got["alarm"]] == [NOW_S - 10, NOW_S - 20]
    assert got["alarm"][0]["notified_ms"] == round(1000 * NOW_S)
    assert got["more"] is False
    older = read(parts, clock, "alarms", **{"from": "0", "to": str(NOW_S - 15)})
    assert [found["onset_s"] for found in older["alarm"]] == [NOW_S - 20, NOW_S - 90_000]


def test_sessions_are_what_their_minutes_show(parts: Account, clock: Clock) -> None:
    take(parts, clock, summary(1, minute_s=MINUTE_S - 60))
    take(parts, clock, summary(2, minute_s=MINUTE_S))
    take(parts, clock, summary(3, minute_s=MINUTE_S - 600, boot_id=4))
    latest, earlier = read(parts, clock, "sessions")["sessions"]
    assert (latest["boot_id"], latest["minutes"]) == (5, 2)
    assert (latest["first_minute_s"], latest["last_minute_s"]) == (MINUTE_S - 60, MINUTE_S)
    assert (earlier["boot_id"], earlier["minutes"]) == (4, 1)


def test_gateways_with_their_links(parts: Account, clock: Clock) -> None:
    take_status(event_of("ecg/ward-3/status", status()), parts, clock)
    brief = status(gateway="ward-4", next_within_s=0)
    take_status(event_of("ecg/ward-4/status", brief), parts, clock)
    clock.now_s += GRACE_MS / 1000
    Rounds(parts, clock).go()
    gateways = answer({}, parts, clock)["gateways"]
    states = {gateway["gateway"]: gateway["state"] for gateway in gateways}
    assert states == {"ward-3": "online", "ward-4": "silent"}


@pytest.mark.parametrize(
    ("feed", "query"),
    [
        ("frames", {}),
        ("alarms", {"from": "yesterday"}),
        ("alarms", {"from": "2", "to": "1"}),
        ("alarms", {"to": "nan"}),
        ("alarms", {"from": "-1"}),
    ],
)
def test_what_can_not_be_read_is_told(
    parts: Account, clock: Clock, feed: str, query: dict[str, str]
) -> None:
    with pytest.raises(BadRequest):
        read(parts, clock, feed, **query)


def strip(root_key: bytes) -> dict[str, Any]:
    """Two frames of a ramp with one sample missing, and a frame that never came between them."""
    steps = np.arange(SAMPLES_PER_FRAME, dtype=np.int16)
    steps[3] = INVALID_STEP
    key = derive_frame_key(root_key, SESSION_ID)
    sealed = [
        seal_frame(key, FrameHeader(SESSION_ID, FrameSequence(sequence), 0, 0, 250), steps)
        for sequence in (7, 9)
    ]
    texts = [base64.b64encode(frame).decode() for frame in sealed]
    return {"first_sequence": 7, "sample_rate_hz": 250, "frames": [texts[0], None, texts[1]]}


def escrow(account: EmulatedAccount, keys: list[bytes]) -> None:
    account.client("ssm").put_parameter(
        Name=ESCROW, Value=json.dumps([key.hex() for key in keys]), Type="SecureString"
    )


def get_strip(message_id: str) -> tuple[int, dict[str, Any]]:
    path = {"gateway": "ward-3", "id": message_id}
    reply = read_strip.handler({"pathParameters": path}, None)
    return reply["statusCode"], json.loads(reply["body"])


@pytest.mark.parametrize("generation", [0, 1])
def test_a_strip_is_opened_with_any_generation_of_its_key(
    account: EmulatedAccount, parts: Account, clock: Clock, generation: int
) -> None:
    take(parts, clock, alarm(strip=strip(ROOT_KEYS[generation])))
    escrow(account, ROOT_KEYS)
    code, got = get_strip(alarm()["id"])
    assert code == 200
    first, missing, last = got["frames_uv"]
    assert first[:5] == [0, 5, 10, None, 20]
    assert missing is None
    assert len(last) == SAMPLES_PER_FRAME
    assert (got["first_sequence"], got["sample_rate_hz"]) == (7, 250)


def test_a_strip_without_its_key_stays_sealed(
    account: EmulatedAccount, parts: Account, clock: Clock
) -> None:
    take(parts, clock, alarm(strip=strip(bytes(31) + b"\1")))
    assert get_strip(alarm()["id"])[0] == 404
    escrow(account, ROOT_KEYS)
    code, got = get_strip(alarm()["id"])
    assert (code, got["error"]) == (404, "no root key in escrow opens this strip")


@pytest.mark.parametrize("frame", ["%", "AAAA", 434 * "A"])
def test_a_strip_of_nonsense_is_told(
    account: EmulatedAccount, parts: Account, clock: Clock, frame: str
) -> None:
    bad = {"first_sequence": 0, "sample_rate_hz": 250, "frames": [frame]}
    take(parts, clock, alarm(strip=bad))
    escrow(account, ROOT_KEYS)
    assert get_strip(alarm()["id"])[0] == 404


def test_an_unknown_alarm_has_no_strip(parts: Account) -> None:
    assert get_strip("nothing-of-the-kind")[0] == 404
