"""The pages and the JSON beside them."""

from __future__ import annotations

import time

from flask.testing import FlaskClient

from gateway import __version__
from gateway.messages import Alarm, AlarmKind, AlarmPriority, AlarmState
from tests.dashboard.fake_ward import STAY, FakeBed, FakeHistory, FakePastAlarm

ENDED = Alarm(AlarmKind.ASYSTOLE, AlarmPriority.HIGH, 5.0, 9.0, AlarmState.ENDED, 12.0, 11.0)


def test_the_ward_says_what_it_is_not(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "Not a certified medical device" in page
    assert "ecg-gateway alarms acknowledge BED" in page


def test_a_beds_page_names_the_bed_and_its_command(client: FlaskClient) -> None:
    page = client.get("/beds/1").text
    assert "Bed &lt;1&gt;" in page
    assert "<1>" not in page
    assert "ecg-gateway alarms acknowledge &#39;Bed &lt;1&gt;&#39;" in page
    assert 'data-bed="1"' in page


def test_a_bed_that_is_not_there(client: FlaskClient) -> None:
    answer = client.get("/beds/9")
    assert answer.status_code == 404
    assert "There is no such bed." in answer.text
    assert client.get("/api/alarms?bed=9").status_code == 404
    assert client.get("/stream?bed=9").json == {
        "error": "Not Found",
        "reason": "There is no such bed.",
    }


def test_beds_as_json(client: FlaskClient, bed: FakeBed) -> None:
    for _ in range(6):
        bed.send_frame(time.time())
    answer = client.get("/api/beds").json
    assert answer is not None
    (shown,) = answer["beds"]
    assert (shown["id"], shown["state"], shown["stale"]) == ("1", "monitoring", False)
    assert shown["heart_rate_bpm"] == 72
    assert 0 <= answer["now_s"] - shown["last_signal_s"] < 5


def test_alarms_are_those_of_the_present_stay(client: FlaskClient, history: FakeHistory) -> None:
    earlier_patient = FakePastAlarm(1, STAY - 1, ENDED)
    unknown_bed = FakePastAlarm(7, STAY, ENDED)
    history.rows = [FakePastAlarm(1, STAY, ENDED), earlier_patient, unknown_bed]
    for path in ("/api/alarms", "/api/alarms?bed=1"):
        answer = client.get(path).json
        assert answer == {
            "alarms": [
                {
                    "bed": "1",
                    "kind": "asystole",
                    "priority": "high",
                    "state": "ended",
                    "onset_s": 5.0,
                    "raised_s": 9.0,
                    "ended_s": 12.0,
                    "acknowledged_s": 11.0,
                    "escalated_s": None,
                    "confidence": None,
                    "cloud": "in the cloud",
                }
            ]
        }


def test_metrics_are_prometheus_text(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.text == "ecg_frames_refused_total 3\n"
    assert answer.mimetype == "text/plain"


def test_healthz_tells_of_the_gateway_and_of_no_patient(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {
        "status": "ok",
        "version": __version__,
        "uptime_s": 12.5,
        "model": {"name": "fake", "hash": "ffffffff", "refused": None},
        "sensors": {
            "ECG-00000001": {"frames": 40, "gaps": 1, "beats": 37, "last_frame_age_s": 0.4}
        },
    }
