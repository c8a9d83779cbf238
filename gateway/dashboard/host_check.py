"""Who may speak to the page, and what a browser may do with it.

A name that an attacker's DNS points at this machine reaches a loopback port from a victim's
browser (DNS rebinding); the Host check stops that, the Origin check stops foreign pages.
"""

from __future__ import annotations

from flask import Flask, Response, abort, request

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HTTP_PORT = "80"

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def guard(app: Flask) -> None:
    """Check Host and Origin of every request, and harden every answer."""
    app.before_request(_refuse_strangers)
    app.after_request(_add_security_headers)


def allowed_hosts(port: str) -> frozenset[str]:
    """The Host values under which this server is meant to be reached."""
    hosts = {f"{name}:{port}" for name in LOOPBACK_NAMES}
    if port == HTTP_PORT:
        hosts.update(LOOPBACK_NAMES)
    return frozenset(hosts)


def _refuse_strangers() -> None:
    hosts = allowed_hosts(request.environ["SERVER_PORT"])
    if request.headers.get("Host", "").lower() not in hosts:
        abort(403, "This page answers only under the name of its own machine.")
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in {f"http://{host}" for host in hosts}:
        abort(403, "A page of another origin may not ask here.")


def _add_security_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response
