"""What the road costs: `python -m tests.bench.road`.

Bytes of a bed-day in each policy, start-up, how fast a backlog drains, and the daemon at rest.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from cloud_sync.__main__ import GatewayOutbox
from cloud_sync.config import MqttConfig
from cloud_sync.envelope import seal_envelope
from cloud_sync.lanes import Lane
from cloud_sync.ports import Delivered, Envelope, OutboxRow
from cloud_sync.stretches import Stretch
from cloud_sync.tls import tls_context
from gateway.store.database import open_store
from gateway.store.files import connect_read_only
from tests.cloud_sync.brokers import Authority, Mosquitto
from tests.cloud_sync.fakes import publisher_with
from tests.cloud_sync.ward_rows import WardRows
from tests.soak_cloud.figures import cpu_s, idle_figures

MINUTES = 60
MINUTES_A_DAY = 1440
ALARMS_A_DAY = 20  # of one bed, each raised, acknowledged and ended
BEDS = 8
BACKLOG = 2400  # summaries: half a minute at the pace that AWS allows
MINUTES_A_WEEK = 7 * MINUTES_A_DAY
AROUND_ALARM_MINUTES = 2.2  # a minute on each side of its strip


def measure_road() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder, "clinic")
        broker = Mosquitto(folder, authority.issue("broker"))
        broker.start()
        try:
            _measure_bytes(folder, authority, broker)
            _measure_process(folder, authority, broker)
        finally:
            broker.kill()


def _measure_bytes(folder: Path, authority: Authority, broker: Mosquitto) -> None:
    """On the wire with TLS, TCP and IP, both ways, each kind in a connection of its own."""
    summaries, alarms, waveforms = _messages(folder)
    costs = [
        asyncio.run(_bytes_each(messages, authority, broker))
        for messages in (summaries, alarms, waveforms)
    ]
    summary, alarm, waveform = costs
    print(f"road: a summary {summary:.0f} bytes on the wire, an alarm with its strip {alarm:.0f},")
    print(f"      a minute of sealed frames {waveform:.0f} (250 Hz)")
    day = MINUTES_A_DAY * summary + ALARMS_A_DAY * (alarm + 2 * summary)
    around = ALARMS_A_DAY * AROUND_ALARM_MINUTES * waveform
    for policy, extra in (("request", 0.0), ("alarms", around), ("all", MINUTES_A_DAY * waveform)):
        print(f'      waveforms "{policy}": {(day + extra) / 1e6:.1f} MB a bed-day')


def _messages(folder: Path) -> tuple[list[Envelope], list[Envelope], list[Envelope]]:
    path = folder / "gateway.sqlite3"
    open_store(path)
    with WardRows(path, beds=1) as ward:
        for minute in range(MINUTES):
            ward.write_minute(minute, with_frames=[0])
            ward.raise_alarm(bed=0, at_s=60.0 * minute + 30.0)
        outbox = GatewayOutbox(path)
        assert outbox.version() is not None
        rows = outbox.pending(Lane.SUMMARY, 0, MINUTES)
        summaries = [seal_envelope("ward-3", row, outbox.frames) for row in rows]
        alarms = [
            seal_envelope("ward-3", row, outbox.frames)
            for row in outbox.pending(Lane.ALARM, 0, MINUTES)
        ]
        waveforms = [seal_envelope("ward-3", _frames_of(row), outbox.frames) for row in rows]
        outbox.close()
    return summaries, alarms, waveforms


def _frames_of(row: OutboxRow) -> OutboxRow:
    stretch = Stretch.of(json.loads(row.payload))
    return OutboxRow(
        row.id, stretch.message_id(), Lane.WAVEFORM, "frames", row.created_s, stretch.to_json()
    )


async def _bytes_each(
    messages: Sequence[Envelope], authority: Authority, broker: Mosquitto
) -> float:
    spent: list[int] = []
    ours = authority.issue("ward-3")
    config = MqttConfig("localhost", broker.port, 60, ours)
    publisher = publisher_with(config, tls_context(ours), spent=spent.append)
    for message in messages:
        assert await publisher.publish(message) == Delivered()
    await publisher.close()
    return sum(spent) / len(messages)


def _hear(systemd: socket.socket) -> None:
    """The daemon waits where nobody reads what it says of itself."""
    with suppress(OSError):
        while systemd.recv(99):
            pass


def _fill_backlog(path: Path) -> None:
    open_store(path)
    with WardRows(path, BACKLOG // MINUTES) as ward:
        for minute in range(MINUTES):
            ward.write_minute(minute, with_frames=())


def _drained_a_second(delivered: Path) -> float:
    """Waits until all is delivered."""
    while True:
        time.sleep(0.5)
        with closing(connect_read_only(delivered)) as settled:
            rows, first_s, last_s = settled.execute(
                "SELECT count(*), min(settled_at_s), max(settled_at_s) FROM settled"
            ).fetchone()
        if rows == BACKLOG:
            return float((rows - 1) / (last_s - first_s))


def _measure_process(folder: Path, authority: Authority, broker: Mosquitto) -> None:
    ours = authority.issue("ward-3-bench")
    outbox = folder / "backlog.sqlite3"
    _fill_backlog(outbox)
    config = folder / "cloud-sync.toml"
    config.write_text(
        f'gateway_id = "ward-3"\noutbox = "{outbox}"\n'
        f'state_directory = "{folder}/state"\n[mqtt]\nhost = "localhost"\nport = {broker.port}\n'
        f'ca_file = "{ours.ca}"\ncertificate_file = "{ours.certificate}"\n'
        f'key_file = "{ours.key}"\n'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        begun_s = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "cloud_sync", "run", "--config", str(config)],
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
            stderr=subprocess.DEVNULL,
        )
        try:
            assert systemd.recv(99) == b"READY=1"
            print(f"      ready {time.monotonic() - begun_s:.1f} s after its start")
            threading.Thread(target=_hear, args=(systemd,), daemon=True).start()
            _measure_drain(process.pid, folder / "state/delivered.sqlite3")
            idle_figures(process.pid)
        finally:
            process.terminate()
            process.wait()


def _measure_drain(pid: int, delivered: Path) -> None:
    before_s, begun_s = cpu_s(pid), time.monotonic()
    a_second = _drained_a_second(delivered)
    percent = 100 * (cpu_s(pid) - before_s) / (time.monotonic() - begun_s)
    minutes = BEDS * MINUTES_A_WEEK / a_second / 60
    print(f"      drains {a_second:.0f} summaries a second with {percent:.0f} % of a core;")
    print(f"      a week of {BEDS} beds takes {minutes:.0f} minutes")


if __name__ == "__main__":
    measure_road()
