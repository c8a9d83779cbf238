"""What a gateway sent, checked before anything is done with it (docs/cloud.md)."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_PAYLOAD_BYTES = 100_000  # what a gateway sends at most
SUPPORTED_VERSIONS = (1,)
STATES = ("online", "offline")
LONGEST_SILENCE_S = 7 * 86_400  # a link that rests for a week is one to be missed
MAX_WORD = 200  # of a bed's name and the like: it goes into a notice
LATEST_S = 4_102_444_800  # 2100-01-01: a later time is no time
TIME_OF = {"alarm": "onset_s", "summary": "minute_s"}
REDATE = "redate"  # the kind of message that corrects the times of others
MAX_REDATED = 1000  # messages that one corrects; a gateway names some 64 minutes or alarms

_GATEWAY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOPIC = re.compile(rf"ecg/({_GATEWAY.pattern})/(alarm|summary|status)")
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class MessageRefused(Exception):
    """This message will never pass as it is; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the outbox. `facts` is all of it; `at_s` is when what it tells happened."""

    gateway: str
    lane: str
    id: str
    at_s: float
    created_s: float
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Redating:
    """These messages of a gateway tell times that are wrong by `shift_s`.

    Each with the name that its alarm has from then on; None for a minute.
    """

    gateway: str
    lane: str
    id: str
    created_s: float
    shift_s: float
    of: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Status:
    """What a gateway, or the broker in its name, says of its link."""

    gateway: str
    state: str
    reason: str
    next_within_s: float


def read_message(topic: str, payload: str) -> Message | Redating:
    """The message of a rule's event: its topic, and its bytes in base64. Raises MessageRefused.

    The topic is the truth about the gateway: the broker's policy binds it to the certificate.
    """
    gateway, lane = _match(topic).groups()
    facts = _json_object(payload)
    _require(lane in TIME_OF, "its topic is no lane of the outbox")
    _require(_is_id(facts.get("id")), "its id is not 8 to 64 of A–Z a–z 0–9 _ -")
    _require(facts.get("gateway") == gateway, f"its gateway is not the topic's, {gateway}")
    _require(facts.get("lane") == lane, f"its lane is not the topic's, {lane}")
    _require(facts.get("version") in SUPPORTED_VERSIONS, "its version is not known")
    _require(_is_time(facts.get("created_s")), "its created_s is no Unix time")
    if facts.get("kind") == REDATE:
        return _redating(gateway, lane, facts)
    _require(_is_time(facts.get(TIME_OF[lane])), f"its {TIME_OF[lane]} is no Unix time")
    _require(lane != "alarm" or _names_an_alarm(facts), "it does not name its alarm")
    at_s, created_s = float(facts[TIME_OF[lane]]), float(facts["created_s"])
    return Message(gateway, lane, facts["id"], at_s, created_s, facts)


def read_status(topic: str, payload: str) -> Status:
    """Raises MessageRefused."""
    gateway = _match(topic)[1]
    words = _json_object(payload)
    _require(words.get("gateway") == gateway, f"its gateway is not the topic's, {gateway}")
    _require(words.get("version") in SUPPORTED_VERSIONS, "its version is not known")
    _require(words.get("state") in STATES, "its state is neither online nor offline")
    _require(_is_short(words.get("reason")), "it gives no reason")
    within_s: Any = words.get("next_within_s")
    _require(_is_time(within_s) and within_s <= LONGEST_SILENCE_S, "its next_within_s is no span")
    return Status(gateway, words["state"], words["reason"], float(within_s))


def _redating(gateway: str, lane: str, facts: Mapping[str, Any]) -> Redating:
    shift_s: Any = facts.get("shift_s")
    of: Any = facts.get("of")
    _require(_is_number(shift_s) and abs(shift_s) <= LATEST_S, "its shift_s is no span")
    _require(isinstance(of, dict) and 0 < len(of) <= MAX_REDATED, "it does not say of what")
    for message_id, alarm_id in of.items():
        _require(_is_id(message_id), "it names what is no message")
        _require(alarm_id is None or _is_id(alarm_id), "it names what is no alarm")
    return Redating(gateway, lane, facts["id"], float(facts["created_s"]), float(shift_s), of)


def is_gateway_id(value: object) -> bool:
    return isinstance(value, str) and _GATEWAY.fullmatch(value) is not None


def _match(topic: str) -> re.Match[str]:
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise MessageRefused("its topic is no gateway's lane")
    return match


def _json_object(payload: str) -> dict[str, Any]:
    try:
        body = base64.b64decode(payload, validate=True)
        if len(body) > MAX_PAYLOAD_BYTES:
            raise MessageRefused(f"{len(body):,} bytes; at most {MAX_PAYLOAD_BYTES:,} are taken")
        facts = json.loads(body.decode(), parse_constant=_no_constant)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise MessageRefused("its payload is no JSON") from error
    if not isinstance(facts, dict):
        raise MessageRefused("its payload is no JSON object")
    return facts


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _names_an_alarm(facts: Mapping[str, Any]) -> bool:
    words = ("alarm_id", "bed", "alarm", "priority", "state")
    return all(_is_short(facts.get(word)) for word in words) and facts.get("notify") in (
        True,
        False,
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_short(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_WORD


def _is_time(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= LATEST_S


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise MessageRefused(reason)
