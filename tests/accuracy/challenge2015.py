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


@dataclass(frozen=True, slots=True)
class Answer:
    """The gateway's word on a monitor's alarm."""

    alarm: MonitorAlarm
    agrees: bool


def read_alarm(record: Path) -> MonitorAlarm:
    """As the record's header has it."""
    import wfdb

    name, said = wfdb.rdheader(str(record)).comments
    return MonitorAlarm(name, said == "True alarm")


def gateway_agrees(record: Path, alarm: MonitorAlarm) -> bool:
    """Whether the gateway alarms as well, on what came until the monitor's alarm."""
    window = Stretch(ALARM_S - WINDOW_S, ALARM_S)
    episodes = run_gateway(record, ALARM_S).episodes(KINDS[alarm.name])
    return any(episode.overlap_s(window) > 0.0 for episode in episodes)


def answer_record(record: str, folder: Path) -> Answer:
    alarm = read_alarm(folder / record)
    return Answer(alarm, gateway_agrees(folder / record, alarm))


def score_answer(answer: Answer) -> dict[str, Figure]:
    """The figures of one alarm; the challenge score is (TP+TN)/(TP+TN+FP+5·FN)."""
    alarm, agrees = answer.alarm, answer.agrees
    return {
        "true kept": Share(alarm.is_true and agrees, alarm.is_true),
        "false suppressed": Share(not (alarm.is_true or agrees), not alarm.is_true),
        "score": _challenge_score(answer),
        "score, nothing suppressed": _challenge_score(Answer(alarm, agrees=True)),
    }


def _challenge_score(answer: Answer) -> Share:
    missed = answer.alarm.is_true and not answer.agrees
    return Share(answer.agrees == answer.alarm.is_true, MISS_COSTS if missed else 1)
