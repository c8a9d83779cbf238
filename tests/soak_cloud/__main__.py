"""`make soak-cloud`: a week offline, then the way back through a link that does all that links do.

    python -m tests.soak_cloud [--hours 168] [--beds 8] [--kills 200] [--seed 1]
    python -m tests.soak_cloud --without deduplication      # must fail: the harness proves itself
    python -m tests.soak_cloud --without acknowledgement    # must fail

Both daemons are the real ones. The gateway has live sensors on the virtual radio, in real time, and
the week is poured through its recorder (poured_week.py); `ecg-cloud-sync` shows its certificate to
mosquitto, and behind that the template's own rules and functions run on moto. A proxy between them
cuts, delays, repeats and answers nonsense. Both daemons are killed with SIGKILL at random, and the
disk that holds all they keep (a tmpfs, so this must be root: `unshare -rm` makes one) is filled
twice. At the end each row that was reported as committed, and each that the gateway's own tables
have, must be in the cloud's table, none twice, the alarms before the summaries that were waiting
beside them, each lane first published in the order of its numbers; and each frame that a sensor was
told is safe must be in the store, or noted as removed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from gateway.store.files import connect_read_only
from tests.cloud_sync.brokers import Authority, Mosquitto
from tests.end_to_end.processes import Simulator, free_port, pair
from tests.soak_cloud.chaos_proxy import ChaosProxy
from tests.soak_cloud.cloud import EmulatedCloud
from tests.soak_cloud.figures import idle_figures, print_figures
from tests.soak_cloud.frames import LIVE_FRAMES, frame_faults
from tests.soak_cloud.gateway_process import ready_file
from tests.soak_cloud.kept import Kept
from tests.soak_cloud.poured_week import Week, reported
from tests.soak_cloud.verdict import facts_of_store, facts_of_week, faults

GATEWAY = "ward-3"
LIVE_MINUTES_A_KILL = 5  # that are poured while the backlog drains
LIVE_PACE_S = 0.2
FULL_S = 3.0  # how long the disk stays full
POLL_S = 0.1
KILLED_AT_ONCE = 0.2  # of the kills come while the process is starting
LIFELESS_S = 60.0  # one that has nothing to do shows no sign of life
SWITCH_S = 0.0005  # between threads: the proxy shall not wait for the cloud's functions beside it
ECG = "synthetic=normal*50+vf*15+normal*60+pvcs*30"  # over and over: alarms come and go


class Soak:
    def __init__(self, options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        self.disk = folder / "disk"
        self.store = self.disk / "state/gateway.sqlite3"
        self.kills = 0
        authority = Authority(folder, "clinic")
        lines = ["max_inflight_messages 1", "max_queued_messages 0"]  # what is sent keeps its order
        broker = Mosquitto(folder, authority.issue("broker"), lines)
        broker.start()
        stack.callback(broker.kill)
        self.proxy = ChaosProxy(broker.port, options.seed)
        stack.callback(self.proxy.stop)
        self.cloud = EmulatedCloud(
            broker.port,
            authority.issue("rules-engine"),
            deduplicate=options.without != "deduplication",
            seed=options.seed,
        )
        stack.callback(self.cloud.close)
        self.offline_minutes = 60 * options.hours
        minutes = self.offline_minutes + LIVE_MINUTES_A_KILL * options.kills
        begun_s = time.time() - 60 * minutes  # it is over before the first live row
        self.week = Week(options.beds, minutes, begun_s, LIVE_PACE_S, folder / "report")
        self.simulator, radio_port = live_sensors(self.disk, options.sensors)
        stack.callback(self.simulator.stop)
        self.gateway_config = write_gateway_config(folder, self.disk, radio_port)
        road_config = write_road_config(folder, self, authority)
        self.road = Kept(folder / "road.log", "cloud_sync", "run", "--config", str(road_config))
        self.gateway = self._gateway(self.offline_minutes, 0.0)
        stack.callback(lambda: self.gateway.kill())
        stack.callback(self.road.kill)

    def run(self) -> list[str]:
        """What is wrong at the end; nothing is the goal."""
        self._storm(self.offline_minutes, self.options.kills // 3)
        print(f"offline: {self.offline_minutes} minutes of {self.options.beds} beds, ", end="")
        print(f"{self.kills} kills", flush=True)
        self.gateway.kill()
        waiting_up_to = self._last_number()
        self.gateway = self._gateway(self.week.minutes, LIVE_PACE_S)
        self.proxy.closed = False
        begun_s = time.monotonic()
        self._storm(self.week.minutes, self.options.kills - self.kills)
        print(f"online:  {self.kills} kills, {self.proxy.connections} connections, ", end="")
        print(f"{self.proxy.cuts} cut; {self.cloud.rules.played} messages came meanwhile")
        self.proxy.calm = True
        found = self._end_live_sensors()
        self._drain()
        drained_s = time.monotonic() - begun_s
        self.cloud.settle()
        items = self.cloud.account.items()
        print_figures(self.cloud, len(items), drained_s)
        idle_figures(self.road.pid)
        expected = {*facts_of_week(self.week, self.week.minutes), *facts_of_store(self.store)}
        print(f"wanted:  {len(expected)} facts", flush=True)
        found += self.cloud.refused_for_good()
        return found + faults(items, expected, self.cloud.rules.arrivals, waiting_up_to)

    def _gateway(self, minutes: int, pace_s: float) -> Kept:
        week = self.week
        numbers = map(str, (week.beds, minutes, week.begun_s, pace_s))
        return Kept(
            week.report.with_name("gateway.log"),
            "tests.soak_cloud.gateway_process",
            str(self.gateway_config),
            str(week.report),
            *numbers,
        )

    def _storm(self, minutes: int, kills: int) -> None:
        """Kill now this one, now that one, until there were enough; the disk fills half-way."""
        last = self.kills + kills
        fill_at = self.kills + kills // 2
        while self.kills < last:
            if self.kills == fill_at:
                self._fill_the_disk()
            victim, sign_of_life = self.random.choice(
                [(self.gateway, self._gateway_did), (self.road, self._road_did)]
            )
            if self.random.random() >= KILLED_AT_ONCE:
                self._let_live(sign_of_life)
            victim.kill()
            self.kills += 1
            self._tend()
        while reported(self.week.report) < minutes:
            self._tend()
            time.sleep(POLL_S)

    def _gateway_did(self) -> int:
        return reported(self.week.report) + reported(ready_file(self.week.report))

    def _road_did(self) -> int:
        return self.proxy.connections + self.cloud.rules.played

    def _let_live(self, sign_of_life: Callable[[], int]) -> None:
        """Until it does something, be the machine ever so slow, and some time more."""
        before, give_up_s = sign_of_life(), time.monotonic() + LIFELESS_S
        while sign_of_life() == before and time.monotonic() < give_up_s:
            self._tend()
            time.sleep(POLL_S)
        self._go_on(self.random.uniform(0.0, 2 * self.options.kill_every))

    def _fill_the_disk(self) -> None:
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)):
                    pass
            except OSError:
                print("the disk is full", flush=True)
        self._go_on(FULL_S)
        filler.unlink()

    def _end_live_sensors(self) -> list[str]:
        """All that they held comes in; then the gateway ends in order."""
        found = []
        give_up_s = time.monotonic() + self.options.patience
        while any(sensor["held"] > LIVE_FRAMES for sensor in self.simulator.sensors()):
            self._go_on(1.0)
            if time.monotonic() > give_up_s:
                found.append("the sensors' frames do not come in")
                break
        self._go_on(2 * LIVE_FRAMES)
        told = sum(sensor["acknowledged"] for sensor in self.simulator.sensors())
        self.gateway.stop()
        return found + frame_faults(self.store, told)

    def _drain(self) -> None:
        """Until the road has settled every row, or nothing moves any more."""
        seen, since_s = -1, time.monotonic()
        while (waiting := self._waiting()) and time.monotonic() - since_s < self.options.patience:
            self.road.tend()
            time.sleep(1.0)
            if waiting != seen:
                seen, since_s = waiting, time.monotonic()
        if waiting:
            print(f"{waiting} rows still wait")

    def _waiting(self) -> int:
        query = """SELECT count(*) FROM outbox WHERE message_id NOT IN
                   (SELECT message_id FROM road.settled)"""
        with closing(connect_read_only(self.store)) as outbox:
            outbox.execute(
                "ATTACH ? AS road", (f"file:{self.disk}/road/delivered.sqlite3?mode=ro",)
            )
            return int(outbox.execute(query).fetchone()[0])

    def _last_number(self) -> int:
        """Of the rows that wait while there is no link."""
        with closing(sqlite3.connect(self.store)) as outbox:
            return int(outbox.execute("SELECT max(id) FROM outbox").fetchone()[0])

    def _go_on(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._tend()
            time.sleep(POLL_S)

    def _tend(self) -> None:
        self.gateway.tend()
        self.road.tend()


def live_sensors(disk: Path, count: int) -> tuple[Simulator, int]:
    keys, port = pair(disk, count), free_port()
    specs = [f"{number:08X}:{ECG}" for number in range(1, count + 1)]
    return Simulator(specs, keys, 1.0, port, options=()), port


def write_gateway_config(folder: Path, disk: Path, radio_port: int) -> Path:
    config = folder / "gateway.toml"
    config.write_text(
        f'state_directory = "{disk}/state"\n'
        f'[radio]\nadapters = ["virtual:127.0.0.1:{radio_port}"]\n'
        f'[store]\ncommit_interval_s = 1.0\ndelivered = "{disk}/road/delivered.sqlite3"\n'
        f'[keyring]\nkey_file = "{disk}/keyring-key"\n'
        f"[dashboard]\nport = {free_port()}\n[beds]\nauto_admit = true\n"
    )
    return config


def write_road_config(folder: Path, soak: Soak, authority: Authority) -> Path:
    """Without the acknowledgement a PUBACK is believed, as of a broker that is no cloud."""
    ours = authority.issue(GATEWAY)
    config = folder / "cloud-sync.toml"
    provider = "mqtt" if soak.options.without == "acknowledgement" else "aws"
    config.write_text(
        f'gateway_id = "{GATEWAY}"\nprovider = "{provider}"\n'
        f'outbox = "{soak.store}"\nstate_directory = "{soak.disk}/road"\n'
        f'[mqtt]\nhost = "localhost"\nport = {soak.proxy.port}\n'
        f'ca_file = "{ours.ca}"\ncertificate_file = "{ours.certificate}"\n'
        f'key_file = "{ours.key}"\n'
    )
    return config


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[None]:
    path.mkdir()
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "soak-cloud", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="A week offline, and the way back.")
    parser.add_argument("--hours", type=int, default=168)
    parser.add_argument("--beds", type=int, default=8, help="of the poured week")
    parser.add_argument("--sensors", type=int, default=2, help="that live on the virtual radio")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--kill-every", type=float, default=1.0, metavar="S", help="of life between two kills"
    )
    parser.add_argument("--patience", type=float, default=600.0, metavar="S", help="for any news")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=("deduplication", "acknowledgement"))
    options = parser.parse_args()
    sys.setswitchinterval(SWITCH_S)
    folder = Path(tempfile.mkdtemp(prefix="soak-cloud-"))
    try:
        with (
            small_disk(folder / "disk", 96 + options.beds * options.hours // 5),
            ExitStack() as stack,
        ):
            found = Soak(options, folder, stack).run()
    finally:
        shutil.rmtree(folder)
    print("\n".join(found) or "every committed row is in the table, once, alarms first, in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
