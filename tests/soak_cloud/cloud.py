"""The AWS side: the template's rules and functions on moto, some of which fail the first time.

A function that fails for an alarm leaves no acknowledgement, and the gateway sends again. What
fails for a summary goes where the template says, and is run again at the end, as an operator would.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections import Counter
from typing import Any

from botocore.exceptions import ClientError

from cloud_sync.aws.functions.account import account as account_of
from cloud_sync.config import TlsFiles
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.rule_emulator import RuleEmulator

FUNCTION_FAILS = {"alarm": 0.05, "summary": 0.01}  # of the messages, the first time
ATTEMPTS = 3  # that Lambda makes of one event
ACKNOWLEDGEMENT_LOST = 0.05


class FailingRules(RuleEmulator):
    """Notes what arrives, in order, as (lane, id, number); loses some of its answers."""

    def __init__(self, account: EmulatedAccount, port: int, tls: TlsFiles, seed: int) -> None:
        self._random = random.Random(seed)
        self.arrivals: list[tuple[str, str, int]] = []
        self.lost_acknowledgements = 0
        super().__init__(account, "localhost", port, tls)

    def _take(self, message: Any) -> None:
        lane = message.topic.split("/")[2]
        if lane in FUNCTION_FAILS:
            words = json.loads(message.payload)
            self.arrivals.append((lane, words["id"], words["number"]))
        super()._take(message)

    def _publish(self, topic: str, payload: bytes) -> None:
        if self._random.random() < ACKNOWLEDGEMENT_LOST:
            self.lost_acknowledgements += 1
        else:
            super()._publish(topic, payload)


class EmulatedCloud:
    """Without `deduplicate` each message that comes is a row, as in a table of arrivals."""

    def __init__(self, port: int, tls: TlsFiles, *, deduplicate: bool, seed: int) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's line for each request
        self._seed = seed
        self._deduplicate = deduplicate
        self._attempts: Counter[str] = Counter()
        self.account = EmulatedAccount()
        self.rules = FailingRules(self.account, port, tls, seed)
        table = account_of(os.environ).table  # the functions' own: the rules have set their names
        table.meta.client.meta.events.register(
            "provide-client-params.dynamodb.PutItem", self._put_item
        )

    def close(self) -> None:
        self.rules.close()
        self.account.close()

    def settle(self) -> None:
        """Until all that came was played; then what failed for good is run again."""
        self.rules.settle()
        for kept in self.account.refused():
            event = kept.get("requestPayload")
            if event is not None and event["topic"].endswith("/summary"):
                self.rules.run("TakeSummary", event)

    def refused_for_good(self) -> list[str]:
        """Reasons of what the functions would not take at all."""
        return [kept["reason"] for kept in self.account.refused() if "reason" in kept]

    def _put_item(self, params: dict[str, Any], **_: object) -> dict[str, Any] | None:
        item = params["Item"]
        self._attempts[item["id"]] += 1
        if self._attempts[item["id"]] <= ATTEMPTS and self._spoils(item):
            broken = {"Error": {"Code": "AccessDeniedException", "Message": "a broken permission"}}
            raise ClientError(broken, "PutItem")  # type: ignore[arg-type]  # a stub wants more
        if self._deduplicate:
            return None
        written = {**item, "id": f"{item['id']}-{self._attempts[item['id']]}"}
        unconditional = {k: v for k, v in params.items() if k != "ConditionExpression"}
        return unconditional | {"Item": written}

    def _spoils(self, item: dict[str, Any]) -> bool:
        lane = item["feed"].rpartition("#")[2]
        return random.Random(f"{self._seed} {item['id']}").random() < FUNCTION_FAILS[lane]
