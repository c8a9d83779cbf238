"""A box gets its certificate by claim, once, and renews it with its own; over a real broker."""

from __future__ import annotations

import ssl
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from cloud_sync import provisioning
from cloud_sync.__main__ import EX_CONFIG, main
from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.enrolment import code_digest
from cloud_sync.aws.functions.ledger import Ledger
from cloud_sync.provision_command import EX_NOT_DUE, EX_UNAVAILABLE
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.provisioning_service import ProvisioningService
from tests.cloud_sync.brokers import DAY, NOW, Authority, Mosquitto

pytestmark = pytest.mark.broker

CODE = "0123456789abcdef"


@pytest.fixture
def service(
    account: EmulatedAccount, parts: Account, broker: Mosquitto, authority: Authority
) -> Iterator[ProvisioningService]:
    service = ProvisioningService(account, authority, broker.plain_port)
    yield service
    service.close()


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    return tmp_path / "identity.pem"


@pytest.fixture
def command(
    broker: Mosquitto, authority: Authority, identity: Path, tmp_path: Path
) -> Callable[..., int]:
    """`provision` with a claim certificate and the code, or `renew`."""
    claim = authority.issue("claim")
    code_file = tmp_path / "code"
    code_file.write_text(CODE + "\n")

    config = tmp_path / "cloud-sync.toml"
    config.write_text(
        f'gateway_id = "ward-3"\nprovider = "aws"\nstate_directory = "{tmp_path}"\n'
        f'[mqtt]\nhost = "localhost"\nport = {broker.port}\nca_file = "{claim.ca}"\n'
        f'certificate_file = "{identity}"\nkey_file = "{identity}"\n'
    )

    def run(name: str, *more: str) -> int:
        if name == "renew":
            return main([name, "--config", str(config), *more])
        where = ["--gateway", "ward-3", "--host", "localhost", "--port", str(broker.port)]
        where += ["--ca", str(claim.ca), "--identity", str(identity)]
        where += ["--claim-certificate", str(claim.certificate)]
        where += ["--claim-key", str(claim.key), "--code-file", str(code_file)]
        return main([name, *where, *more])

    return run


def open_enrolment(parts: Account) -> None:
    until_ms = round(1000 * (time.time() + 60))
    Ledger(parts.table).open_enrolment("ward-3", code_digest(CODE), until_ms)


def test_a_new_box_gets_a_certificate_for_a_key_that_never_left_it(
    service: ProvisioningService,
    parts: Account,
    command: Callable[..., int],
    identity: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    open_enrolment(parts)
    assert command("provision") == 0
    assert capsys.readouterr().out.startswith("ward-3: ")
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(identity)
    request = x509.load_pem_x509_csr(service.requests[0].encode())
    assert request.subject.rfc4514_string() == "CN=ward-3"
    assert "PRIVATE" not in service.requests[0]
    assert list(identity.parent.glob("*.new")) == []


def test_a_code_passes_once(
    service: ProvisioningService,
    parts: Account,
    command: Callable[..., int],
    identity: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    open_enrolment(parts)
    assert command("provision") == 0
    identity.unlink()
    assert command("provision") == EX_UNAVAILABLE
    assert "is the gateway's enrolment open, and its code unused?" in capsys.readouterr().err
    assert not identity.exists()


def test_an_enrolled_box_is_not_enrolled_over(
    service: ProvisioningService, command: Callable[..., int], identity: Path
) -> None:
    identity.write_text("what it has")
    assert command("provision") == EX_CONFIG
    assert identity.read_text() == "what it has"
    assert service.requests == []


def test_renewal_needs_no_code_but_the_gateways_own_certificate(
    service: ProvisioningService, parts: Account, command: Callable[..., int], identity: Path
) -> None:
    open_enrolment(parts)
    assert command("provision") == 0
    first = identity.read_text()
    assert command("renew", "--now") == EX_UNAVAILABLE  # the service takes us for the claim
    assert identity.read_text() == first
    service.caller = service.issued[0]
    assert command("renew", "--now") == 0
    assert identity.read_text() != first


def test_a_certificate_that_is_not_due_is_left(
    service: ProvisioningService,
    authority: Authority,
    command: Callable[..., int],
    identity: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    far = authority.issue("far", valid_until=NOW + 400 * DAY)
    identity.write_text(far.certificate.read_text() + far.key.read_text())
    assert command("renew") == 0
    assert capsys.readouterr().out.endswith("is not due\n")
    assert command("renew", "--due") == EX_NOT_DUE
    assert service.requests == []


def test_the_timer_is_told_when_it_is_due_and_nothing_is_asked(
    service: ProvisioningService, authority: Authority, command: Callable[..., int], identity: Path
) -> None:
    near = authority.issue("near", valid_until=NOW + 5 * DAY)
    identity.write_text(near.certificate.read_text() + near.key.read_text())
    assert command("renew", "--due") == 0
    assert service.requests == []


def test_renewal_wants_certificate_and_key_in_one_file(
    broker: Mosquitto, authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = authority.issue("ward-3")
    config = tmp_path / "cloud-sync.toml"
    config.write_text(
        f'gateway_id = "ward-3"\n[mqtt]\nhost = "localhost"\nca_file = "{ours.ca}"\n'
        f'certificate_file = "{ours.certificate}"\nkey_file = "{ours.key}"\n'
    )
    assert main(["renew", "--config", str(config)]) == EX_CONFIG
    assert "to be one file" in capsys.readouterr().err


def test_a_certificate_for_another_key_is_refused_and_the_old_one_kept(
    service: ProvisioningService,
    parts: Account,
    authority: Authority,
    command: Callable[..., int],
    identity: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    open_enrolment(parts)
    service.wrong_certificate = authority.issue("other").certificate.read_text()
    assert command("provision") == EX_UNAVAILABLE
    assert "the certificate is not for our key" in capsys.readouterr().err
    assert list(identity.parent.glob("identity*")) == []


def test_no_answer_is_told(
    service: ProvisioningService,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(provisioning, "ANSWER_TIMEOUT_S", 0.5)
    service.silent = True
    assert command("provision") == EX_UNAVAILABLE
    assert "no answer to $aws/certificates/create-from-csr/json" in capsys.readouterr().err


def test_a_claim_certificate_of_another_authority_is_told(
    broker: Mosquitto,
    authority: Authority,
    tmp_path: Path,
    identity: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stranger = Authority(tmp_path, "stranger").issue("claim")
    code_file = tmp_path / "code"
    code_file.write_text(CODE)
    where = ["--gateway", "ward-3", "--host", "localhost", "--port", str(broker.port)]
    where += ["--ca", str(authority.ca), "--identity", str(identity)]
    where += ["--claim-certificate", str(stranger.certificate), "--claim-key", str(stranger.key)]
    assert main(["provision", *where, "--code-file", str(code_file)]) == EX_UNAVAILABLE
    assert "does it accept our certificate" in capsys.readouterr().err
