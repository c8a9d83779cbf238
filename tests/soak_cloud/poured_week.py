"""A ward's past days, poured through the running daemon's own recorder.

To analyse a week of eight beds takes hours, so what the analysis would have found goes in where the
daemon's own findings do: a minute of each bed, now and then an alarm raised and ended, with the
sealed frames of its strip. Each minute ends with a command, whose answer means that all of it is
committed; then it is reported, and a killed daemon goes on behind the last report.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.config import StoreConfig
from gateway.messages import AlarmState, DeviceId, SessionId
from gateway.store.entries import (
    AddBed,
    Admit,
    AlarmChanged,
    AssignSensor,
    BedCommandRefused,
    BedId,
    Entry,
    SessionFinished,
    SessionStarted,
    SetLimits,
    Standby,
)
from gateway.store.reader import Reader
from gateway.store.recorder import Recorder
from gateway.store.transactions import Commit
from tests.cloud_sync.ward_rows import RATE_HZ, frames_of_minute, minute_summary
from tests.store.contents import asystole

MINUTES_BETWEEN_ALARMS = 30  # of each bed
ALARM_AT_S = 30.0  # of its minute
FIRST_DEVICE = 101  # the live sensors count from 1


@dataclass(frozen=True)
class Week:
    """What is to be poured; its first minute begins at `begun_s` in Unix time."""

    beds: int
    minutes: int
    begun_s: float
    pace_s: float  # between two minutes
    report: Path  # a line for each minute that is committed


def bed_name(bed: int) -> str:
    return f"Past {bed + 1}"


def has_alarm(bed: int, minute: int) -> bool:
    return (minute + 7 * bed) % MINUTES_BETWEEN_ALARMS == 0


def reported(report: Path) -> int:
    """How many minutes are known to be committed; a cut last line does not count."""
    return report.read_text().count("\n") if report.exists() else 0


class PouringRecorder(Recorder):
    """The daemon's recorder, on whose clock it is the poured minute's time until all are in."""

    def __init__(
        self,
        week: Week,
        path: Path,
        config: StoreConfig,
        on_committed: Callable[[Commit], None],
    ) -> None:
        self._week = week
        self._store = path
        self._done = reported(week.report)
        super().__init__(path, config, on_committed, self._ward_time)

    def start(self) -> None:
        super().start()
        threading.Thread(target=self._pour, daemon=True).start()

    def _ward_time(self) -> float:
        if self._done >= self._week.minutes:
            return time.time()
        return self._week.begun_s + 60 * (self._done + 1) + 10

    def _pour(self) -> None:
        with suppress(RuntimeError):  # the daemon is stopping, and the next one goes on
            sessions = self._occupy_beds()
            with self._week.report.open("a") as lines:
                for minute in range(self._done, self._week.minutes):
                    for entry in self._minute(minute, sessions):
                        self.record(entry)
                    self._wait_for_commit()
                    self._done = minute + 1
                    print(minute, file=lines, flush=True)
                    time.sleep(self._week.pace_s)

    def _occupy_beds(self) -> dict[BedId, SessionId]:
        """On standby, or the daemon would miss their sensors."""
        begun_s, sessions = self._week.begun_s, {}
        for bed in range(self._week.beds):
            device, name = DeviceId(FIRST_DEVICE + bed), bed_name(bed)
            session = SessionId(device, 1, bytes([bed + 1]) * 16)
            self.record(SessionStarted(session, RATE_HZ, 0, begun_s, begun_s))
            self.record(SessionFinished(session))  # no key opens it: not to be replayed
            commands = (AddBed(name), Admit(name, begun_s), AssignSensor(device, name, begun_s))
            for command in (*commands, Standby(name)):
                with suppress(BedCommandRefused):  # a daemon before this one did it
                    self.command(command).result()
            sessions[name] = session
        reader = Reader(self._store)
        named = {bed.id: sessions[bed.name] for bed in reader.beds() if bed.name in sessions}
        reader.close()
        return named

    def _minute(self, minute: int, sessions: dict[BedId, SessionId]) -> Iterator[Entry]:
        begun_s, now_s = self._week.begun_s, self._ward_time()
        for bed, (bed_id, session) in enumerate(sessions.items()):
            alarmed = has_alarm(bed, minute)
            if alarmed:
                yield from frames_of_minute(session, minute, now_s)
            yield minute_summary(session, minute, begun_s)
            if alarmed:
                onset_s = begun_s + 60 * minute + ALARM_AT_S
                ended = asystole(onset_s, AlarmState.ENDED, onset_s + 20.0)
                yield AlarmChanged(bed_id, asystole(onset_s), session)
                yield AlarmChanged(bed_id, ended, session)

    def _wait_for_commit(self) -> None:
        """A bed command is answered once it is committed, with all that was recorded before it."""
        self.command(SetLimits(bed_name(0), None)).result()
