from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from gateway.dashboard.app import create_app
from gateway.live_view import LiveView
from tests.dashboard.fake_ward import FakeBed, FakeHeart, FakeHistory, health


@pytest.fixture
def live_view() -> LiveView:
    return LiveView()


@pytest.fixture
def bed(live_view: LiveView) -> FakeBed:
    """Bed "1", named "Bed <1>" so that a page which does not escape is seen."""
    return FakeBed(live_view, "1", FakeHeart(72), label="Bed <1>")


@pytest.fixture
def history() -> FakeHistory:
    return FakeHistory()


class LoopbackClient(FlaskClient):
    """Asks as a browser on the gateway would, and reads answers to their end."""

    def open(self, *args, **kwargs):  # type: ignore[no-untyped-def]  # werkzeug's own signature
        kwargs.setdefault("buffered", True)
        return super().open(*args, base_url="http://127.0.0.1:8080", **kwargs)


@pytest.fixture
def client(live_view: LiveView, bed: FakeBed, history: FakeHistory) -> FlaskClient:
    app = create_app(
        live_view,
        history,
        health,
        metrics=lambda: "ecg_frames_refused_total 3\n",
        cloud_progress=lambda: {("Bed 1", "asystole", 5.0): "in the cloud"},
    )
    app.test_client_class = LoopbackClient
    return app.test_client()
