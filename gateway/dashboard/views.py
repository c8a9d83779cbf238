"""The two pages: the ward, and one bed."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, render_template

from gateway.dashboard.context import context_of
from gateway.live_view import UnknownBed

blueprint = Blueprint("views", __name__)


@blueprint.get("/")
def ward() -> str:
    return render_template("ward.html")


@blueprint.get("/beds/<bed_id>")
def bed(bed_id: str) -> str:
    try:
        view = context_of(current_app).live_view.bed(bed_id)
    except UnknownBed:
        abort(404, "There is no such bed.")
    return render_template("bed.html", bed=view)
