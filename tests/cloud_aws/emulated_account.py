"""An AWS account on loopback: moto's server, with what the template keeps things in."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tests.cloud_aws.template import load_template, resources_of

REGION = "eu-central-1"
STACK = "ecg"
# What moto's CloudFormation knows and functions use, each with the property that names it: the same
# names after each reset. Rules and functions are played.
KEPT_IN = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
}
SEALING = ("SSESpecification", "BucketEncryption", "KmsMasterKeyId")  # moto seals nothing
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
            self._clients[service] = self._session.client(service, endpoint_url=self.endpoint)
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
        kept = {}
        for logical_id, resource in self.template["Resources"].items():
            if name := KEPT_IN.get(resource["Type"]):
                named = {name: f"{STACK}-{logical_id}".lower()}
                unsealed = {
                    key: value
                    for key, value in resource["Properties"].items()
                    if key not in SEALING
                }
                kept[logical_id] = {"Type": resource["Type"], "Properties": unsealed | named}
        formation = self.client("cloudformation")
        formation.create_stack(StackName=STACK, TemplateBody=json.dumps({"Resources": kept}))
        resources = formation.describe_stack_resources(StackName=STACK)["StackResources"]
        self._physical = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources
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
