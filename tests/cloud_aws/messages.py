"""What a gateway says, for tests to change a word of."""

from __future__ import annotations

import time
from typing import Any

SESSION = {"device": "ECG-0000002A", "boot_id": 5, "salt": "00" * 16}


def alarm_facts(**changed: object) -> dict[str, Any]:
    """An asystole of a moment ago, by the daemon's contract (docs/cloud.md, "Alarm")."""
    now_s = time.time()
    return {
        "version": 1,
        "alarm_id": "c" * 32,
        "bed": "Bed 4",
        "stay_admitted_s": now_s - 3600,
        **SESSION,
        "alarm": "asystole",
        "priority": "high",
        "state": "active",
        "confidence": None,
        "model": None,
        "onset_s": now_s - 5,
        "raised_s": now_s - 1,
        "ended_s": None,
        "acknowledged_s": None,
        "escalated_s": None,
        "notify": True,
        "strip": None,
        **changed,
    }


def summary_facts(minute_s: int = 1_795_300_020, **changed: object) -> dict[str, Any]:
    return {
        "version": 1,
        "bed": "Bed 4",
        "stay_admitted_s": minute_s - 3600.0,
        **SESSION,
        "minute_s": minute_s,
        "beats": 71,
        "abnormal_beats": 2,
        "heart_rate_mean_bpm": 71.4,
        "usable_s": 60.0,
        "gap_s": 0.0,
        **changed,
    }
