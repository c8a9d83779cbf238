"""What must be in the cloud's tables at the end, told by facts and not by ids.

Two accounts of it: the minutes that the poured week was told are committed, and the gateway's own
tables, which hold the live sensors' minutes and alarms too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from gateway.messages import AlarmState, device_name
from gateway.store.files import connect_read_only
from tests.soak_cloud.poured_week import ALARM_AT_S, Week, bed_name, has_alarm

MAX_TOLD = 5  # of one kind of fault

Fact = tuple[str, ...]

_SUMMARIES = """
    SELECT device_id, boot_id, minute_s FROM summaries JOIN sessions ON sessions.id = session_id
    WHERE stay_id IS NOT NULL
"""
_ALARMS = """
    SELECT beds.name, kind, onset_s, alarms.state FROM alarms JOIN beds ON beds.id = bed_id
"""


def facts_of_week(week: Week, minutes: int) -> Iterator[Fact]:
    """Each bed's minutes, each alarm raised and ended, in so many minutes of the week."""
    for minute in range(minutes):
        for bed in range(week.beds):
            yield ("minute", bed_name(bed), str(-int(-week.begun_s // 1) + 60 * minute))
            if has_alarm(bed, minute):
                onset_s = week.begun_s + 60 * minute + ALARM_AT_S
                for state in (AlarmState.ACTIVE, AlarmState.ENDED):
                    yield ("alarm", bed_name(bed), "asystole", str(onset_s), state.value)


def facts_of_store(store: Path) -> Iterator[Fact]:
    """Every patient's minute, and every alarm as it stands now."""
    with closing(connect_read_only(store)) as tables:
        for device_id, boot_id, minute_s in tables.execute(_SUMMARIES):
            yield ("summary", device_name(device_id), str(boot_id), str(minute_s))
        for bed, kind, onset_s, state in tables.execute(_ALARMS):
            yield ("alarm", bed, kind, str(onset_s), state)


def facts_of_row(facts: dict[str, Any]) -> Iterator[Fact]:
    """A row of the cloud's table, as each of the two accounts would name it."""
    if facts["lane"] == "summary":
        yield ("summary", facts["device"], str(facts["boot_id"]), str(facts["minute_s"]))
        yield ("minute", facts["bed"], str(facts["minute_s"]))
    else:
        yield ("alarm", facts["bed"], facts["alarm"], str(facts["onset_s"]), facts["state"])


def faults(
    items: Sequence[dict[str, Any]],
    expected: set[Fact],
    arrivals: Iterable[tuple[str, str, int]],
    waiting_up_to: int,
) -> list[str]:
    """`items` are the table's rows; `waiting_up_to` is the last number given before the link."""
    rows = [json.loads(item["facts"]) for item in items if "facts" in item]
    there = {fact for row in rows for fact in facts_of_row(row)}
    missing = sorted(expected - there)
    found = [f"lost, of {len(missing)}: {fact}" for fact in missing[:MAX_TOLD]]
    names = Counter(row["id"] for row in rows)
    minutes = Counter(fact for row in rows for fact in facts_of_row(row) if fact[0] == "summary")
    for counts in (names, minutes):
        found += [f"{n} times: {name}" for name, n in counts.most_common(MAX_TOLD) if n > 1]
    first: dict[str, tuple[str, int]] = {}
    for lane, message_id, number in arrivals:
        first.setdefault(message_id, (lane, number))
    return found + _out_of_order(first.values()) + _alarms_behind(first.values(), waiting_up_to)


def _out_of_order(first: Iterable[tuple[str, int]]) -> list[str]:
    """Each lane, as it first came, in the order of its numbers."""
    found = []
    for lane in ("alarm", "summary"):
        numbers = [number for of, number in first if of == lane]
        wrong = [(a, b) for a, b in pairwise(numbers) if a > b]
        found += [f"out of order in {lane}: {a} before {b}" for a, b in wrong[:MAX_TOLD]]
    return found


def _alarms_behind(first: Iterable[tuple[str, int]], waiting_up_to: int) -> list[str]:
    """Alarms that had waited for the link and came after any summary."""
    order = list(first)
    begin = next((place for place, (lane, _) in enumerate(order) if lane == "summary"), len(order))
    late = [n for lane, n in order[begin:] if lane == "alarm" and n <= waiting_up_to]
    return [f"{len(late)} waiting alarms came after the first summary"] if late else []
