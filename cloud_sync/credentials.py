"""Temporary credentials from AWS IoT's credentials provider, asked for with our certificate."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable

from cloud_sync.https import Https, RequestFailed
from cloud_sync.sigv4 import Credentials

RENEW_BEFORE_S = 300.0  # they live 900 s at least


class CredentialsProvider:
    """`GET /role-aliases/<alias>/credentials`, and the answer while it is good."""

    def __init__(
        self,
        https: Https,
        endpoint: str,
        role_alias: str,
        thing_name: str,
        unix_time: Callable[[], float],
    ) -> None:
        self._https = https
        self._url = f"https://{endpoint}/role-aliases/{role_alias}/credentials"
        self._thing_name = thing_name
        self._unix_time = unix_time
        self._credentials: Credentials | None = None

    def credentials(self) -> Credentials:
        """Blocks where new ones are needed; raises RequestFailed."""
        now_s = self._unix_time()
        held = self._credentials
        if held is None or held.expires_at_s - RENEW_BEFORE_S <= now_s:
            headers = {"x-amzn-iot-thingname": self._thing_name}
            held = _credentials(self._https.request("GET", self._url, headers))
            self._credentials = held
        return held


def _credentials(answer: bytes) -> Credentials:
    try:
        words = json.loads(answer)["credentials"]
        expires = datetime.datetime.fromisoformat(words["expiration"])
        if expires.tzinfo is None:
            raise ValueError("an expiration without a time zone")
        return Credentials(
            str(words["accessKeyId"]),
            str(words["secretAccessKey"]),
            str(words["sessionToken"]),
            expires.timestamp(),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RequestFailed(
            f"the credentials provider's answer is not understood: {error}"
        ) from error
