"""The two pages: the ward, and one bed. Both are filled in by the event stream."""

from __future__ import annotations

import shlex

from flask import Blueprint, abort, current_app, render_template

from gateway.dashboard.context import context_of

ACKNOWLEDGE_COMMAND = "ecg-gateway alarms acknowledge"

blueprint = Blueprint("views", __name__)


@blueprint.get("/")
def ward() -> str:
    return render_template("ward.html", acknowledge=f"{ACKNOWLEDGE_COMMAND} BED")


@blueprint.get("/beds/<bed_id>")
def bed(bed_id: str) -> str:
    beds = {view.bed_id: view for view in context_of(current_app).live_view.beds()}
    if bed_id not in beds:
        abort(404, "There is no such bed.")
    command = f"{ACKNOWLEDGE_COMMAND} {shlex.quote(beds[bed_id].label)}"
    return render_template("bed.html", bed=beds[bed_id], acknowledge=command)
