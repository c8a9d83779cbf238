"""One Server-Sent-Events stream carries all beds of a page.

Each message's id is the reader's cursor, so a browser that lost the line goes on where it was.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence

from flask import Blueprint, Response, abort, request

from gateway.dashboard.spectra import Spectra
from gateway.live_view import Cursor, Json, LiveView, Update

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
        """Changes of the beds named by ?bed= (none: all); ?spectrum=1 adds the named beds' FFT."""
        bed_ids = request.args.getlist("bed")
        if not set(bed_ids) <= set(live_view.bed_ids()):
            abort(404, "There is no such bed.")
        if not places.acquire(blocking=False):
            abort(503, f"All {MAX_STREAMS} live streams are in use.")
        cursor = Cursor.parse(request.headers.get("Last-Event-ID", ""))
        watched = bed_ids if request.args.get("spectrum") == "1" else []
        response = Response(
            _events(live_view, cursor, bed_ids, SpectrumWatch(spectra, watched)),
            mimetype="text/event-stream",
        )
        response.call_on_close(places.release)
        return response

    return blueprint


class SpectrumWatch:
    """The spectra that one stream has not sent yet."""

    def __init__(self, spectra: Spectra, bed_ids: Sequence[str]) -> None:
        self._spectra = spectra
        self._sent: dict[str, Json | None] = dict.fromkeys(bed_ids)

    def news(self, now_s: float) -> list[Json]:
        news = []
        for bed_id, sent in self._sent.items():
            newest = self._spectra.of(bed_id, now_s)
            if newest is not sent:
                self._sent[bed_id] = newest
                news.append(newest)
        return news


def _events(
    live_view: LiveView, cursor: Cursor | None, bed_ids: Sequence[str], spectra: SpectrumWatch
) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    while not live_view.closed:
        update = live_view.read(cursor, bed_ids)
        now_s = time.time()
        yield message(update, now_s, spectra.news(now_s))
        cursor = update.cursor
        live_view.wait(cursor, TICK_S)


def message(update: Update, now_s: float, spectra: Sequence[Json] = ()) -> str:
    """One event: the server's clock and every change since the last event."""
    changes = [change.payload for change in update.changes]
    body: Json = {"now_s": now_s, "changes": [*changes, *spectra]}
    if update.fresh:
        body["fresh"] = True
    return f"id: {update.cursor}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n"
