"""The direct way to a person: temporary credentials by our certificate, then SNS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from cloud_sync.config import NoticeConfig, Proxy, TlsFiles
from cloud_sync.credentials import CredentialsProvider
from cloud_sync.https import Https
from cloud_sync.notice import AlarmWords, alarm_notice
from cloud_sync.ports import Delivered, TryLater
from cloud_sync.sns import SnsNotifier
from cloud_sync.tls import tls_context
from tests.cloud_sync.aws_services import (
    LIFE_S,
    ROLE_ALIAS,
    CredentialsHandler,
    ProxyHandler,
    Service,
    SnsHandler,
    mutual_tls,
    serving,
)
from tests.cloud_sync.brokers import DAY, NOW, Authority
from tests.cloud_sync.fakes import ManualClock

# a server's side of a refused handshake is the garbage collector's
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
ALARM = AlarmWords("m" * 32, "a" * 32, "Bed 3 – Süd", "asystole", "high", 1000.0, 1005.0)


class Account:
    """Both services, and a notifier to them."""

    def __init__(self, provider: Service, sns: Service, files: TlsFiles) -> None:
        self.provider = provider
        self.sns = sns
        self.files = files
        self.clock = ManualClock()
        self.clock.now_s = time.time()
        self.spent = 0

    def notifier(
        self,
        files: TlsFiles | None = None,
        role_alias: str = ROLE_ALIAS,
        proxy: Proxy | None = None,
    ) -> SnsNotifier:
        config = NoticeConfig(
            "eu-central-1",
            TOPIC,
            f"http://127.0.0.1:{self.sns.port}",
            f"localhost:{self.provider.port}",
            role_alias,
        )
        https = Https(tls_context(files or self.files), proxy, self._spend)
        provider = CredentialsProvider(
            https, config.credentials_endpoint, role_alias, "ward-3", self.clock
        )
        return SnsNotifier(config, Https(None, proxy, self._spend), provider, self.clock)

    def _spend(self, count: int) -> None:
        self.spent += count


@pytest.fixture
def account(authority: Authority) -> Iterator[Account]:
    server = mutual_tls(authority.issue("credentials"))
    with serving(CredentialsHandler, server) as provider, serving(SnsHandler) as sns:
        yield Account(provider, sns, authority.issue("ward-3"))


def notify(notifier: SnsNotifier) -> Delivered | TryLater:
    return asyncio.run(notifier.notify(alarm_notice("ward-3", ALARM, 1010.0)))


def test_a_notice_reaches_the_topic(account: Account) -> None:
    assert notify(account.notifier()) == Delivered()
    _, headers, body = account.sns.asked[0]
    form = parse_qs(body.decode())
    assert form["TopicArn"] == [TOPIC]
    assert form["Message"] == [
        "asystole (high) at Bed 3 – Süd, gateway ward-3, onset 1970-01-01 00:16:40 UTC, "
        f"alarm {'a' * 32}"
    ]
    assert form["Subject"] == ["asystole, Bed 3 ? S?d"]
    assert form["MessageAttributes.entry.1.Value.StringValue"] == ["a" * 32]
    assert headers["x-amz-security-token"] == "token"
    _, headers, _ = account.provider.asked[0]
    assert headers["x-amzn-iot-thingname"] == "ward-3"
    assert account.spent > 3000  # two handshakes' certificates at least


def test_credentials_are_asked_for_again_before_they_end(account: Account) -> None:
    notifier = account.notifier()
    for _ in range(3):
        assert notify(notifier) == Delivered()
    assert len(account.provider.asked) == 1
    account.clock.now_s += LIFE_S - 200
    notify(notifier)
    assert len(account.provider.asked) == 2


def test_through_the_clinics_proxy(account: Account) -> None:
    with serving(ProxyHandler) as proxy:
        notifier = account.notifier(proxy=Proxy("127.0.0.1", proxy.port))
        assert notify(notifier) == Delivered()
        tunnels = [path for path, _, _ in proxy.asked]
    assert tunnels == [f"localhost:{account.provider.port}", f"127.0.0.1:{account.sns.port}"]


def test_what_fails_is_an_answer(account: Account) -> None:
    answer = notify(account.notifier(role_alias="other"))
    assert isinstance(answer, TryLater)
    assert "404" in answer.reason
    assert "Role alias does not exist" in answer.reason


def test_a_provider_of_another_authority_gets_nothing(account: Account, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    answer = notify(account.notifier(replace(account.files, ca=stranger.ca)))
    assert isinstance(answer, TryLater)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.reason


def test_our_expired_certificate_gets_no_credentials(
    account: Account, authority: Authority
) -> None:
    answer = notify(account.notifier(authority.issue("ward-3-old", valid_until=NOW - DAY)))
    assert isinstance(answer, TryLater)
    assert account.provider.asked == []
