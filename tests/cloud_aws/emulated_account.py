"""An AWS account on loopback: moto's server, with what the template keeps things in."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from tests.cloud_aws.template import load_template, resources_of

REGION = "eu-central-1"
STACK = "ecg"
_PATIENT = Config(read_timeout=300, retries={"total_max_attempts": 1})  # moto loads as it is asked
PARAMETERS = {
    "TokenIssuer": "https://issuer.example",
    "TokenAudience": "ecg",
    "LateDigest": "cloud",
}


class EmulatedAccount:
    """One at a time in a process: all of moto's servers share their state."""

    def __init__(self, parameters: dict[str, str] | None = None) -> None:
        self.template = load_template()
        self._parameters = PARAMETERS | (parameters or {})
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self._session = boto3.Session("emulated", "emulated", region_name=REGION)
        self._tables = self._session.resource("dynamodb", endpoint_url=self.endpoint)
        self._clients: dict[str, Any] = {}
        self._deploy()

    def reset(self) -> None:
        """Empty, and under new names."""
        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")
        urllib.request.urlopen(request).close()
        self._deploy()

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(
                service, endpoint_url=self.endpoint, config=_PATIENT
            )
        return self._clients[service]

    @property
    def environment(self) -> dict[str, str]:
        """What Lambda sets for a function of the template, all of which have the same."""
        functions = resources_of(self.template, "AWS::Lambda::Function").values()
        variables = {
            name: self.resolve(value)
            for function in functions
            for name, value in function["Environment"]["Variables"].items()
        }
        return variables | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_DEFAULT_REGION": REGION,
        }

    def resolve(self, value: Any) -> str:
        """A text of the template, or its `Ref` to a parameter or to something kept."""
        if isinstance(value, str):
            return value
        name = value["Ref"]
        return self._parameters[name] if name in self._parameters else self._physical[name]

    def items(self) -> list[dict[str, Any]]:
        """Every row of the table."""
        table = self._tables.Table(self._physical["Messages"])
        items: list[dict[str, Any]] = []
        page: dict[str, Any] = {}
        while True:
            answer = table.scan(**page)
            items += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return items
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def notices(self) -> list[dict[str, Any]]:
        """What SNS has taken since the last time: `Subject`, `Message`, `MessageAttributes`."""
        return self._take(self._telephone)

    def refused(self) -> list[dict[str, Any]]:
        """What was set aside since the last time."""
        return self._take(self._physical["Refused"])

    def close(self) -> None:
        self._server.stop()

    def _deploy(self) -> None:
        """The same names after each reset."""
        table = resources_of(self.template, "AWS::DynamoDB::Table")["Messages"]
        indexed = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        self.client("dynamodb").create_table(
            TableName="messages", **{name: table[name] for name in indexed}
        )
        self.client("s3").create_bucket(
            Bucket="waveforms", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self._physical = {
            "Messages": "messages",
            "Waveforms": "waveforms",
            "Alarms": self.client("sns").create_topic(Name="alarms")["TopicArn"],
            "Refused": self.client("sqs").create_queue(QueueName="refused")["QueueUrl"],
        }
        self._telephone = self._subscribe_a_telephone()

    def _subscribe_a_telephone(self) -> str:
        """A queue that hears every notice; its URL."""
        queues = self.client("sqs")
        url: str = queues.create_queue(QueueName="telephone")["QueueUrl"]
        attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.client("sns").subscribe(
            TopicArn=self._physical["Alarms"],
            Protocol="sqs",
            Endpoint=attributes["Attributes"]["QueueArn"],
        )
        return url

    def _take(self, queue: str) -> list[dict[str, Any]]:
        queues = self.client("sqs")
        taken: list[dict[str, Any]] = []
        while messages := queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                taken.append(json.loads(message["Body"]))
                queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return taken
