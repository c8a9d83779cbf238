"""The gateway daemon as `ecg-gateway run` builds it, with a week poured through its recorder.

    python -m tests.soak_cloud.gateway_process CONFIG REPORT BEDS MINUTES BEGUN_S PACE_S

Its live sensors come over the virtual radio. Each start that got ready is a line of READY.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import gateway.daemon
from gateway.config_file import load_config
from gateway.store import recorder
from tests.soak_cloud.poured_week import PouringRecorder, Week

RETENTION_INTERVAL_S = 1.0  # in the life between two kills the outbox is to be pruned, too


def main(config: str, report: str, beds: str, minutes: str, begun_s: str, pace_s: str) -> None:
    week = Week(int(beds), int(minutes), float(begun_s), float(pace_s), Path(report))
    recorder.RETENTION_INTERVAL_S = RETENTION_INTERVAL_S
    gateway.daemon.Recorder = partial(PouringRecorder, week)
    with ready_file(week.report).open("a") as ready:
        note = partial(print, file=ready, flush=True)
        asyncio.run(gateway.daemon.serve(load_config(Path(config)), note))


def ready_file(report: Path) -> Path:
    return report.with_suffix(".ready")


if __name__ == "__main__":
    main(*sys.argv[1:])
