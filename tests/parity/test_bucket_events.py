"""From one bucket through a function into the next: every step follows from the one before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.support.functions import Functions
from tests.support.life import new_life
from tests.support.objects import new_bucket
from tests.support.platform import Platform, run_platform

QUEUES = "arn:aws:sqs:us-east-1:000000000000:"
FUNCTIONS = "arn:aws:lambda:us-east-1:000000000000:function:"
REFUSES = """
    def handler(event, context):
        (record,) = event["Records"]
        raise KeyError(record["s3"]["object"]["key"])
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with run_platform() as running:
        yield running


class Queue:
    """A queue that is told of a bucket's changes."""

    def __init__(self, platform: Platform) -> None:
        self._client = platform.client("sqs")
        name = platform.new_name("told")
        self.url = self._client.create_queue(QueueName=name)["QueueUrl"]
        self.arn = QUEUES + name

    def next(self) -> dict[str, Any]:
        """The next document, deleted; waits for it."""
        (message,) = self._client.receive_message(QueueUrl=self.url, WaitTimeSeconds=20)["Messages"]
        self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        document: dict[str, Any] = json.loads(message["Body"])
        return document


def test_a_put_calls_a_function_whose_failure_becomes_an_object_that_is_told(
    platform: Platform,
) -> None:
    s3, queue = platform.client("s3"), Queue(platform)
    with (
        Functions(platform) as functions,
        new_bucket(platform) as inbox,
        new_bucket(platform) as outbox,
    ):
        name = functions.make(REFUSES)
        functions.client.put_function_event_invoke_config(
            FunctionName=name,
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{outbox}"}},
        )
        created = ["s3:ObjectCreated:*"]
        s3.put_bucket_notification_configuration(
            Bucket=outbox,
            NotificationConfiguration={
                "QueueConfigurations": [{"QueueArn": queue.arn, "Events": created}]
            },
        )
        assert queue.next()["Event"] == "s3:TestEvent"
        s3.put_bucket_notification_configuration(
            Bucket=inbox,
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [
                    {"LambdaFunctionArn": FUNCTIONS + name, "Events": created}
                ]
            },
        )
        s3.put_object(Bucket=inbox, Key="a b/\u00e9.txt", Body=b"hello")
        (record,) = queue.next()["Records"]
        assert (record["eventName"], record["s3"]["bucket"]["name"]) == (
            "ObjectCreated:Put",
            outbox,
        )
        key = unquote_plus(record["s3"]["object"]["key"])
        kept = json.loads(s3.get_object(Bucket=outbox, Key=key)["Body"].read())
        assert kept["responsePayload"]["errorMessage"] == "'a+b/%C3%A9.txt'"
        assert kept["requestPayload"]["Records"][0]["s3"]["bucket"]["name"] == inbox


def test_what_was_put_is_there_after_the_platform_was_killed() -> None:
    bodies = {f"k{size}": bytes(range(250)) * size for size in (0, 1, 1_000, 20_000)}
    with new_life(ordinary_user=False) as life:
        s3 = life.up().platform.client("s3")
        s3.create_bucket(Bucket="kept")
        for key, body in bodies.items():
            s3.put_object(Bucket="kept", Key=key, Body=body)
        life.kill()
        s3 = life.up().platform.client("s3")
        found = {
            one["Key"]: s3.get_object(Bucket="kept", Key=one["Key"])["Body"].read()
            for one in s3.list_objects_v2(Bucket="kept")["Contents"]
        }
        assert found == bodies
