"""What create_app was given, for the views to find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flask import Flask

from gateway.live_view import LiveView
from gateway.messages import Alarm

if TYPE_CHECKING:
    from gateway.dashboard.health import Health

EXTENSION = "ecg_gateway"


class AlarmHistory(Protocol):
    """What the dashboard asks of the store. Called from server threads."""

    def recent_alarms(self, bed_id: str | None, limit: int) -> Sequence[tuple[str, Alarm]]:
        """(bed id, alarm), newest first, of one bed or of all."""


@dataclass(frozen=True, slots=True)
class DashboardContext:
    live_view: LiveView
    history: AlarmHistory
    health: Callable[[], Health]


def context_of(app: Flask) -> DashboardContext:
    context = app.extensions[EXTENSION]
    assert isinstance(context, DashboardContext)
    return context
