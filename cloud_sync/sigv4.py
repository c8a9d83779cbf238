"""AWS Signature Version 4 for one POST: all that SNS and Parameter Store need of us.

Signing is four HMACs over a few lines. botocore would do it too, at 25 MB on the SD card, some
20 MB of memory and a second of a Pi's start-up; a test holds this to botocore's signature.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
from dataclasses import dataclass

ALGORITHM = "AWS4-HMAC-SHA256"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
AMZ_JSON = "application/x-amz-json-1.1"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary: the box holds no key that lives longer than the role's session."""

    access_key: str
    secret_key: str
    session_token: str
    expires_at_s: float  # Unix time

    def __repr__(self) -> str:
        return f"Credentials({self.access_key}, expires_at_s={self.expires_at_s})"


def signed_headers(
    credentials: Credentials,
    region: str,
    service: str,
    host: str,
    body: bytes,
    at_s: float,
    *,
    content_type: str = FORM,
    target: str | None = None,
) -> dict[str, str]:
    """The headers of `POST /` that carry the signature; `at_s` is Unix time.

    `target` names the action where the body does not.
    """
    moment = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    headers = {
        "content-type": content_type,
        "host": host,
        "x-amz-date": moment.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-security-token": credentials.session_token,
    }
    if target is not None:
        headers["x-amz-target"] = target
    names = ";".join(headers)  # they stand in alphabetical order, as the rule wants
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment:%Y%m%d}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{headers['x-amz-date']}\n{scope}\n{digest}"
    signature = _mac(_signing_key(credentials.secret_key, scope), to_sign).hex()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _signing_key(secret_key: str, scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
