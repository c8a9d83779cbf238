"""What create_app was given, for the views to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from flask import Flask

from gateway.live_view import LiveView
from gateway.messages import Alarm

EXTENSION = "ecg_gateway"


class PastAlarm(Protocol):
    """An alarm with its bed and stay; the store's rows are such."""

    @property
    def bed(self) -> int: ...
    @property
    def bed_name(self) -> str: ...
    @property
    def stay(self) -> int | None: ...
    @property
    def alarm(self) -> Alarm: ...


class AlarmHistory(Protocol):
    """What the dashboard asks of the store. Called from server threads."""

    def alarm_history(self, limit: int) -> Sequence[PastAlarm]:
        """The last `limit` alarms, newest first."""


# How far alarms have come on their way to the cloud, by bed, kind and onset; unknown ones lack
AlarmProgress = Callable[[], Mapping[tuple[str, str, float], str]]


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """A sensor's counts since the start."""

    frames: int
    gaps: int
    beats: int
    last_frame_age_s: float | None  # None: no frame since the start


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """The classifier that serves; `refused` says why the installed one does not."""

    name: str
    hash: str
    refused: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """What /healthz tells anyone who asks: how the gateway is, nothing of a patient."""

    status: Literal["ok", "degraded"]
    uptime_s: float
    model: ModelHealth
    sensors: Mapping[str, SensorHealth]


@dataclass(frozen=True, slots=True)
class DashboardContext:
    live_view: LiveView
    history: AlarmHistory
    health: Callable[[], Health]
    metrics: Callable[[], str]  # Prometheus' text format
    cloud_progress: AlarmProgress
    acknowledge_command: str


def context_of(app: Flask) -> DashboardContext:
    context = app.extensions[EXTENSION]
    assert isinstance(context, DashboardContext)
    return context
