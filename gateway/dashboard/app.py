"""The Flask application: pages, a small JSON API and one event stream a page."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from gateway import __version__
from gateway.dashboard import api, host_check, stream, views
from gateway.dashboard.context import (
    EXTENSION,
    AlarmHistory,
    AlarmProgress,
    DashboardContext,
    Health,
)
from gateway.live_view import LiveView

MACHINE_PATHS = ("/api/", "/stream", "/healthz", "/metrics")
ACKNOWLEDGE_COMMAND = "ecg-gateway alarms acknowledge"


def create_app(
    live_view: LiveView,
    history: AlarmHistory,
    health: Callable[[], Health],
    metrics: Callable[[], str],
    cloud_progress: AlarmProgress,
    acknowledge_command: str = ACKNOWLEDGE_COMMAND,
) -> Flask:
    """Build the application. All but `live_view` are called from server threads.

    `acknowledge_command` is what the pages tell people to type, a bed's name behind it.
    """
    app = Flask(__name__)
    app.extensions[EXTENSION] = DashboardContext(
        live_view, history, health, metrics, cloud_progress, acknowledge_command
    )
    app.jinja_env.globals["version"] = __version__
    host_check.guard(app)
    for blueprint in (views.blueprint, api.blueprint, stream.new_blueprint(live_view)):
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _explain)
    return app


def _explain(error: HTTPException) -> tuple[Response | str, int]:
    code = error.code or 500
    if request.path.startswith(MACHINE_PATHS):
        return jsonify(error=error.name, reason=error.description), code
    return render_template("error.html", error=error), code
