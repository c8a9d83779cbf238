"""The doctor's look at the gateway's own files."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.config import GatewayConfig, KeyringConfig
from gateway.health import services
from gateway.health.finding import Finding, Verdict
from gateway.served_model.store import ModelStore

END = datetime.datetime(2027, 3, 1, 12, 0, 5, tzinfo=datetime.UTC)
BEYOND_2050 = END.replace(year=2060)  # RFC 5280 then wants four digits of the year
DAY_S = 86_400.0


def certificate(path: Path, end: datetime.datetime = END) -> Path:
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ward-3")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(END - datetime.timedelta(days=400)).not_valid_after(end)
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


def cloud_config(folder: Path, certificate_file: Path) -> Path:
    path = folder / "cloud-sync.toml"
    path.write_text(f'[mqtt]\ncertificate_file = "{certificate_file}"\n')
    return path


@pytest.mark.parametrize("end", [END, BEYOND_2050])
def test_the_end_of_a_certificate(tmp_path: Path, end: datetime.datetime) -> None:
    path = certificate(tmp_path / "client.pem", end)
    assert services.certificate_end_s(path) == end.timestamp()


@pytest.mark.parametrize(
    ("days_left", "verdict"), [(31, Verdict.OK), (29, Verdict.WARN), (-1, Verdict.FAIL)]
)
def test_a_certificate_is_told_before_it_ends(
    tmp_path: Path, days_left: int, verdict: Verdict
) -> None:
    path = cloud_config(tmp_path, certificate(tmp_path / "client.pem"))
    (found,) = services.certificate(path, END.timestamp() - days_left * DAY_S)
    assert found.verdict is verdict


def test_what_is_no_certificate_fails(tmp_path: Path) -> None:
    client = tmp_path / "client.pem"
    client.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (found,) = services.certificate(cloud_config(tmp_path, client))
    assert found.verdict is Verdict.FAIL


def test_a_certificate_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    (found,) = services.certificate(cloud_config(tmp_path, tmp_path / "missing.pem"))
    assert found.verdict is Verdict.WARN


def test_without_a_cloud_there_is_no_certificate(tmp_path: Path) -> None:
    path = tmp_path / "cloud-sync.toml"
    path.write_text("[mqtt]\n")
    assert [found.verdict for found in services.certificate(path)] == [Verdict.OK]


@pytest.mark.parametrize(("mode", "verdict"), [(0o600, Verdict.OK), (0o640, Verdict.FAIL)])
def test_the_key_is_its_owners_alone(tmp_path: Path, mode: int, verdict: Verdict) -> None:
    key_file = tmp_path / "keyring.key"
    key_file.touch()
    key_file.chmod(mode)
    assert services.key(GatewayConfig(), key_file).verdict is verdict


def test_a_missing_key_says_how_it_is_made(tmp_path: Path) -> None:
    config = GatewayConfig(keyring=KeyringConfig(key_file=tmp_path / "missing"))
    found = services.key(config)
    assert found.verdict is Verdict.FAIL
    assert "systemctl start ecg-gateway-key" in found.to_do


@pytest.mark.parametrize(
    ("folder_mode", "keyring_mode", "verdict"),
    [
        (0o750, 0o600, Verdict.OK),
        (0o755, 0o600, Verdict.FAIL),
        (0o770, 0o600, Verdict.FAIL),
        (0o750, 0o644, Verdict.FAIL),
    ],
)
def test_the_state_is_closed_to_others(
    tmp_path: Path, folder_mode: int, keyring_mode: int, verdict: Verdict
) -> None:
    keyring = tmp_path / "keyring"
    keyring.touch()
    keyring.chmod(keyring_mode)
    tmp_path.chmod(folder_mode)
    config = GatewayConfig(state_directory=tmp_path)
    assert services.permissions(config).verdict is verdict


def test_the_packaged_model_serves(tmp_path: Path) -> None:
    assert services.model(GatewayConfig(state_directory=tmp_path)).verdict is Verdict.OK


def test_a_model_that_is_refused_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    ModelStore(tmp_path, ()).put_in_service("not-there", None)
    found = services.model(GatewayConfig(state_directory=tmp_path))
    assert found.verdict is Verdict.WARN


def test_no_gateway_answers(tmp_path: Path) -> None:
    found: Finding = services.service(GatewayConfig(state_directory=tmp_path))
    assert (found.verdict, found.to_do) == (
        Verdict.FAIL,
        "systemctl status ecg-gateway says why",
    )
