"""Our signature against botocore's, which is AWS's own code."""

from __future__ import annotations

import datetime
from unittest.mock import patch

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.sigv4 import FORM, Credentials, signed_headers

keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(
    secret=keys,
    token=keys,
    region=st.sampled_from(["eu-central-1", "us-east-1", "ap-southeast-2"]),
    host=st.sampled_from(["sns.eu-central-1.amazonaws.com", "localhost:5000"]),
    body=st.binary(max_size=200),
    at_s=st.integers(0, 4_000_000_000),
)
def test_signs_as_botocore_does(
    secret: str, token: str, region: str, host: str, body: bytes, at_s: int
) -> None:
    moment = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    request = AWSRequest("POST", f"https://{host}/", {"Content-Type": FORM}, body)
    with patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        SigV4Auth(BotoCredentials("AKID", secret, token), "sns", region).add_auth(request)
    ours = signed_headers(Credentials("AKID", secret, token, 0.0), region, "sns", host, body, at_s)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"]


def test_a_log_line_shows_no_secret() -> None:
    shown = repr(Credentials("AKID", "the-secret", "the-token", 5.0))
    assert "AKID" in shown
    assert "secret" not in shown
    assert "token" not in shown
