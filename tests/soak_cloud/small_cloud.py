"""The other side in small: rules that write to tables on a condition, and acknowledge.

It plays what the soak needs of `cloud_sync/aws`, on SQLite, so that a week's backlog is not the
test of an emulator: a table with the message's id as its key, an error action that keeps what a
rule could not write (summaries; it is run again), no such net for alarms, and acknowledgements.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cbor2
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

RULE_FAILS = 0.05  # of the messages, the first time: a throttled table, a bug, a broken permission


class SmallCloud:
    def __init__(
        self, path: Path, port: int, gateway: str, *, deduplicate: bool, seed: int
    ) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._table = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._table.execute("PRAGMA synchronous=OFF")
        key = "PRIMARY KEY" if deduplicate else ""
        self._table.execute(f"CREATE TABLE items (id TEXT {key}, lane TEXT, words TEXT)")
        self._table.execute("CREATE TABLE arrivals (id TEXT, lane TEXT, number INTEGER)")
        self._gateway = gateway
        self._failed: set[str] = set()
        self.repeats = 0
        self._client = Client(CallbackAPIVersion.VERSION2, "cloud", clean_session=False)
        self._client.max_queued_messages_set(0)
        self._client.on_message = lambda _client, _userdata, message: self._take(message)
        self._client.on_connect = lambda client, *_: client.subscribe(f"ecg/{gateway}/#", qos=1)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._table.close()

    @contextmanager
    def tables(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._table

    def count(self, lane: str) -> int:
        with self.tables() as tables:
            query = "SELECT count(DISTINCT id) FROM items WHERE lane = ?"
            return int(tables.execute(query, (lane,)).fetchone()[0])

    def _take(self, message: MQTTMessage) -> None:
        lane = message.topic.split("/")[2]
        if lane not in ("alarm", "summary", "waveform"):
            return
        words = _words(lane, message.payload)
        with self._lock:
            self._table.execute(
                "INSERT INTO arrivals VALUES (?, ?, ?)", (words["id"], lane, words["number"])
            )
            if lane == "alarm" and self._fails(words["id"]):
                return  # neither written nor acknowledged
            self._put(lane, words)
        if lane == "alarm":
            answer = json.dumps({"version": 1, "ids": [words["id"]]})
            self._client.publish(f"ecg/{self._gateway}/ack", answer, qos=1)

    def _fails(self, message_id: str) -> bool:
        """A message's first time may fail; the next one passes."""
        if message_id in self._failed or self._random.random() >= RULE_FAILS:
            return False
        self._failed.add(message_id)
        return True

    def _put(self, lane: str, words: dict[str, Any]) -> None:
        item = (words["id"], lane, json.dumps(words, default=str))
        written = self._table.execute("INSERT OR IGNORE INTO items VALUES (?, ?, ?)", item)
        self.repeats += not written.rowcount


def _words(lane: str, payload: bytes) -> dict[str, Any]:
    words: dict[str, Any] = cbor2.loads(payload) if lane == "waveform" else json.loads(payload)
    words.pop("frames", None)
    words.pop("strip", None)
    return words
