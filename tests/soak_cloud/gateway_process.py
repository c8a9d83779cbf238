"""Stands for the gateway daemon: writes a ward's minutes and alarms by the store's own code.

    python -m tests.soak_cloud.gateway_process DATABASE REPORT DELIVERED BEDS MINUTES PACE_S

Goes on where the report ends: a line for each minute that the store has reported as committed. It
prunes its outbox by what was delivered, as the recorder does. `PACE_S` is the pause between two
minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import OperationalError

from gateway.store.database import open_store
from tests.cloud_sync.ward_rows import WardRows

MINUTES_BETWEEN_ALARMS = 30  # of each bed
RETRY_S = 0.2  # the disk is full


def main(arguments: list[str]) -> None:
    database, report, delivered = map(Path, arguments[:3])
    beds, minutes, pace_s = int(arguments[3]), int(arguments[4]), float(arguments[5])
    insist(lambda: open_store(database))
    done = reported(report)
    with WardRows(database, beds) as ward, report.open("a") as lines:
        for minute in range(done, minutes):
            insist(lambda minute=minute: write_minute(ward, minute))
            insist(lambda: ward.prune(delivered))
            insist(lambda minute=minute: print(minute, file=lines, flush=True))
            time.sleep(pace_s)


def write_minute(ward: WardRows, minute: int) -> None:
    """Bed by bed; the frames only where an alarm has its strip."""
    alarmed = [bed for bed in range(ward.beds) if has_alarm(bed, minute)]
    ward.write_minute(minute, with_frames=alarmed)
    for bed in alarmed:
        ward.raise_alarm(bed, 60 * minute + 30.0)
        ward.end_alarm(bed, 60 * minute + 30.0)


def has_alarm(bed: int, minute: int) -> bool:
    return (minute + 7 * bed) % MINUTES_BETWEEN_ALARMS == 0


def reported(report: Path) -> int:
    """How many minutes are known to be committed; a cut last line does not count."""
    if not report.exists():
        return 0
    return report.read_text().count("\n")


def insist(work: Callable[[], object]) -> None:
    """As the recorder does: a full disk is waited out."""
    while True:
        try:
            work()
        except (OperationalError, OSError):
            time.sleep(RETRY_S)
        else:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
