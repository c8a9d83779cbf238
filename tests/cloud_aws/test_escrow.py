"""Root keys from the keyring into Parameter Store, and a strip that they open again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_sync.__main__ import EX_CONFIG, main
from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.read_strip import _root_keys
from cloud_sync.escrow_command import EX_DATA, EX_UNAVAILABLE
from gateway.commands.keys import root_keys_json
from gateway.messages import DeviceId
from gateway.radio.keyring import Keyring
from tests.cloud_aws.credentials_service import CredentialsService
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_sync.brokers import Authority

SENSOR = "ECG-0000002A"
OLD, NEW = b"\x01" * 32, b"\x02" * 32
KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/0000"


@pytest.fixture
def service(account: EmulatedAccount, authority: Authority) -> Iterator[CredentialsService]:
    service = CredentialsService(account, authority.issue("localhost"), "ecg-gateway")
    service.credentials("warm-up")  # moto loads a service when it is first asked, for seconds
    account.client("ssm").describe_parameters()
    yield service
    service.close()


@pytest.fixture
def config(
    account: EmulatedAccount, service: CredentialsService, authority: Authority, tmp_path: Path
) -> Path:
    ours = authority.issue("ward-3")
    path = tmp_path / "cloud-sync.toml"
    path.write_text(
        f'gateway_id = "ward-3"\nprovider = "aws"\nstate_directory = "{tmp_path}"\n'
        f'[mqtt]\nhost = "localhost"\nca_file = "{ours.ca}"\n'
        f'certificate_file = "{ours.certificate}"\nkey_file = "{ours.key}"\n'
        '[notices]\ntopic_arn = "arn:aws:sns:eu-central-1:123456789012:alarms"\n'
        f'credentials_endpoint = "{service.endpoint}"\nrole_alias = "ecg-gateway"\n'
        f'[escrow]\nkey_arn = "{KEY_ARN}"\nendpoint = "{account.endpoint}"\n'
    )
    return path


@pytest.fixture
def escrow(config: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    def run(keys: str) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(keys))
        return main(["escrow", "--config", str(config)])

    return run


def test_keys_of_the_keyring_are_what_the_reader_of_strips_finds(
    account: EmulatedAccount, parts: Account, escrow: Callable[[str], int], tmp_path: Path
) -> None:
    keyring = Keyring(tmp_path / "keyring", bytes(32))
    keyring.add(DeviceId(0x2A), OLD)
    keyring.add(DeviceId(0x2A), NEW)
    assert escrow(root_keys_json(keyring)) == 0
    assert _root_keys(parts, "ward-3", SENSOR) == [OLD, NEW]
    described = account.client("ssm").describe_parameters()["Parameters"]
    assert [(each["Type"], each["KeyId"]) for each in described] == [("SecureString", KEY_ARN)]


def test_what_has_not_changed_is_not_sent_again(
    escrow: Callable[[str], int], service: CredentialsService, capsys: pytest.CaptureFixture[str]
) -> None:
    one = json.dumps({SENSOR: [OLD.hex()]})
    two = json.dumps({SENSOR: [OLD.hex(), NEW.hex()]})
    assert [escrow(keys) for keys in (one, one, two)] == [0, 0, 0]
    assert capsys.readouterr().out.splitlines() == [
        f"1 of 1 put into escrow: {SENSOR}",
        "0 of 1 put into escrow",
        f"1 of 1 put into escrow: {SENSOR}",
    ]
    assert service.things == ["ward-3", "ward-3"]


@pytest.mark.parametrize(
    "keys", ["", "[]", '{"ECG-1": []}', f'{{"{SENSOR}": []}}', f'{{"{SENSOR}": ["1234"]}}']
)
def test_what_are_no_root_keys_goes_nowhere(
    escrow: Callable[[str], int],
    service: CredentialsService,
    keys: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert escrow(keys) == EX_DATA
    assert "1234" not in capsys.readouterr().err
    assert service.things == []


def test_a_cloud_that_is_away_is_told_and_nothing_noted(
    account: EmulatedAccount,
    escrow: Callable[[str], int],
    config: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config.write_text(config.read_text().replace(account.endpoint, "http://127.0.0.1:9"))
    assert escrow(json.dumps({SENSOR: [OLD.hex()]})) == EX_UNAVAILABLE
    assert OLD.hex() not in capsys.readouterr().err
    assert not (config.parent / "escrow.json").exists()


def test_without_a_place_for_them_no_keys_are_read(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().split("[escrow]")[0])
    assert main(["escrow", "--config", str(config)]) == EX_CONFIG
    assert "[escrow]" in capsys.readouterr().err
