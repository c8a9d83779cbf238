"""What `ecg-cloud-sync status` tells, for a person and for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from cloud_sync.config import CloudSyncConfig
from cloud_sync.daemon import DATABASE_FILE, AllRows
from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.lanes import Lane
from cloud_sync.link_record import LinkState, read_link
from cloud_sync.pace import MESSAGES_PER_S
from cloud_sync.ports import FrameOutbox, Outbox
from cloud_sync.schema import open_database
from cloud_sync.waveform_jobs import WaveformJobs

PAGE_ROWS = 500  # that `status` holds at a time
NAMED_REFUSALS = 10
RATE_SAMPLE = 500  # the latest deliveries, from which the rate is taken
BUSY_GAP_S = 2.0  # a longer pause between two deliveries was no draining


@dataclass(frozen=True, slots=True)
class LaneStatus:
    lane: Lane
    waiting: int
    oldest_s: float | None  # age; None: nothing waits
    delivered: int
    refused: int


@dataclass(frozen=True, slots=True)
class RoadStatus:
    """`outbox_open` is false where the gateway does not run: its rows are then not counted."""

    outbox_open: bool
    lanes: tuple[LaneStatus, ...]
    drain_s: float  # at `rate_per_s`, with the link open
    rate_per_s: float
    link: LinkState | None
    bytes_a_day: int | None
    refused: tuple[Settlement, ...]


def road_status(config: CloudSyncConfig, outbox: FrameOutbox, now_s: float) -> RoadStatus:
    """From the two databases; the daemon need not run."""
    path = config.state_directory / DATABASE_FILE
    engine = open_database(path if path.exists() else Path(":memory:"))  # it makes no file
    log = DeliveryLog(engine)
    try:
        rows = AllRows(outbox, WaveformJobs(engine, lambda: now_s))
        outbox_open = rows.version() is not None
        lanes = tuple(_lane_status(lane, rows, log, now_s) for lane in Lane)
        rate = drain_rate(log.latest_deliveries(RATE_SAMPLE))
        return RoadStatus(
            outbox_open,
            lanes,
            sum(lane.waiting for lane in lanes) / rate,
            rate,
            read_link(engine),
            config.link.bytes_a_day,
            tuple(log.refused(NAMED_REFUSALS)),
        )
    finally:
        engine.dispose()


def drain_rate(delivered_s: Sequence[float]) -> float:
    """Messages a second while the link was draining; the pace's own limit where none is known."""
    gaps = [after - before for before, after in pairwise(delivered_s)]
    busy = [gap for gap in gaps if gap <= BUSY_GAP_S]
    if not busy or sum(busy) == 0:
        return MESSAGES_PER_S
    return min(MESSAGES_PER_S, len(busy) / sum(busy))


def _lane_status(lane: Lane, outbox: Outbox, log: DeliveryLog, now_s: float) -> LaneStatus:
    waiting = list(_waiting(lane, outbox, log))
    return LaneStatus(
        lane,
        len(waiting),
        now_s - min(waiting) if waiting else None,
        log.count(lane, Outcome.DELIVERED),
        log.count(lane, Outcome.REFUSED),
    )


def _waiting(lane: Lane, outbox: Outbox, log: DeliveryLog) -> Iterator[float]:
    """When each row that is neither delivered nor set aside was made, in Unix time."""
    after_id = 0
    while rows := outbox.pending(lane, after_id, PAGE_ROWS):
        after_id = rows[-1].id
        settled = log.settled(row.message_id for row in rows)
        yield from (row.created_s for row in rows if row.message_id not in settled)


def status_json(status: RoadStatus) -> str:
    return json.dumps(asdict(status), indent=2)


def status_text(status: RoadStatus) -> str:
    lines = []
    if not status.outbox_open:
        lines.append(
            "the gateway's database is not open: it does not run, its rows are not counted"
        )
    if status.link is not None:
        cap = "" if status.bytes_a_day is None else f" of {status.bytes_a_day:,}"
        lines.append(f"link {status.link.state}; {status.link.bytes_today:,}{cap} bytes today")
    lines.append(f"{'lane':10}{'waiting':>9}{'oldest':>10}{'delivered':>11}{'set aside':>11}")
    for lane in status.lanes:
        oldest = "—" if lane.oldest_s is None else f"{lane.oldest_s:.0f} s"
        lines.append(
            f"{lane.lane:10}{lane.waiting:9}{oldest:>10}{lane.delivered:11}{lane.refused:11}"
        )
    lines.append(f"drains in {status.drain_s:.0f} s at {status.rate_per_s:.0f} messages a second")
    lines += [f"set aside: {end.lane} {end.message_id}: {end.reason}" for end in status.refused]
    return "\n".join(lines)
