"""Which frames go to the cloud, by policy; and what the cloud asks for or acknowledges."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cloud_sync.config import WaveformPolicy
from cloud_sync.lanes import Lane
from cloud_sync.ports import OutboxRow
from cloud_sync.stretches import MAX_REQUESTED_FRAMES, NotAStretch, Stretch
from cloud_sync.waveform_jobs import WaveformJobs

AROUND_FRAMES = 81  # a minute at 250 Hz on each side of an alarm's strip
AROUND_DUE_S = 90.0  # by then the frames behind the alarm are stored
MAX_ACKNOWLEDGED = 100  # ids of one acknowledgement
MAX_REQUEST_ID = 64

_log = logging.getLogger(__name__)


class WaveformChoice:
    """Makes waveform jobs from the rows that pass by, and from requests."""

    def __init__(
        self, policy: WaveformPolicy, jobs: WaveformJobs, unix_time: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._jobs = jobs
        self._unix_time = unix_time

    def passing(self, row: OutboxRow) -> None:
        """A row goes out; its frames follow where the policy says so."""
        if self._policy is WaveformPolicy.ALL and row.lane is Lane.SUMMARY:
            self._follow(row, "", 0, self._unix_time())
        elif self._policy is WaveformPolicy.ALARMS and row.lane is Lane.ALARM:
            self._follow(row, "strip", AROUND_FRAMES, row.created_s + AROUND_DUE_S)

    def requested(self, payload: bytes) -> None:
        """A message on the request topic. What it can't mean is logged and nothing else."""
        try:
            words = json.loads(payload)
            stretch = Stretch.of(words)
            request_id = str(words["id"])[:MAX_REQUEST_ID]
            if stretch.frame_count > MAX_REQUESTED_FRAMES:
                raise NotAStretch(f"at most {MAX_REQUESTED_FRAMES} frames in one request")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            _log.warning("a request for a waveform is not understood: %s", error)
            return
        self._jobs.add(stretch.batches(), self._unix_time(), request_id)

    def _follow(self, row: OutboxRow, member: str, widen_by: int, due_s: float) -> None:
        try:
            words = json.loads(row.payload)
            stretch = Stretch.of(words | words[member] if member else words)
        except (NotAStretch, KeyError, TypeError):
            return  # no signal stands behind this row
        self._jobs.add(stretch.widened(widen_by).batches(), due_s)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The cloud has these messages; for those a person was called."""

    ids: tuple[str, ...]
    notified: tuple[str, ...]


def read_acknowledgement(payload: bytes) -> Acknowledgement | None:
    """None, and a line in the log, for what is not one."""
    try:
        words = json.loads(payload)
        return Acknowledgement(_ids(words["ids"]), _ids(words.get("notified", [])))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.warning("an acknowledgement is not understood: %s", error)
        return None


def _ids(words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or len(words) > MAX_ACKNOWLEDGED:
        raise ValueError(f"a list of at most {MAX_ACKNOWLEDGED} ids")
    return tuple(str(word) for word in words)
