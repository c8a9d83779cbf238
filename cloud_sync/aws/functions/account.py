"""The parts of the account that a function touches, named by the template in its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# A call that hangs is tried once more within the 30 s that a function has.
_CALLS = Config(
    connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)
_NAMES = ("TABLE", "ALARM_TOPIC", "REFUSED_QUEUE", "WAVEFORM_BUCKET", "LATE_DIGEST")


@dataclass(frozen=True, slots=True)
class Account:
    """Clients of one deployment. A function's role decides which of them it may use."""

    table: Any  # DynamoDB, key (gateway, id)
    alarm_topic: Any  # SNS
    refused_queue: Any  # SQS
    waveforms: Any  # S3 bucket
    iot: Any  # the broker's HTTP interface
    things: Any  # AWS IoT's registry
    parameters: Any  # SSM
    sends_late_digest: bool  # else the gateways do, each with its own credentials


def account(environment: Mapping[str, str]) -> Account:
    """The deployment that the environment names; made once, as Lambda keeps its process."""
    endpoints = tuple(environment.get(f"AWS_ENDPOINT_URL{of}") for of in ("", "_IOT_DATA_PLANE"))
    return _account(tuple(environment[name] for name in _NAMES), endpoints)


@cache
def _account(names: tuple[str, ...], _endpoints: tuple[str | None, ...]) -> Account:
    """boto3 reads the endpoints from the environment itself; here they only tell two apart."""
    session = _session()
    table, topic, queue, bucket, late_digest = names
    return Account(
        session.resource("dynamodb", config=_CALLS).Table(table),
        session.resource("sns", config=_CALLS).Topic(topic),
        session.resource("sqs", config=_CALLS).Queue(queue),
        session.resource("s3", config=_CALLS).Bucket(bucket),
        session.client("iot-data", config=_CALLS),
        session.client("iot", config=_CALLS),
        session.client("ssm", config=_CALLS),
        late_digest == "cloud",
    )


@cache
def _session() -> boto3.Session:
    return boto3.Session()
