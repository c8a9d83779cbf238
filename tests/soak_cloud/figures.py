"""What the soak measures beside its verdict."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.soak_cloud.cloud import EmulatedCloud

IDLE_S = 20.0


def print_figures(cloud: EmulatedCloud, items: int, drained_s: float) -> None:
    arrivals = cloud.rules.arrivals
    again = len(arrivals) - len({message_id for _, message_id, _ in arrivals})
    print(f"drained: {items} rows in {drained_s:.0f} s, {items / drained_s:.0f} a second, with all")
    print(f"         kills and cuts; {again} messages came again and were dropped;")
    print(f"         {cloud.rules.lost_acknowledgements} acknowledgements were lost on the way")


def idle_figures(pid: int) -> None:
    """CPU and memory of the daemon with a connection and nothing to send."""
    begun_s = cpu_s(pid)
    time.sleep(IDLE_S)
    percent = 100 * (cpu_s(pid) - begun_s) / IDLE_S
    status = Path(f"/proc/{pid}/status").read_text()
    (memory,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    print(f"idle:    {percent:.1f} % of a core, {int(memory) / 1024:.0f} MB")


def cpu_s(pid: int) -> float:
    """User and system time of a process (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
