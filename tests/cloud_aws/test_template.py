"""What the template says, as far as cfn-lint can't know what it should say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

import cloud_sync.aws
from tests.cloud_aws.rule_sql import UnsupportedSql, parse_sql, substitute
from tests.cloud_aws.template import load_template, resources_of

OWN = "${!iot:Connection.Thing.ThingName}"
TEMPLATE = load_template()


def statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["Statement"]
    return found


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_gateway_touches_its_own_topics_alone() -> None:
    policy = resources_of(TEMPLATE, "AWS::IoT::Policy")["GatewayPolicy"]["PolicyDocument"]
    topics = [
        resource["Fn::Sub"]
        for statement in statements(policy)
        if set(listed(statement["Action"])) & {"iot:Publish", "iot:Subscribe", "iot:Receive"}
        for resource in listed(statement["Resource"])
    ]
    assert len(topics) > 8
    for topic in topics:
        name = topic.split("}:", 3)[-1].split("/", 1)[1]
        assert name.startswith((f"ecg/{OWN}/", "$aws/certificates/create", "$aws/provisioning")), (
            topic
        )


def test_a_claim_certificate_can_only_ask_for_a_certificate() -> None:
    policy = resources_of(TEMPLATE, "AWS::IoT::Policy")["ClaimPolicy"]["PolicyDocument"]
    resources = [r["Fn::Sub"] for s in statements(policy) for r in listed(s["Resource"])]
    for resource in resources:
        assert "/$aws/" in resource or resource.endswith(":client/claim-*")


def test_no_permission_of_a_function_is_for_everything() -> None:
    for name, role in resources_of(TEMPLATE, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in statements(policy["PolicyDocument"]):
                assert "*" not in listed(statement["Resource"]), name
                assert all(not action.endswith("*") for action in listed(statement["Action"])), name


def test_every_permission_is_explained() -> None:
    readme = Path(cloud_sync.aws.__file__).with_name("README.md").read_text()
    for role in resources_of(TEMPLATE, "AWS::IAM::Role").values():
        for policy in role.get("Policies", []):
            for statement in statements(policy["PolicyDocument"]):
                assert f"`{statement['Sid']}`" in readme


def test_every_function_is_there_and_reads_the_same_environment() -> None:
    functions = resources_of(TEMPLATE, "AWS::Lambda::Function")
    environments = [function["Environment"]["Variables"] for function in functions.values()]
    assert all(environment == environments[0] for environment in environments)
    for function in functions.values():
        module, _, name = function["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_every_rule_keeps_what_fails_and_can_be_played() -> None:
    for rule in resources_of(TEMPLATE, "AWS::IoT::TopicRule").values():
        payload = rule["TopicRulePayload"]
        assert payload["ErrorAction"]["Sqs"]["QueueUrl"] == {"Ref": "Refused"}
        assert parse_sql(payload["Sql"]).topic_filter.startswith("ecg/+/")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM 'a' WHERE x = 1",
        "SELECT x FROM 'a'",
        "SELECT principal() AS who FROM 'a'",
        "DELETE FROM 'a'",
    ],
)
def test_sql_that_the_emulator_can_not_play_is_refused(sql: str) -> None:
    with pytest.raises(UnsupportedSql):
        parse_sql(sql)


def test_an_object_is_named_by_its_topic() -> None:
    assert substitute("${topic(2)}/${topic(4)}.cbor", "ecg/w/waveform/7") == "w/7.cbor"
    with pytest.raises(UnsupportedSql):
        substitute("${timestamp()}", "ecg/w/waveform/7")
