"""JSON for scripts, for the pages' alarm history, and for whoever watches over the gateway."""

from __future__ import annotations

import time
from dataclasses import asdict

from flask import Blueprint, Response, abort, current_app, jsonify, request

from gateway import __version__
from gateway.bed_screen import alarm_json
from gateway.dashboard.context import context_of

MAX_ALARMS = 200  # what a page can show; the whole history is the command line's

blueprint = Blueprint("api", __name__)


@blueprint.get("/api/beds")
def beds() -> Response:
    """Every bed's present state."""
    now_s = time.time()
    return jsonify(now_s=now_s, beds=context_of(current_app).live_view.summary(now_s))


@blueprint.get("/api/alarms")
def alarms() -> Response:
    """The newest alarms of the present stays, ended ones too; ?bed= names one bed.

    `cloud` tells how far each has come, null where that is not known.
    """
    context = context_of(current_app)
    stays = {view.bed_id: view.stay for view in context.live_view.beds()}
    only = request.args.get("bed")
    if only is not None and only not in stays:
        abort(404, "There is no such bed.")
    cloud = context.cloud_progress()
    shown = [
        {
            "bed": str(past.bed),
            **alarm_json(past.alarm),
            "cloud": cloud.get((past.bed_name, past.alarm.kind, past.alarm.onset_s)),
        }
        for past in context.history.alarm_history(MAX_ALARMS)
        if only in (None, str(past.bed)) and past.stay == stays.get(str(past.bed))
    ]
    return jsonify(alarms=shown)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Free of sign-in and of health data."""
    health = context_of(current_app).health()
    return jsonify(version=__version__, **asdict(health))


@blueprint.get("/metrics")
def metrics() -> Response:
    """Counters of what was refused, lost or done, for Prometheus; no health data either."""
    return Response(context_of(current_app).metrics(), mimetype="text/plain; version=0.0.4")
