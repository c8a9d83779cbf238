"""The part of AWS IoT's SQL (2016-03-23) that the template uses; anything else is refused."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

_STATEMENT = re.compile(r"SELECT (?P<columns>.+) FROM '(?P<filter>[^']+)'")
_COLUMN = re.compile(r"(?P<expression>.+) AS (?P<name>\w+)")
_TOPIC_LEVEL = re.compile(r"\$\{topic\((\d+)\)\}")

_FUNCTIONS: dict[str, Callable[[str, bytes], str]] = {
    "encode(*, 'base64')": lambda _topic, payload: base64.b64encode(payload).decode(),
    "topic()": lambda topic, _payload: topic,
}


class UnsupportedSql(Exception):
    """The emulator would play this differently from AWS."""


@dataclass(frozen=True, slots=True)
class RuleSql:
    topic_filter: str
    columns: dict[str, str]  # name → expression; empty for SELECT *

    def select(self, topic: str, payload: bytes) -> dict[str, str] | bytes:
        """What an action gets: the payload itself for `SELECT *`, else an object."""
        if not self.columns:
            return payload
        return {name: _FUNCTIONS[said](topic, payload) for name, said in self.columns.items()}


def parse_sql(sql: str) -> RuleSql:
    """Raises UnsupportedSql."""
    match = _STATEMENT.fullmatch(sql)
    if match is None:
        raise UnsupportedSql(sql)
    if match["columns"] == "*":
        return RuleSql(match["filter"], {})
    columns = {}
    for text in re.split(r", (?![^(]*\))", match["columns"]):
        column = _COLUMN.fullmatch(text)
        if column is None or column["expression"] not in _FUNCTIONS:
            raise UnsupportedSql(text)
        columns[column["name"]] = column["expression"]
    return RuleSql(match["filter"], columns)


def substitute(text: str, topic: str) -> str:
    """`${topic(n)}` in an action's words: the topic's n-th level, counted from 1."""
    levels = topic.split("/")
    filled = _TOPIC_LEVEL.sub(lambda level: levels[int(level[1]) - 1], text)
    if "${" in filled:
        raise UnsupportedSql(text)
    return filled
