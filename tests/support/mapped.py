"""A function on a real platform that says what its batches were about, and what may feed it.

place = made_on(platform, "mapped")
place.mapped(ARN + "queue")
eventually(lambda: place.seen() == {"body of a message"})
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient

from tests.support.control import ask, deploy
from tests.support.platform import Platform

# What boto3 answers; it ships without types.
Document = dict[str, Any]
ARN = "arn:aws:sqs:us-east-1:000000000000:"

APP = """
import json

def about(record):
    if "body" in record:
        return record["body"], record["messageId"]
    change = record["dynamodb"]
    return change["Keys"]["id"]["S"], change["SequenceNumber"]

def handler(event, context):
    names = [about(one) for one in event["Records"]]
    print("GOT", json.dumps([name for name, _ in names]))
    if any(name == "raise" for name, _ in names):
        raise ValueError("poison")
    bad = [{"itemIdentifier": id} for name, id in names if name.startswith("bad")]
    return {"batchItemFailures": bad}
"""


@dataclass(frozen=True)
class Place:
    """A function of a test's own, and the clients."""

    platform: Platform
    name: str

    @property
    def functions(self) -> BaseClient:
        """boto3's Lambda."""
        return self.platform.client("lambda")

    @property
    def queues(self) -> BaseClient:
        """boto3's SQS."""
        return self.platform.client("sqs")

    @property
    def tables(self) -> BaseClient:
        """boto3's DynamoDB."""
        return self.platform.client("dynamodb")

    def batches(self) -> list[list[str]]:
        """What each call of the function was about."""
        body = ask(self.platform, "GET", f"/_mayfly/v1/logs/{self.name}?since_ms=0&limit=9999").body
        lines = [json.loads(one)["text"] for one in body.decode().splitlines() if one.strip()]
        return [json.loads(one[4:]) for one in lines if one.startswith("GOT ")]

    def seen(self) -> set[str]:
        """All that any call was about."""
        return {name for batch in self.batches() for name in batch}

    def queue(self, name: str, **attributes: str) -> str:
        """Make a queue; its URL."""
        url: str = self.queues.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def table(self, name: str) -> str:
        """Make a table with a stream; the stream's ARN."""
        made = self.tables.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        arn: str = made["TableDescription"]["LatestStreamArn"]
        return arn

    def put(self, table: str, *names: str) -> None:
        """Write items."""
        for name in names:
            self.tables.put_item(TableName=table, Item={"id": {"S": name}})

    def mapped(self, arn: str, **members: object) -> Document:
        """A mapping, once it is enabled."""
        made: Document = self.functions.create_event_source_mapping(
            FunctionName=self.name, EventSourceArn=arn, **members
        )
        self.in_state(made, "Enabled")
        return made

    def in_state(self, mapping: Document, state: str) -> None:
        """Wait until a mapping is in a state."""

        def holds() -> bool:
            told = self.functions.get_event_source_mapping(UUID=mapping["UUID"])
            return bool(told["State"] == state)

        eventually(holds)

    def left(self, url: str) -> int:
        """Messages of a queue, received ones too."""
        told = self.queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(told["ApproximateNumberOfMessages"]) + int(
            told["ApproximateNumberOfMessagesNotVisible"]
        )


def eventually(holds: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        threading.Event().wait(0.02)


def made_on(platform: Platform, name: str) -> Place:
    """Deploy the function."""
    manifest = f'[function]\nname = "{name}"\nhandler = "app.handler"\n'
    last = deploy(platform, {"mayfly.toml": manifest, "app.py": APP})
    assert "error" not in last, last
    return Place(platform, name)
