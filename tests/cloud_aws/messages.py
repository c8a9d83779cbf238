"""What a gateway says by its contract (docs/cloud.md), for tests to change a word of."""

from __future__ import annotations

from typing import Any

from tests.cloud_aws.fakes import NOW_S

GATEWAY = "ward-3"
MINUTE_S = int(NOW_S) // 60 * 60 - 60
SESSION = {"device": "ECG-0000002A", "boot_id": 5, "salt": "00" * 16}


def alarm(number: int = 1, **changed: object) -> dict[str, Any]:
    """An asystole of a moment before NOW_S, as it goes on the wire."""
    return {
        **_envelope("alarm", number),
        "alarm_id": f"{number:032x}",
        "bed": "Bed 4",
        "stay_admitted_s": NOW_S - 3600,
        **SESSION,
        "alarm": "asystole",
        "priority": "high",
        "state": "active",
        "confidence": None,
        "model": None,
        "onset_s": NOW_S - 5,
        "raised_s": NOW_S - 1,
        "ended_s": None,
        "acknowledged_s": None,
        "escalated_s": None,
        "notify": True,
        "strip": None,
        **changed,
    }


def summary(number: int = 1, **changed: object) -> dict[str, Any]:
    return {
        **_envelope("summary", number),
        "bed": "Bed 4",
        "stay_admitted_s": MINUTE_S - 3600.0,
        **SESSION,
        "minute_s": MINUTE_S,
        "beats": 71,
        "abnormal_beats": 2,
        "heart_rate_mean_bpm": 71.4,
        "usable_s": 60.0,
        "gap_s": 0.0,
        **changed,
    }


def status(**changed: object) -> dict[str, Any]:
    return {
        "version": 1,
        "gateway": GATEWAY,
        "state": "online",
        "reason": "connected",
        "at_s": NOW_S,
        "next_within_s": 900,
        **changed,
    }


def _envelope(lane: str, number: int) -> dict[str, Any]:
    return {
        "version": 1,
        "id": f"{lane}-{number:020}",
        "gateway": GATEWAY,
        "lane": lane,
        "kind": lane,
        "created_s": NOW_S - 1,
        "number": number,
    }
