"""Who may have a certificate: a box with the open code, once, and the gateway itself."""

from __future__ import annotations

import pytest

from cloud_sync.aws.functions.account import Account
from cloud_sync.aws.functions.enrolment import code_digest, may_enrol
from cloud_sync.aws.functions.ledger import Ledger
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.fakes import NOW_S, Clock
from tests.cloud_sync.brokers import Authority

CODE = "right"


def asks(parts: Account, clock: Clock, **changed: str) -> bool:
    parameters = {"GatewayId": "ward-3", "EnrolmentCode": CODE} | changed
    return may_enrol({"claimCertificateId": "claim", "parameters": parameters}, parts, clock)


@pytest.fixture
def opened(parts: Account) -> Account:
    Ledger(parts.table).open_enrolment("ward-3", code_digest(CODE), round(1000 * NOW_S))
    return parts


def test_the_open_code_passes_once(opened: Account, clock: Clock) -> None:
    clock.now_s -= 1
    assert asks(opened, clock)
    assert not asks(opened, clock)


@pytest.mark.parametrize(
    "changed", [{"EnrolmentCode": "wrong"}, {"EnrolmentCode": ""}, {"GatewayId": "ward-4"}]
)
def test_no_other_code_and_no_other_gateway(
    opened: Account, clock: Clock, changed: dict[str, str]
) -> None:
    clock.now_s -= 1
    assert not asks(opened, clock, **changed)
    assert asks(opened, clock)  # a wrong guess does not close it


def test_an_old_code_is_closed(opened: Account, clock: Clock) -> None:
    assert not asks(opened, clock)


@pytest.mark.parametrize("gateway", ["", "a/b", "+", 65 * "x", "claim-1", "rotate-1"])
def test_a_name_that_is_no_level_of_a_topic(parts: Account, clock: Clock, gateway: str) -> None:
    assert not asks(parts, clock, GatewayId=gateway)


def test_the_gateways_own_certificate_renews_it_and_no_other(
    account: EmulatedAccount, parts: Account, clock: Clock, authority: Authority
) -> None:
    things = account.client("iot")
    ids = {}
    for thing in ("ward-3", "ward-4"):
        pem = authority.issue(thing).certificate.read_text()
        kept = things.register_certificate_without_ca(certificatePem=pem)
        things.create_thing(thingName=thing)
        things.attach_thing_principal(thingName=thing, principal=kept["certificateArn"])
        ids[thing] = kept["certificateId"]

    def renews(gateway: str) -> bool:
        asked = {"claimCertificateId": ids["ward-3"], "parameters": {"GatewayId": gateway}}
        return may_enrol(asked, parts, clock)

    assert renews("ward-3")
    assert not renews("ward-4")
