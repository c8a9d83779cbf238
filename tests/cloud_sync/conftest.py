from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.cloud_sync.brokers import MOSQUITTO, Authority, Mosquitto, Subscriber
from tests.cloud_sync.fakes import open_engines


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The clinic's own certificate authority."""
    return Authority(tmp_path_factory.mktemp("clinic-ca"), "clinic")


@pytest.fixture(autouse=True)
def _close_logs() -> Iterator[None]:
    yield
    while open_engines:
        open_engines.pop().dispose()


@pytest.fixture
def start_broker(
    authority: Authority, tmp_path: Path
) -> Iterator[Callable[[Sequence[str]], Mosquitto]]:
    """Start mosquitto with more configuration lines."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    brokers: list[Mosquitto] = []

    def start(options: Sequence[str]) -> Mosquitto:
        broker = Mosquitto(tmp_path, authority.issue("broker"), options)
        brokers.append(broker)
        broker.start()
        return broker

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(start_broker: Callable[[Sequence[str]], Mosquitto]) -> Mosquitto:
    return start_broker([])


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.plain_port)
    yield subscriber
    subscriber.close()
