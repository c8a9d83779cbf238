"""The read API without strips: gateways, and each one's alarms, summaries and sessions."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from cloud_sync.aws.functions.account import Account, account
from cloud_sync.aws.functions.ledger import Item, Ledger, facts_of
from cloud_sync.aws.functions.message import LATEST_S, is_gateway_id

DAY_S = 86_400
MAX_ROWS = 1000  # of one answer; `more` says that there are older ones
MAX_GATEWAYS = 10_000
MAX_SESSION_ROWS = 12_000  # minutes looked through: a day of eight beds is 11,520
LANES = {"alarms": "alarm", "summaries": "summary"}

Answer = dict[str, Any]


class BadRequest(Exception):
    """The reader's fault; the text says what would do."""


def read_gateways(parts: Account) -> Answer:
    ledger = Ledger(parts.table)
    rows = [
        row
        for watch in ("gateway", "silent")
        for row in ledger.watched(watch, 1000 * LATEST_S, MAX_GATEWAYS)
    ]
    return {"gateways": [_gateway(row) for row in rows]}


def read_lane(parts: Account, gateway: str, lane: str, span_ms: tuple[int, int]) -> Answer:
    rows = Ledger(parts.table).feed(gateway, lane, span_ms, MAX_ROWS)
    return {lane: [_message(row) for row in rows], "more": len(rows) == MAX_ROWS}


def read_sessions(parts: Account, gateway: str, span_ms: tuple[int, int]) -> Answer:
    """Each run of a sensor at a bed, as its minutes show it, latest first."""
    rows = Ledger(parts.table).feed(gateway, "summary", span_ms, MAX_SESSION_ROWS)
    sessions: dict[tuple[Any, ...], Answer] = {}
    for facts in map(facts_of, rows):
        names = {name: facts.get(name) for name in ("device", "boot_id", "salt", "bed")}
        session = sessions.setdefault(
            tuple(names.values()), {**names, "last_minute_s": facts["minute_s"], "minutes": 0}
        )
        session["first_minute_s"] = facts["minute_s"]
        session["minutes"] += 1
    return {"sessions": list(sessions.values()), "more": len(rows) == MAX_SESSION_ROWS}


def answer(event: Mapping[str, Any], parts: Account, unix_time: Callable[[], float]) -> Answer:
    path = event.get("pathParameters") or {}
    if not path:
        return read_gateways(parts)
    gateway, feed = path["gateway"], path["feed"]
    if not is_gateway_id(gateway):
        raise BadRequest("a gateway's name is 1 to 64 of A–Z a–z 0–9 _ -")
    span_ms = _span_ms(event.get("queryStringParameters") or {}, unix_time())
    if feed == "sessions":
        return read_sessions(parts, gateway, span_ms)
    if feed not in LANES:
        raise BadRequest("alarms, summaries and sessions can be read")
    return read_lane(parts, gateway, LANES[feed], span_ms)


def _span_ms(query: Mapping[str, str], now_s: float) -> tuple[int, int]:
    """`from` and `to` in Unix seconds; the last day without them."""
    try:
        to_s = float(query.get("to", now_s))
        from_s = float(query.get("from", to_s - DAY_S))
    except ValueError as error:
        raise BadRequest("from and to are Unix seconds") from error
    if not 0 <= from_s <= to_s <= LATEST_S:
        raise BadRequest("from and to are Unix seconds, from before to")
    return round(1000 * from_s), round(1000 * to_s)


def _message(row: Item) -> Answer:
    told = {"notified_ms": int(row["notified_ms"])} if "notified_ms" in row else {}
    return {**facts_of(row), "received_ms": int(row["received_ms"]), **told}


def _gateway(row: Item) -> Answer:
    return {
        "gateway": row["gateway"],
        "seen_ms": int(row["seen_ms"]),
        "state": "silent" if row["watch"] == "silent" else row["link_state"],
        "reason": row["link_reason"],
    }


def reply(status: int, body: Answer) -> Answer:
    """What API Gateway makes an HTTP answer of."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}


def handler(event: Mapping[str, Any], _context: object) -> Answer:
    try:
        return reply(200, answer(event, account(os.environ), time.time))
    except BadRequest as error:
        return reply(400, {"error": str(error)})
