"""One Server-Sent-Events stream carries all beds of a page.

Each message's id is the reader's cursor, so a browser that lost the line goes on where it was.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence

from flask import Blueprint, Response, abort, request

from gateway.bed_screen import Json
from gateway.dashboard.spectra import Spectra
from gateway.live_view import Cursor, LiveView, Update

MAX_STREAMS = 16  # each holds a server thread; a ward has fewer screens
TICK_S = 1.0  # a silent stream says once a second that it lives, and finds closed browsers
RETRY_MS = 1000  # how long a browser waits before it connects again


def new_blueprint(live_view: LiveView) -> Blueprint:
    """The stream with its own count of places."""
    blueprint = Blueprint("stream", __name__)
    places = threading.BoundedSemaphore(MAX_STREAMS)
    spectra = Spectra(live_view)

    @blueprint.get("/stream")
    def stream() -> Response:
        """Changes of the beds named by ?bed= (none: all); one bed alone brings its spectrum."""
        bed_ids = request.args.getlist("bed")
        if not set(bed_ids) <= {view.bed_id for view in live_view.beds()}:
            abort(404, "There is no such bed.")
        if not places.acquire(blocking=False):
            abort(503, f"All {MAX_STREAMS} live streams are in use.")
        cursor = Cursor.parse(request.headers.get("Last-Event-ID", ""))
        events = _events(live_view, spectra, cursor, bed_ids)
        response = Response(events, mimetype="text/event-stream")
        response.call_on_close(places.release)
        return response

    return blueprint


def _events(
    live_view: LiveView, spectra: Spectra, cursor: Cursor | None, bed_ids: Sequence[str]
) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    sent: Json | None = None
    while not live_view.closed:
        update = live_view.read(cursor, bed_ids)
        now_s = time.time()
        changes = [change.payload for change in update.changes]
        spectrum = _spectrum_of_one(live_view, spectra, bed_ids, now_s)
        if spectrum is not None and spectrum is not sent:
            changes.append(spectrum)
        sent = spectrum
        yield message(update, changes, now_s)
        cursor = update.cursor
        live_view.wait(cursor, TICK_S)


def _spectrum_of_one(
    live_view: LiveView, spectra: Spectra, bed_ids: Sequence[str], now_s: float
) -> Json | None:
    shown = bed_ids or [view.bed_id for view in live_view.beds()]
    return spectra.of(shown[0], now_s) if len(shown) == 1 else None


def message(update: Update, changes: Sequence[Json], now_s: float) -> str:
    """One event: the gateway's clock and all that changed since the last event."""
    body: Json = {"now_s": now_s, "fresh": update.fresh, "changes": changes}
    return f"id: {update.cursor}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n"
