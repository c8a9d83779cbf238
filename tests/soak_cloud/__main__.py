"""`make soak-cloud`: a week offline, then the way back through a link that does all that links do.

    python -m tests.soak_cloud [--hours 168] [--beds 8] [--kills 200] [--seed 1]
    python -m tests.soak_cloud --without deduplication      # must fail: the harness proves itself
    python -m tests.soak_cloud --without acknowledgement    # must fail

A ward's minutes and alarms are written by the store's own code, `ecg-cloud-sync` is the real one,
mosquitto asks it for a certificate, and a proxy between them cuts, delays, repeats and answers
nonsense. Both processes are killed with SIGKILL at random, and the disk that holds both databases
(a tmpfs, so this must be root: `unshare -rm` makes one) is filled twice. At the end each row that
the store had reported as committed must be in the cloud's tables, none twice, the alarms before the
summaries that were waiting beside them, each lane first published in the order of its numbers.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cloud_sync.brokers import Authority, Mosquitto
from tests.soak_cloud.chaos_proxy import ChaosProxy
from tests.soak_cloud.figures import idle_figures, print_figures
from tests.soak_cloud.gateway_process import reported
from tests.soak_cloud.small_cloud import SmallCloud
from tests.soak_cloud.verdict import Expected, faults

GATEWAY = "ward-3"
LIVE_MINUTES_A_KILL = 5  # that are written while the backlog drains
LIVE_PACE_S = 0.2
FULL_S = 3.0  # how long the disk stays full
PATIENCE_S = 600.0  # without anything new in the tables
POLL_S = 0.1
KILLED_AT_ONCE = 0.2  # of the kills come while the process is starting
LIFELESS_S = 10.0  # one that has nothing to do shows no sign of life


class Kept:
    """A process that is started again whenever it has ended, as systemd does it."""

    def __init__(self, *arguments: str) -> None:
        self.command = [sys.executable, "-m", *arguments]
        self.deaths = 0  # of its own
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def tend(self) -> None:
        if self._process is not None and self._process.poll() not in (None, 0):
            self.deaths += 1
            self._process = None
        if self._process is None:
            self._process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Soak:
    def __init__(self, options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        self.disk = folder / "disk"
        self.report = folder / "report"
        authority = Authority(folder, "clinic")
        lines = ["max_inflight_messages 1", "max_queued_messages 0"]  # what is sent keeps its order
        broker = Mosquitto(folder, authority.issue("broker"), lines)
        broker.start()
        stack.callback(broker.kill)
        self.proxy = ChaosProxy(broker.port, options.seed)
        stack.callback(self.proxy.stop)
        self.cloud = SmallCloud(
            folder / "cloud.sqlite3",
            broker.plain_port,
            GATEWAY,
            deduplicate=options.without != "deduplication",
            seed=options.seed,
        )
        stack.callback(self.cloud.close)
        self.minutes = 60 * options.hours
        self.all_minutes = self.minutes + LIVE_MINUTES_A_KILL * options.kills
        self.database = self.disk / "gateway.sqlite3"
        config = write_config(folder, self.disk, self.proxy.port, authority, options.without)
        self.road = Kept("cloud_sync", "run", "--config", str(config))
        self.gateway = self._gateway(self.minutes, 0.0)
        stack.callback(lambda: self.gateway.kill())
        stack.callback(self.road.kill)
        self.kills = 0

    def run(self) -> list[str]:
        """What is wrong at the end; nothing is the goal."""
        self._storm(lambda: reported(self.report) >= self.minutes, self.options.kills // 3)
        print(f"offline: {self.minutes} minutes of {self.options.beds} beds, {self.kills} kills")
        self.gateway.kill()
        self.gateway = self._gateway(self.all_minutes, LIVE_PACE_S)
        self.proxy.closed = False
        begun_s = time.monotonic()
        self._storm(lambda: True, self.options.kills - self.kills)
        print(f"online: {self.kills} kills, {self.proxy.connections} connections, ", end="")
        print(f"{self.proxy.cuts} cut; {self.cloud.count('summary')} summaries came meanwhile")
        self.proxy.calm = True
        expected = Expected(self.options.beds, self.all_minutes)
        self._wait_for(expected)
        print_figures(self.cloud, time.monotonic() - begun_s)
        idle_figures(self.road.pid)
        return faults(self.cloud, expected, offline_minutes=self.minutes)

    def _gateway(self, minutes: int, pace_s: float) -> Kept:
        return Kept(
            "tests.soak_cloud.gateway_process",
            str(self.database),
            str(self.report),
            str(self.disk / "delivered.sqlite3"),
            str(self.options.beds),
            str(minutes),
            str(pace_s),
        )

    def _storm(self, done: Callable[[], bool], kills: int) -> None:
        """Kill now this one, now that one, until there were enough; the disk fills half-way."""
        last = self.kills + kills
        fill_at = self.kills + kills // 2
        while self.kills < last:
            if self.kills == fill_at:
                self._fill_the_disk()
            victim, sign_of_life = self.random.choice(
                [(self.gateway, lambda: reported(self.report)), (self.road, self._reached_out)]
            )
            if self.random.random() >= KILLED_AT_ONCE:
                self._let_live(sign_of_life)
            victim.kill()
            self.kills += 1
            self._tend()
        while not done():
            self._tend()
            time.sleep(POLL_S)

    def _reached_out(self) -> int:
        return self.proxy.connections + self.cloud.count("summary")

    def _let_live(self, sign_of_life: Callable[[], int]) -> None:
        """Until it does something, be the machine ever so slow, and some time more."""
        before, give_up_s = sign_of_life(), time.monotonic() + LIFELESS_S
        while sign_of_life() == before and time.monotonic() < give_up_s:
            self._tend()
            time.sleep(POLL_S)
        end_s = time.monotonic() + self.random.uniform(0.0, 2 * self.options.kill_every)
        while time.monotonic() < end_s:
            self._tend()
            time.sleep(POLL_S)

    def _fill_the_disk(self) -> None:
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)):
                    pass
            except OSError:
                print("the disk is full")
        end_s = time.monotonic() + FULL_S
        while time.monotonic() < end_s:
            self._tend()
            time.sleep(POLL_S)
        filler.unlink()

    def _wait_for(self, expected: Expected) -> None:
        seen, since_s = -1, time.monotonic()
        while time.monotonic() - since_s < self.options.patience:
            self._tend()
            time.sleep(POLL_S)
            if (now := self.cloud.count("summary") + self.cloud.count("alarm")) != seen:
                seen, since_s = now, time.monotonic()
            if now >= expected.count:
                return
        print("nothing more came")

    def _tend(self) -> None:
        self.gateway.tend()
        self.road.tend()


def write_config(
    folder: Path, disk: Path, port: int, authority: Authority, without: str | None
) -> Path:
    """Without the acknowledgement a PUBACK is believed, as of a broker that is no cloud."""
    ours = authority.issue(GATEWAY)
    config = folder / "cloud-sync.toml"
    provider = "mqtt" if without == "acknowledgement" else "aws"
    config.write_text(
        f'gateway_id = "{GATEWAY}"\nprovider = "{provider}"\n'
        f'outbox = "{disk}/gateway.sqlite3"\nstate_directory = "{disk}"\n'
        f'[mqtt]\nhost = "localhost"\nport = {port}\n'
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
    parser.add_argument("--beds", type=int, default=8)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--kill-every", type=float, default=1.0, metavar="S", help="of life between two kills"
    )
    parser.add_argument("--patience", type=float, default=PATIENCE_S, metavar="S")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=("deduplication", "acknowledgement"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-cloud-"))
    try:
        with (
            small_disk(folder / "disk", 32 + options.beds * options.hours // 5),
            ExitStack() as stack,
        ):
            found = Soak(options, folder, stack).run()
    finally:
        shutil.rmtree(folder)
    print("\n".join(found) or "every committed row is in the tables, once, alarms first, in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
