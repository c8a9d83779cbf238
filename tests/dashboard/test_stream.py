"""The event stream: its form, its resume, its bound."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.dashboard.spectra import INTERVAL_S, Spectra
from gateway.dashboard.stream import MAX_STREAMS
from gateway.live_view import LiveView
from tests.dashboard.fake_ward import FRAME_S, FakeBed, FakeHeart


def events(answer: TestResponse) -> Iterator[dict[str, Any]]:
    """The messages of a stream, each with its id."""
    for chunk in answer.iter_encoded():
        fields = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
        if "data" in fields:
            assert chunk.endswith(b"\n\n")
            yield {"id": fields["id"], **json.loads(fields["data"])}


def kinds(event: dict[str, Any]) -> list[str]:
    return [change["kind"] for change in event["changes"]]


def stream(client: FlaskClient, path: str = "/stream", **headers: str) -> TestResponse:
    return client.get(path, headers=headers, buffered=False)


def test_a_stream_begins_with_all_that_is_known(client: FlaskClient, bed: FakeBed) -> None:
    bed.send_frame(time.time())
    answer = stream(client)
    assert answer.mimetype == "text/event-stream"
    first = next(events(answer))
    assert first["fresh"] is True
    assert {"bed", "sensor", "axis", "signal", "vitals"} <= set(kinds(first))
    assert abs(first["now_s"] - time.time()) < 5
    answer.close()


def test_a_change_follows_at_once(client: FlaskClient, bed: FakeBed) -> None:
    answer = stream(client)
    messages = events(answer)
    next(messages)
    bed.send_frame(time.time())
    followed = next(messages)
    assert followed["fresh"] is False
    assert kinds(followed)[:2] == ["axis", "signal"]
    answer.close()


def test_a_browser_goes_on_where_it_was(client: FlaskClient, bed: FakeBed) -> None:
    bed.send_frame(time.time())
    answer = stream(client)
    seen = next(events(answer))
    answer.close()
    bed.send_frame(time.time())
    answer = stream(client, **{"Last-Event-ID": seen["id"]})
    resumed = next(events(answer))
    assert resumed["fresh"] is False
    assert kinds(resumed).count("signal") == 1
    answer.close()


@pytest.mark.parametrize("cursor", ["nonsense", "0.0", "feedbeef.3"])
def test_a_strange_cursor_starts_afresh(client: FlaskClient, cursor: str) -> None:
    answer = stream(client, **{"Last-Event-ID": cursor})
    assert next(events(answer))["fresh"] is True
    answer.close()


def test_streams_are_counted_and_given_back(client: FlaskClient) -> None:
    open_streams = [stream(client) for _ in range(MAX_STREAMS)]
    refused = stream(client)
    assert refused.status_code == 503
    assert refused.json is not None
    assert refused.json["reason"] == "All 16 live streams are in use."
    open_streams.pop().close()
    again = stream(client)
    assert again.status_code == 200
    for answer in [again, *open_streams]:
        answer.close()


def test_a_refused_stream_takes_no_place(client: FlaskClient) -> None:
    for _ in range(MAX_STREAMS + 1):
        assert stream(client, "/stream?bed=9").status_code == 404
    stream(client).close()


def test_a_head_request_takes_no_place(client: FlaskClient) -> None:
    for _ in range(MAX_STREAMS + 1):
        assert client.head("/stream").status_code == 200


def test_the_stream_ends_with_the_gateway(client: FlaskClient, live_view: LiveView) -> None:
    answer = stream(client)
    messages = events(answer)
    next(messages)
    live_view.close()
    assert list(messages) == []


def test_a_lone_beds_stream_brings_its_spectrum(
    client: FlaskClient, bed: FakeBed, live_view: LiveView
) -> None:
    for back in range(20, 0, -1):
        bed.send_frame(time.time() - back * FRAME_S)
    alone = next(events(stream(client)))
    (spectrum,) = (change for change in alone["changes"] if change["kind"] == "spectrum")
    assert spectrum["step_hz"] == pytest.approx(0.125)
    assert len(spectrum["magnitude_uv"]) == 481
    assert spectrum["mains_hz"] in (50, 60)
    assert spectrum["mains_uv"] < 5.0 < spectrum["baseline_uv"]
    assert 1.0 <= spectrum["peak_hz"] <= 40.0
    FakeBed(live_view, "2", FakeHeart(60), "Bed 2")
    assert "spectrum" not in kinds(next(events(stream(client))))
    assert "spectrum" in kinds(next(events(stream(client, "/stream?bed=1"))))


def test_a_spectrum_is_sent_once(
    client: FlaskClient, bed: FakeBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dashboard.spectra.INTERVAL_S", 3600.0)
    messages = events(stream(client))
    assert "spectrum" in kinds(next(messages))
    bed.send_frame(time.time())
    assert "spectrum" not in kinds(next(messages))


def test_a_spectrum_is_computed_once_a_second(live_view: LiveView, bed: FakeBed) -> None:
    for _ in range(20):
        bed.send_frame(100.0)
    spectra = Spectra(live_view)
    first = spectra.of("1", 100.0)
    assert spectra.of("1", 100.0 + 0.99 * INTERVAL_S) is first
    assert spectra.of("1", 100.0 + INTERVAL_S) is not first
    assert spectra.of("1", 99.0) is not first


def test_an_unknown_spectrum_says_so(live_view: LiveView, bed: FakeBed) -> None:
    spectra = Spectra(live_view)
    assert spectra.of("1", 100.0)["magnitude_uv"] is None
    for _ in range(20):
        bed.send_frame(100.0)
    assert spectra.of("1", 101.5)["magnitude_uv"] is not None
    assert spectra.of("1", 103.0)["magnitude_uv"] is None
