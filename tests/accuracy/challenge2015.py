"""True and false alarms of an intensive care unit: the PhysioNet/CinC Challenge 2015 (Clifford).

Each record ends, for us, with the alarm that a bedside monitor gave at 5:00. The gateway agrees
where it has a finding of the same kind open at some moment of the last 10 s, within which the
challenge has the event. It hears one ECG lead, the first one (II in nearly all records), as one
sensor has it; the second lead and the pulse are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.accuracy.figures import Figure, Share
from tests.accuracy.gateway_run import run_gateway
from tests.accuracy.reference import Stretch

ALARM_S, WINDOW_S = 300.0, 10.0
MISS_COSTS = 5  # a missed true alarm weighs as much as five false ones
KINDS = {  # the challenge's name → the gateway's
    "Asystole": "asystole",
    "Bradycardia": "extreme bradycardia",
    "Tachycardia": "extreme tachycardia",
    "Ventricular_Flutter_Fib": "ventricular fibrillation",
    "Ventricular_Tachycardia": "ventricular tachycardia",
}


@dataclass(frozen=True, slots=True)
class MonitorAlarm:
    """What a bedside monitor called, and whether cardiologists agreed."""

    name: str  # in KINDS
    is_true: bool


def read_alarms(folder: Path) -> dict[str, MonitorAlarm]:
    """Record → its alarm."""
    lines = [line.split("\t") for line in (folder / "ALARMS").read_text().splitlines()]
    return {record: MonitorAlarm(name, said == "True alarm") for record, name, said in lines}


def gateway_agrees(record: str, folder: Path) -> bool:
    """Whether the gateway alarms as well, on what came until the monitor's alarm."""
    alarm = read_alarms(folder)[record]
    window = Stretch(ALARM_S - WINDOW_S, ALARM_S)
    episodes = run_gateway(folder / record, ALARM_S).episodes(KINDS[alarm.name])
    return any(episode.overlap_s(window) > 0.0 for episode in episodes)


def score_alarm(alarm: MonitorAlarm, agrees: bool) -> dict[str, Figure]:
    """The figures of one alarm; the challenge score is (TP+TN)/(TP+TN+FP+5·FN)."""
    right = agrees == alarm.is_true
    weight = MISS_COSTS if alarm.is_true and not agrees else 1
    return {
        "true kept": Share(alarm.is_true and agrees, alarm.is_true),
        "false suppressed": Share(not alarm.is_true and not agrees, not alarm.is_true),
        "score": Share(right, weight),
    }


def score_unsuppressed(alarm: MonitorAlarm) -> dict[str, Figure]:
    """The score where every alarm of the monitor is let through."""
    return {"score, nothing suppressed": score_alarm(alarm, agrees=True)["score"]}
