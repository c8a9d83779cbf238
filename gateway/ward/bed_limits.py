"""The alarm limits that a bed may have of its own, for as long as its patient stays.

The house's limits are `[alarms]` of the configuration. A bed that has its own keeps all of those
named here as they stood when they were set, whatever becomes of the house's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from gateway.config import AlarmLimits
from gateway.config_file import read_part

KEY_OF = {  # the command line's name → the key of [alarms]
    "rate_low": "heart_rate_low_bpm",
    "rate_high": "heart_rate_high_bpm",
    "extreme_low": "heart_rate_extreme_low_bpm",
    "extreme_high": "heart_rate_extreme_high_bpm",
    "asystole": "asystole_s",
    "pause": "pause_s",
    "ventricular_beats": "ventricular_beats_per_minute",
    "burden": "abnormal_burden_percent",
}


class LimitsRefused(ValueError):
    """The limits are out of bounds, or do not go together; the message says how."""


def limits_of_bed(house: AlarmLimits, own: Mapping[str, Any] | None) -> AlarmLimits:
    """What applies at a bed: its own limits (by key) over the house's."""
    return house if own is None else replace(house, **own)


def own_limits(limits: AlarmLimits) -> dict[str, float]:
    """Those of `limits` that a bed may have of its own, by key."""
    every = asdict(limits)
    return {key: every[key] for key in KEY_OF.values()}


def changed_limits(limits: AlarmLimits, asked: Mapping[str, object]) -> AlarmLimits:
    """`limits` with what is `asked` for, by the command line's names; raises LimitsRefused."""
    wanted = {KEY_OF[name]: value for name, value in asked.items()}
    changed, problems = read_part(AlarmLimits, asdict(limits) | wanted)
    if problems:
        raise LimitsRefused("; ".join(map(str, problems)))
    return changed
