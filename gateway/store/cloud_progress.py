"""How far each alarm has come, as cloud_sync's own database says (docs/cloud.md)."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

ALARMS_READ = 2000  # the newest; more than a page shows

_NEWEST = """
    SELECT bed, alarm, onset_s, max(in_cloud_s) IS NOT NULL, max(notified_s) IS NOT NULL
    FROM (SELECT * FROM alarm_road ORDER BY created_s DESC LIMIT ?)
    GROUP BY bed, alarm, onset_s
"""

AlarmName = tuple[str, str, float]  # bed, kind, onset in Unix seconds


class CloudProgress(enum.StrEnum):
    PENDING = "pending"  # the cloud has not confirmed it
    IN_CLOUD = "in the cloud"
    NOTIFIED = "notified"  # a person was called


def cloud_progress(delivered: Path) -> Mapping[AlarmName, CloudProgress]:
    """Of the newest alarms. Empty where that database can't be read: then nothing is known."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(delivered))}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return {}
    try:
        rows = connection.execute(_NEWEST, (ALARMS_READ,)).fetchall()
    except sqlite3.DatabaseError:
        return {}
    finally:
        connection.close()
    return {(bed, kind, onset_s): _progress(*come) for bed, kind, onset_s, *come in rows}


def _progress(in_cloud: int, notified: int) -> CloudProgress:
    if notified:
        return CloudProgress.NOTIFIED
    return CloudProgress.IN_CLOUD if in_cloud else CloudProgress.PENDING
