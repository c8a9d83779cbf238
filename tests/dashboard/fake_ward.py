"""A ward for the screen: a drawn heartbeat for each bed, fed as the daemon feeds it.

`python -m tests.dashboard.fake_ward [beds]` serves it, to look at.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.bed_screen import BedView, SensorView
from gateway.config import DashboardConfig
from gateway.dashboard.app import create_app
from gateway.dashboard.context import Health, ModelHealth, SensorHealth
from gateway.dashboard.server import DashboardServer
from gateway.live_view import LiveView
from gateway.messages import (
    SAMPLES_PER_FRAME,
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Beat,
    BeatClass,
    BeatLabel,
    BedState,
    Gap,
    Quality,
    QualityReason,
    SampleBlock,
    SampleIndex,
    VitalSigns,
)

RATE_HZ = 250
FRAME_S = SAMPLES_PER_FRAME / RATE_HZ
LABEL_DELAY_S = 0.9
STAY = 1

# P, Q, R, S, T of a normal beat, and a wide ventricular one: (seconds from R, width s, mV)
WAVES = {
    "N": ((-0.17, 0.025, 0.14), (-0.03, 0.010, -0.12), (0, 0.011, 1.25), (0.03, 0.011, -0.28),
          (0.27, 0.055, 0.30)),
    "S": ((-0.13, 0.020, -0.10), (-0.03, 0.010, -0.12), (0, 0.011, 1.15), (0.03, 0.011, -0.26),
          (0.25, 0.050, 0.26)),
    "V": ((0, 0.045, 1.45), (0.10, 0.035, -0.75), (0.30, 0.070, -0.50)),
}  # fmt: skip
P_ABNORMAL = {"N": 0.02, "S": 0.81, "V": 0.97}


class FakeHeart:
    """A rhythm that can be asked for any stretch: beats a constant time apart."""

    def __init__(self, bpm: float, classes: str = "N", noise_mv: float = 0.012) -> None:
        self.rr_s = 60.0 / bpm
        self.bpm = bpm
        self.classes = classes
        self.noise_mv = noise_mv

    def beat_class(self, number: int) -> str:
        return self.classes[number % len(self.classes)]

    def r_time_s(self, number: int) -> float:
        early = 0.25 if self.beat_class(number) != "N" else 0.0
        return (number + 0.5 - early) * self.rr_s

    def millivolts(self, start: int, length: int) -> np.ndarray:
        t = (start + np.arange(length)) / RATE_HZ
        first, last = int(t[0] / self.rr_s) - 2, int(t[-1] / self.rr_s) + 2
        signal = np.random.default_rng(start).normal(0, self.noise_mv, length)
        signal += 0.04 * np.sin(2 * np.pi * 0.25 * t)
        for number in range(max(0, first), last + 1):
            for at, width, height in WAVES[self.beat_class(number)]:
                signal += height * np.exp(-((t - self.r_time_s(number) - at) ** 2) / (2 * width**2))
        return signal

    def beats(self, start_s: float, end_s: float) -> list[Beat]:
        """Those whose label falls due in [start, end)."""
        found = []
        for number in range(max(0, int(start_s / self.rr_s) - 3), int(end_s / self.rr_s) + 3):
            r_s = self.r_time_s(number)
            if start_s <= r_s + LABEL_DELAY_S < end_s:
                name = self.beat_class(number)
                label = BeatLabel(BeatClass(name), P_ABNORMAL[name])
                sample = SampleIndex(round(r_s * RATE_HZ))
                found.append(Beat(sample, 1200.0, self.rr_s * 1000, False, label))
        return found


def quality(index: float = 0.97, *reasons: QualityReason, usable: bool = True) -> Quality:
    return Quality(SampleIndex(0), index, frozenset(reasons), usable, usable)


class FakeBed:
    """One bed that sends a frame when it is told to."""

    def __init__(self, live_view: LiveView, bed_id: str, heart: FakeHeart, label: str) -> None:
        self.live_view, self.bed_id, self.heart = live_view, bed_id, heart
        self.session = f"ECG-0000000{bed_id}/5ac0ffee"
        self.next_frame = 0
        self.quality = quality()
        live_view.bed_changed(
            BedView(bed_id, label, BedState.MONITORING, self.session[:12], STAY), time.time()
        )
        self.sensor(SensorView(connected=True, battery_percent=86))

    def sensor(self, sensor: SensorView) -> None:
        self.live_view.sensor(self.bed_id, sensor, time.time())

    def send_frame(self, at_s: float, *, lost: bool = False) -> None:
        start = self.next_frame * SAMPLES_PER_FRAME
        self.next_frame += 1
        block = SampleBlock(
            SampleIndex(start), RATE_HZ, 1000 * self.heart.millivolts(start, SAMPLES_PER_FRAME)
        )
        item = Gap(SampleIndex(start), SAMPLES_PER_FRAME) if lost else block
        self.live_view.signal(self.bed_id, self.session, RATE_HZ, (item,), at_s)
        if lost:
            return
        end_s = start / RATE_HZ + FRAME_S
        self.live_view.beats(
            self.bed_id, self.session, self.heart.beats(end_s - FRAME_S, end_s), at_s
        )
        rate = self.heart.bpm if self.quality.rate_usable and self.next_frame > 4 else None
        self.live_view.vitals(
            self.bed_id, self.session, VitalSigns(SampleIndex(start), rate, self.quality), at_s
        )

    def raise_alarm(self, kind: AlarmKind, priority: AlarmPriority, state: AlarmState) -> Alarm:
        at_s = time.time()
        alarm = Alarm(kind, priority, at_s - 4, at_s, state)
        self.live_view.alarms(self.bed_id, (alarm,), at_s)
        return alarm


@dataclass(frozen=True, slots=True)
class FakePastAlarm:
    bed: int
    stay: int | None
    alarm: Alarm
    bed_name: str = "Bed 1"


class FakeHistory:
    def __init__(self) -> None:
        self.rows: list[FakePastAlarm] = []

    def alarm_history(self, limit: int) -> Sequence[FakePastAlarm]:
        return self.rows[:limit]


def health() -> Health:
    return Health(
        "ok",
        12.5,
        ModelHealth("fake", "f" * 8, None),
        {"ECG-00000001": SensorHealth(40, 1, 37, 0.4)},
    )


class FakeWard:
    """A served dashboard whose beds send a frame each 0.75 s while `running`."""

    def __init__(self, port: int = 0) -> None:
        self.live_view = LiveView()
        self.history = FakeHistory()
        app = create_app(self.live_view, self.history, health, str, cloud_progress=dict)
        self.server = DashboardServer(DashboardConfig(port=port), app)
        self.beds: list[FakeBed] = []
        self.silent: set[str] = set()
        self._next_frame_s = time.time() + FRAME_S
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def add_bed(self, heart: FakeHeart, label: str | None = None) -> FakeBed:
        bed_id = str(len(self.beds) + 1)
        bed = FakeBed(self.live_view, bed_id, heart, label or f"Bed {bed_id}")
        next_s = self._next_frame_s
        for backwards in range(40, 0, -1):
            bed.send_frame(next_s - backwards * FRAME_S)
        self.beds.append(bed)
        return bed

    def __enter__(self) -> FakeWard:
        self.server.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.live_view.close()
        self.server.stop()

    def _run(self) -> None:
        while not self._ended.wait(max(0.0, self._next_frame_s - time.time())):
            for bed in list(self.beds):
                if bed.bed_id not in self.silent:
                    bed.send_frame(time.time(), lost=bed.next_frame % 60 == 30)
            self._next_frame_s += FRAME_S


def showcase(count: int, port: int = 0) -> FakeWard:
    """Beds in all the states that a screen has to tell apart."""
    ward = FakeWard(port)
    hearts = [
        FakeHeart(72, "NNNNNVNNN"), FakeHeart(88, "NNNSNNNNNNN"), FakeHeart(54), FakeHeart(148),
        FakeHeart(66, "NV"), FakeHeart(60), FakeHeart(75, noise_mv=0.16), FakeHeart(60),
    ]  # fmt: skip
    beds = [ward.add_bed(heart) for heart in hearts[:count]]
    for bed, change in zip(beds, (_usual, _usual, _usual, _tachycardia, _burden, _silent, _noisy,
                                  _vacant), strict=False):  # fmt: skip
        change(ward, bed)
    return ward


def _usual(ward: FakeWard, bed: FakeBed) -> None:
    for minutes, kind in ((12, AlarmKind.TACHYCARDIA), (95, AlarmKind.POOR_SIGNAL)):
        onset = time.time() - 60 * minutes
        priority = AlarmPriority.MEDIUM if minutes == 12 else AlarmPriority.LOW
        alarm = Alarm(kind, priority, onset, onset + 9, AlarmState.ENDED, onset + 40, onset + 30)
        ward.history.rows.append(FakePastAlarm(int(bed.bed_id), STAY, alarm))


def _tachycardia(ward: FakeWard, bed: FakeBed) -> None:
    bed.raise_alarm(AlarmKind.TACHYCARDIA, AlarmPriority.HIGH, AlarmState.ACTIVE)


def _burden(ward: FakeWard, bed: FakeBed) -> None:
    bed.raise_alarm(AlarmKind.ABNORMAL_BURDEN, AlarmPriority.MEDIUM, AlarmState.ACKNOWLEDGED)


def _silent(ward: FakeWard, bed: FakeBed) -> None:
    ward.silent.add(bed.bed_id)
    bed.sensor(SensorView(connected=False, battery_percent=12))
    bed.raise_alarm(AlarmKind.SENSOR_SILENT, AlarmPriority.LOW, AlarmState.ACTIVE)


def _noisy(ward: FakeWard, bed: FakeBed) -> None:
    bed.quality = quality(0.31, QualityReason.MUSCLE, QualityReason.CLIPPED, usable=False)


def _vacant(ward: FakeWard, bed: FakeBed) -> None:
    ward.silent.add(bed.bed_id)
    ward.live_view.bed_changed(BedView(bed.bed_id, "Bed 8", BedState.VACANT), time.time())


if __name__ == "__main__":
    with showcase(int(sys.argv[1]) if len(sys.argv) > 1 else 8, port=18090) as ward:
        print(ward.server.url, flush=True)
        threading.Event().wait()
