from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.rule_emulator import RuleEmulator
from tests.cloud_sync.brokers import MOSQUITTO, Authority, Mosquitto


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "clinic")


@pytest.fixture
def account() -> Iterator[EmulatedAccount]:
    account = EmulatedAccount()
    yield account
    account.close()


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
