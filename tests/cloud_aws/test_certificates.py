"""Requests and validity, held against another library's reading of them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509

from cloud_sync.certificates import NotACertificate, certificate_request, key_pem, new_key, validity
from cloud_sync.provisioning import RENEW_AFTER_S, RENEW_BEFORE_S, is_due
from tests.cloud_sync.brokers import NOW, Authority

YEARS = 365 * datetime.timedelta(days=1)


def test_a_request_is_read_by_another_library() -> None:
    key = new_key()
    request = x509.load_pem_x509_csr(certificate_request(key, "ward-3").encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=ward-3"
    assert "BEGIN PRIVATE KEY" in key_pem(key)


@pytest.mark.parametrize("years", [1, 40])  # UTCTime, and GeneralizedTime from 2050
def test_validity_is_what_another_library_reads(authority: Authority, years: int) -> None:
    issued = authority.issue(f"in-{years}", valid_until=NOW + years * YEARS)
    pem = issued.certificate.read_text()
    theirs = x509.load_pem_x509_certificate(pem.encode())
    ours = validity(pem)
    assert ours.not_before_s == theirs.not_valid_before_utc.timestamp()
    assert ours.not_after_s == theirs.not_valid_after_utc.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_is_told(text: str) -> None:
    with pytest.raises(NotACertificate):
        validity(text)


def test_renewal_is_due_a_month_before_the_end_or_when_the_key_is_a_year_old(
    authority: Authority, tmp_path: Path
) -> None:
    identity = tmp_path / "identity.pem"
    short = authority.issue("short", valid_until=NOW + 0.5 * YEARS)
    identity.write_text(short.certificate.read_text())
    lasts = validity(identity.read_text())
    assert not is_due(identity, lasts.not_after_s - RENEW_BEFORE_S)
    assert is_due(identity, lasts.not_after_s - RENEW_BEFORE_S + 1)
    long = authority.issue("long", valid_until=NOW + 20 * YEARS)
    identity.write_text(long.certificate.read_text())
    assert not is_due(identity, lasts.not_before_s + RENEW_AFTER_S)
    assert is_due(identity, lasts.not_before_s + RENEW_AFTER_S + 1)
