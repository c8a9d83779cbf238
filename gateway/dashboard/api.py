"""JSON for scripts and for the pages' alarm history."""

from __future__ import annotations

import time

from flask import Blueprint, Response, abort, current_app, jsonify, request

from gateway.dashboard.context import context_of
from gateway.live_view import alarm_json

MAX_ALARMS = 200  # a screen's worth; the whole history is the command line's

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.get("/beds")
def beds() -> Response:
    now_s = time.time()
    return jsonify(now_s=now_s, beds=context_of(current_app).live_view.summary(now_s))


@blueprint.get("/alarms")
def alarms() -> Response:
    """The newest alarms, ended ones too; ?bed= and ?limit= (at most 200)."""
    limit = request.args.get("limit", default=50, type=int)
    if not 1 <= limit <= MAX_ALARMS:
        abort(400, f"limit lies between 1 and {MAX_ALARMS}")
    rows = context_of(current_app).history.recent_alarms(request.args.get("bed"), limit)
    return jsonify(alarms=[{"bed": bed_id, **alarm_json(alarm)} for bed_id, alarm in rows])
