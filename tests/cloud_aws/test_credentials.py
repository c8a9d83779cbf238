"""The box's own way to a telephone: role alias, temporary credentials, SNS; no key on the box."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator

import pytest

from cloud_sync.config import NoticeConfig
from cloud_sync.credentials import CredentialsProvider
from cloud_sync.https import Https, RequestFailed
from cloud_sync.notice import AlarmWords, alarm_notice
from cloud_sync.ports import Delivered
from cloud_sync.sns import SnsNotifier
from cloud_sync.tls import tls_context
from tests.cloud_aws.credentials_service import CredentialsService
from tests.cloud_aws.emulated_account import REGION, EmulatedAccount
from tests.cloud_sync.brokers import DAY, NOW, Authority

ALIAS = "ecg-gateway"


@pytest.fixture
def service(account: EmulatedAccount, authority: Authority) -> Iterator[CredentialsService]:
    service = CredentialsService(account, authority.issue("credentials"), ALIAS)
    yield service
    service.close()


def provider(service: CredentialsService, https: Https, alias: str = ALIAS) -> CredentialsProvider:
    return CredentialsProvider(https, service.endpoint, alias, "ward-3", time.time)


def ours(authority: Authority) -> Https:
    return Https(tls_context(authority.issue("ward-3")), None, lambda _bytes: None)


def test_a_notice_goes_out_with_borrowed_credentials(
    account: EmulatedAccount, service: CredentialsService, authority: Authority
) -> None:
    topic = account.environment["ALARM_TOPIC"]
    config = NoticeConfig(REGION, topic, account.endpoint, service.endpoint, ALIAS)
    plain = Https(None, None, lambda _bytes: None)
    notifier = SnsNotifier(config, plain, provider(service, ours(authority)), time.time)
    now_s = time.time()
    words = AlarmWords("m", 32 * "c", "Bed 4", "asystole", "high", now_s - 5, now_s)
    for _ in range(2):
        assert asyncio.run(notifier.notify(alarm_notice("ward-3", words, now_s))) == Delivered()
    assert [notice["Subject"] for notice in account.notices()] == 2 * ["asystole, Bed 4"]
    assert service.things == ["ward-3"]  # asked once, kept while they are good


def test_another_alias_is_refused_in_words(
    service: CredentialsService, authority: Authority
) -> None:
    with pytest.raises(RequestFailed, match=r"answers 403: .*Access Denied"):
        provider(service, ours(authority), "admin").credentials()


@pytest.mark.parametrize("fault", ["no certificate", "expired", "another authority"])
def test_nobody_gets_credentials_without_a_good_certificate(
    service: CredentialsService,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
    fault: str,
) -> None:
    context = tls_context(authority.issue("ward-3"))
    if fault == "no certificate":
        context = ssl.create_default_context(cafile=authority.ca)
    elif fault == "expired":
        context = tls_context(authority.issue("old", valid_until=NOW - DAY))
    else:
        stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger").issue("ward-3")
        context.load_cert_chain(stranger.certificate, stranger.key)
    with pytest.raises(RequestFailed):
        provider(service, Https(context, None, lambda _bytes: None)).credentials()
    assert service.things == []
