from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.account import account as account_of
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.fakes import Clock, FakeIot
from tests.cloud_aws.rule_emulator import RuleEmulator
from tests.cloud_sync.brokers import MOSQUITTO, Authority, Mosquitto


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "clinic")


@pytest.fixture(scope="session")
def _account() -> Iterator[EmulatedAccount]:
    account = EmulatedAccount()
    yield account
    account.close()


@pytest.fixture
def account(_account: EmulatedAccount) -> EmulatedAccount:
    _account.reset()
    return _account


@pytest.fixture
def iot() -> FakeIot:
    return FakeIot()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def parts(account: EmulatedAccount, iot: FakeIot, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The account as a function has it, but for the broker."""
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    return replace(account_of(account.environment), iot=iot)


@pytest.fixture
def broker(authority: Authority, tmp_path: Path) -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    broker = Mosquitto(tmp_path, authority.issue("broker"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def rules(
    account: EmulatedAccount, broker: Mosquitto, authority: Authority
) -> Iterator[RuleEmulator]:
    emulator = RuleEmulator(account, "localhost", broker.port, authority.issue("rules-engine"))
    yield emulator
    emulator.close()
