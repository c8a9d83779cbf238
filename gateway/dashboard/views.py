"""The two pages: the ward, and one bed. Both are filled in by the event stream."""

from __future__ import annotations

import shlex

from flask import Blueprint, abort, current_app, render_template

from gateway.dashboard.context import context_of

blueprint = Blueprint("views", __name__)


@blueprint.get("/")
def ward() -> str:
    command = context_of(current_app).acknowledge_command
    return render_template("ward.html", acknowledge=f"{command} BED")


@blueprint.get("/beds/<bed_id>")
def bed(bed_id: str) -> str:
    context = context_of(current_app)
    beds = {view.bed_id: view for view in context.live_view.beds()}
    if bed_id not in beds:
        abort(404, "There is no such bed.")
    view = beds[bed_id]
    command = f"{context.acknowledge_command} {shlex.quote(view.label)}"
    return render_template("bed.html", bed=view, acknowledge=command)
