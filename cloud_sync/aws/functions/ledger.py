"""The table: each message once, what people are still owed of it, and when a gateway last spoke.

An item's key is (gateway, id). The id was made once with the row in the gateway's store, so the
conditional write drops each repeat, however often and in whatever order messages come. Indices:

- `feed`: (gateway#lane, at_ms), to read a lane by time;
- `watch`: (watch, since_ms), sparse: alarms whose notice is owed ("fresh", "late"), and gateways
  ("gateway", with the time at which silence becomes news; "silent" once people were told).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from cloud_sync.aws.functions.message import TIME_OF, Message, Redating, Status

GATEWAY_ROW = "#gateway"  # no message's id begins with #
ENROLMENT_ROW = "#enrolment"
ALARM_TIMES = ("onset_s", "raised_s", "ended_s", "acknowledged_s", "escalated_s")

Item = dict[str, Any]


class Ledger:
    def __init__(self, table: Any) -> None:
        self._table = table

    def put_once(self, message: Message, received_ms: int, owed: str | None) -> Item | None:
        """Write the message; the row that is there already, else None. `owed` is a notice not yet
        given. A strip is an attribute of its own, which no index repeats.

        The SDK repeats a write whose answer got lost, and is told that the row exists: `attempt`
        tells that row, which is our own, from an earlier copy's.
        """
        attempt = uuid.uuid4().hex
        facts = {name: fact for name, fact in message.facts.items() if name != "strip"}
        strip = message.facts.get("strip")
        item: Item = {
            "gateway": message.gateway,
            "id": message.id,
            "feed": f"{message.gateway}#{message.lane}",
            "at_ms": round(1000 * message.at_s),
            "received_ms": received_ms,
            "attempt": attempt,
            "facts": _json(facts),
        }
        if strip is not None:
            item["strip"] = _json(strip)
        if owed is not None:
            item |= {"watch": owed, "since_ms": received_ms}
        try:
            self._table.put_item(Item=item, ConditionExpression=Attr("id").not_exists())
        except ClientError as error:
            _unless_conditional(error)
            first = self.get(message.gateway, message.id) or item  # no row is ever deleted
            return None if first["attempt"] == attempt else first
        return None

    def get(self, gateway: str, message_id: str) -> Item | None:
        answer = self._table.get_item(
            Key={"gateway": gateway, "id": message_id}, ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        return item

    def notified(self, gateway: str, message_id: str, now_ms: int) -> None:
        """People have been told; nothing is owed any more."""
        self._table.update_item(
            Key={"gateway": gateway, "id": message_id},
            UpdateExpression="SET notified_ms = :now REMOVE watch, since_ms",
            ExpressionAttributeValues={":now": now_ms},
        )

    def watched(self, watch: str, until_ms: int, limit: int) -> Iterator[Item]:
        """At most `limit` rows of the watch list whose `since_ms` is no later, oldest first."""
        condition = Key("watch").eq(watch) & Key("since_ms").lte(until_ms)
        return self._query("watch", condition, limit, forward=True)

    def feed(self, gateway: str, lane: str, span_ms: tuple[int, int], limit: int) -> list[Item]:
        """A lane's newest `limit` rows between two times, newest first."""
        condition = Key("feed").eq(f"{gateway}#{lane}") & Key("at_ms").between(*span_ms)
        return list(self._query("feed", condition, limit, forward=False))

    def redate(self, redating: Redating, message_id: str) -> bool:
        """Correct a row's times, once; False where the row is not there."""
        row = self.get(redating.gateway, message_id)
        if row is None:
            return False
        if "redated" in row:
            return True
        facts = _redated(facts_of(row), redating, redating.of[message_id])
        try:
            self._table.update_item(
                Key={"gateway": redating.gateway, "id": message_id},
                UpdateExpression="SET facts = :facts, at_ms = :at, redated = :by",
                ConditionExpression=Attr("redated").not_exists(),
                ExpressionAttributeValues={
                    ":facts": _json(facts),
                    ":at": round(1000 * facts[TIME_OF[redating.lane]]),
                    ":by": redating.id,
                },
            )
        except ClientError as error:
            _unless_conditional(error)  # another copy of the same correction was quicker
        return True

    def note_status(self, status: Status, now_ms: int, due_ms: int) -> Item | None:
        """Keep what the gateway says of itself, and when it is missed; the row as it was before."""
        answer = self._table.update_item(
            Key={"gateway": status.gateway, "id": GATEWAY_ROW},
            UpdateExpression="SET watch = :watch, since_ms = :due, seen_ms = :now, "
            "link_state = :state, link_reason = :reason",
            ExpressionAttributeValues={
                ":watch": "gateway",
                ":due": due_ms,
                ":now": now_ms,
                ":state": status.state,
                ":reason": status.reason,
            },
            ReturnValues="ALL_OLD",
        )
        before: Item | None = answer.get("Attributes")
        return before

    def note_silence(self, gateway: str, due_ms: int) -> bool:
        """Take the gateway off the watch; False where it has reported since `due_ms` was read."""
        try:
            self._table.update_item(
                Key={"gateway": gateway, "id": GATEWAY_ROW},
                UpdateExpression="SET watch = :silent",
                ConditionExpression=Attr("watch").eq("gateway") & Attr("since_ms").eq(due_ms),
                ExpressionAttributeValues={":silent": "silent"},
            )
        except ClientError as error:
            return _unless_conditional(error)
        return True

    def open_enrolment(self, gateway: str, digest: str, until_ms: int) -> None:
        """Let one box enrol as this gateway, with the code of this digest."""
        self._table.put_item(
            Item={
                "gateway": gateway,
                "id": ENROLMENT_ROW,
                "code_sha256": digest,
                "until_ms": until_ms,
            }
        )

    def use_enrolment(self, gateway: str, digest: str, now_ms: int) -> bool:
        """Whether the gateway's enrolment is open with this code; it is closed by that."""
        try:
            self._table.delete_item(
                Key={"gateway": gateway, "id": ENROLMENT_ROW},
                ConditionExpression=Attr("code_sha256").eq(digest) & Attr("until_ms").gt(now_ms),
            )
        except ClientError as error:
            return _unless_conditional(error)
        return True

    def _query(self, index: str, condition: Any, limit: int, forward: bool) -> Iterator[Item]:
        """DynamoDB gives pages of at most 1 MB."""
        page: dict[str, Any] = {}
        while limit > 0:
            answer = self._table.query(
                IndexName=index,
                KeyConditionExpression=condition,
                ScanIndexForward=forward,
                Limit=limit,
                **page,
            )
            yield from answer["Items"]
            limit -= len(answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def facts_of(item: Item) -> dict[str, Any]:
    """What the gateway said."""
    facts: dict[str, Any] = json.loads(item["facts"])
    return facts


def _redated(facts: dict[str, Any], redating: Redating, alarm_id: str | None) -> dict[str, Any]:
    """A minute begins on a second; `redated_by_s` says by how much it was wrong."""
    if alarm_id is None:
        moved: dict[str, Any] = {"minute_s": facts["minute_s"] + round(redating.shift_s)}
    else:
        moved = {
            name: facts[name] + redating.shift_s
            for name in ALARM_TIMES
            if facts.get(name) is not None
        }
        moved["alarm_id"] = alarm_id
    return {**facts, **moved, "redated_by_s": redating.shift_s}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _unless_conditional(error: ClientError) -> bool:
    """False for a condition that did not hold; any other error is the caller's."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    return False
