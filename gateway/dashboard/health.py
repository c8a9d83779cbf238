"""What /healthz tells anyone who asks: how the gateway is, nothing of a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from flask import Blueprint, Response, current_app, jsonify

from gateway import __version__
from gateway.dashboard.context import context_of

blueprint = Blueprint("health", __name__)


@dataclass(frozen=True, slots=True)
class SensorHealth:
    frames: int
    gaps: int
    beats: int
    last_frame_age_s: float | None  # None: no frame since the start


@dataclass(frozen=True, slots=True)
class Health:
    status: Literal["ok", "degraded"]
    uptime_s: float
    sensors: Mapping[str, SensorHealth]


@blueprint.get("/healthz")
def healthz() -> Response:
    health = context_of(current_app).health()
    return jsonify(
        status=health.status,
        version=__version__,
        uptime_s=health.uptime_s,
        sensors={name: asdict(sensor) for name, sensor in health.sensors.items()},
    )
