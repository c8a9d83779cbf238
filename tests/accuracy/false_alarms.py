"""False alarms an hour on MIT-BIH, by kind and priority; `alarm_truth` says which are false."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.alarm_policy import PRIORITY
from gateway.messages import Alarm, AlarmKind, AlarmPriority
from tests.accuracy.alarm_truth import TECHNICAL, is_true, true_episodes
from tests.accuracy.figures import Figure, Hourly
from tests.accuracy.gateway_run import GatewayRun, run_gateway
from tests.accuracy.reference import Reference, read_reference

URGENT = "high and medium"
_URGENT = frozenset(
    kind
    for kind, priority in PRIORITY.items()
    if priority in (AlarmPriority.HIGH, AlarmPriority.MEDIUM) and kind not in TECHNICAL
)


@dataclass(frozen=True, slots=True)
class JudgedRecord:
    """A record's alarms, which of the physiological ones are false, what it has episodes of."""

    hours: float
    alarms: list[Alarm]
    false: list[Alarm]
    has_episode: frozenset[AlarmKind]


def judge_record(name: str, folder: Path) -> JudgedRecord:
    return judge(read_reference(folder / name), run_gateway(folder / name))


def judge(reference: Reference, run: GatewayRun) -> JudgedRecord:
    episodes = {kind: true_episodes(kind, reference) for kind in AlarmKind}
    judged = (alarm for alarm in run.alarms if alarm.kind not in TECHNICAL)
    return JudgedRecord(
        reference.end_s / 3600.0,
        run.alarms,
        [alarm for alarm in judged if not is_true(alarm, episodes[alarm.kind])],
        frozenset(kind for kind, found in episodes.items() if found),
    )


def false_alarm_lines(records: Sequence[JudgedRecord]) -> dict[str, dict[str, Figure]]:
    """High and medium alarms together, then each kind that was raised, the most urgent first."""
    raised = {alarm.kind for record in records for alarm in record.alarms}
    order = [(priority, kind) for priority in AlarmPriority for kind in AlarmKind]
    kinds = {
        f"{kind.value}, {priority.value}": frozenset({kind})
        for priority, kind in order
        if kind in raised and PRIORITY[kind] is priority
    }
    return {name: _figures(records, kinds) for name, kinds in {URGENT: _URGENT, **kinds}.items()}


def _figures(records: Sequence[JudgedRecord], kinds: frozenset[AlarmKind]) -> dict[str, Figure]:
    """`false` is out of what annotations tell: never a technical alarm."""
    without = [record for record in records if not kinds & record.has_episode]
    return {
        "alarms /h": _hourly(records, [record.alarms for record in records], kinds),
        "false /h": _hourly(records, [record.false for record in records], kinds),
        "false where none is /h": _hourly(without, [record.false for record in without], kinds),
    }


def _hourly(
    records: Sequence[JudgedRecord], alarms: Iterable[list[Alarm]], kinds: frozenset[AlarmKind]
) -> Hourly:
    counted = sum(alarm.kind in kinds for of_record in alarms for alarm in of_record)
    return Hourly(counted, sum(record.hours for record in records))
