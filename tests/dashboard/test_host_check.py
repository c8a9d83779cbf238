"""Who is let in, and what each answer carries."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from gateway.dashboard.host_check import allowed_hosts

PATHS = ["/", "/beds/1", "/api/beds", "/api/alarms", "/healthz", "/metrics", "/static/main.js"]
FOREIGN_HOSTS = [
    "evil.example",
    "127.0.0.1",
    "127.0.0.1:80",
    "127.0.0.1:8081",
    "127.0.0.1:8080.evil.example",
    "localhost.:8080",
    "192.168.1.20:8080",
    "",
]
FOREIGN_ORIGINS = [
    "null",
    "",
    "https://127.0.0.1:8080",
    "http://127.0.0.1",
    "http://127.0.0.1:8081",
    "http://evil.example:8080",
    "http://localhost:8080.evil.example",
]


@pytest.mark.parametrize("path", [*PATHS, "/stream", "/nowhere"])
def test_a_foreign_name_is_refused_everywhere(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers={"Host": "evil.example:8080"}).status_code == 403


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_only_exact_loopback_names_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"]
)
def test_loopback_names_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_the_port_may_be_left_out_only_where_it_is_80() -> None:
    assert "localhost" in allowed_hosts("80")
    assert "localhost" not in allowed_hosts("8080")


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_foreign_origin_is_refused(client: FlaskClient, origin: str) -> None:
    for path in ("/api/beds", "/stream", "/"):
        assert client.get(path, headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://localhost:8080"])
def test_the_pages_own_origin_is_let_in(client: FlaskClient, origin: str) -> None:
    assert client.get("/api/beds", headers={"Origin": origin}).status_code == 200


def test_a_refusal_says_why_in_the_askers_language(client: FlaskClient) -> None:
    stranger = {"Host": "evil.example"}
    refusal = client.get("/api/beds", headers=stranger)
    assert refusal.json == {
        "error": "Forbidden",
        "reason": "This page answers only under the name of its own machine.",
    }
    assert client.get("/", headers=stranger).mimetype == "text/html"


@pytest.mark.parametrize("path", [*PATHS, "/nowhere", "/api/nowhere"])
def test_every_answer_is_hardened(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("path", ["/", "/beds/1", "/nowhere"])
def test_pages_hold_no_inline_script_or_style(client: FlaskClient, path: str) -> None:
    page = client.get(path).text
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick" not in page
    assert page.count("<script") == page.count('<script type="module" src=')


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", [*PATHS, "/stream"])
def test_the_page_can_change_nothing(client: FlaskClient, path: str, method: str) -> None:
    assert client.open(path, method=method.upper()).status_code == 405
