"""Shared by the tests of the functions."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

NOW_S = 1_795_300_000.0


@dataclass
class Clock:
    now_s: float = NOW_S

    def __call__(self) -> float:
        return self.now_s


@dataclass
class FakeIot:
    """What functions said to gateways, by topic."""

    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def publish(self, topic: str, qos: int, payload: bytes) -> None:
        assert qos == 1
        self.said.append((topic, json.loads(payload)))


class DeadTopic:
    """SNS, out of order."""

    def publish(self, **_words: object) -> None:
        raise ConnectionError("SNS is away")


def event_of(topic: str, words: object) -> dict[str, str]:
    """What a rule hands to a function."""
    body = words if isinstance(words, bytes) else json.dumps(words).encode()
    return {"topic": topic, "payload": base64.b64encode(body).decode()}
