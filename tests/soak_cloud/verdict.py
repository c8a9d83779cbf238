"""What must be in the cloud's tables at the end, told by facts and not by ids."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

from tests.cloud_sync.ward_rows import BEGUN_S
from tests.soak_cloud.gateway_process import has_alarm
from tests.soak_cloud.small_cloud import SmallCloud

MAX_TOLD = 5  # of one kind of fault

Fact = tuple[str, ...]


class Expected:
    """All that was reported as committed: each bed's minutes, each alarm raised and ended."""

    def __init__(self, beds: int, minutes: int) -> None:
        self.facts: set[Fact] = set()
        for minute in range(minutes):
            for bed in range(beds):
                self.facts.add(("summary", f"Bed {bed + 1}", str(round(BEGUN_S) + 60 * minute)))
                if has_alarm(bed, minute):
                    onset_s = BEGUN_S + 60 * minute + 30.0
                    for state in ("active", "ended"):
                        self.facts.add(("alarm", f"Bed {bed + 1}", str(onset_s), state))

    @property
    def count(self) -> int:
        return len(self.facts)


def faults(cloud: SmallCloud, expected: Expected, offline_minutes: int) -> list[str]:
    with cloud.tables() as tables:
        items = [json.loads(words) for (words,) in tables.execute("SELECT words FROM items")]
        arrivals = tables.execute("SELECT id, lane, number FROM arrivals ORDER BY rowid").fetchall()
    counts = Counter(map(_fact, items))
    found = [f"lost: {fact}" for fact in sorted(expected.facts - counts.keys())[:MAX_TOLD]]
    found += [f"unknown: {fact}" for fact in sorted(counts.keys() - expected.facts)[:MAX_TOLD]]
    found += [f"{n} times: {fact}" for fact, n in counts.most_common(MAX_TOLD) if n > 1]
    first: dict[str, tuple[str, int]] = {}
    for message_id, lane, number in arrivals:
        first.setdefault(message_id, (lane, number))
    found += _out_of_order(list(first.values()))
    return found + _alarms_behind(items, first, offline_minutes)


def _fact(words: dict[str, object]) -> Fact:
    if words["lane"] == "summary":
        return ("summary", str(words["bed"]), str(words["minute_s"]))
    return ("alarm", str(words["bed"]), str(words["onset_s"]), str(words["state"]))


def _out_of_order(first: list[tuple[str, int]]) -> list[str]:
    """Each lane, as it first came, in the order of its numbers."""
    found = []
    for lane in ("alarm", "summary"):
        numbers = [number for of, number in first if of == lane]
        wrong = [(a, b) for a, b in pairwise(numbers) if a > b]
        found += [f"out of order in {lane}: {a} before {b}" for a, b in wrong[:MAX_TOLD]]
    return found


def _alarms_behind(
    items: list[dict[str, object]], first: dict[str, tuple[str, int]], offline_minutes: int
) -> list[str]:
    """Alarms of the offline time that came after any summary."""
    end_s = BEGUN_S + 60 * offline_minutes
    waiting = {
        str(words["id"]) for words in items if words["lane"] == "alarm" and words["onset_s"] < end_s
    }
    order = list(first)
    summaries = [place for place, id_ in enumerate(order) if first[id_][0] == "summary"]
    late = [id_ for id_ in order[summaries[0] :] if id_ in waiting] if summaries else []
    return [f"{len(late)} waiting alarms came after the first summary"] if late else []
