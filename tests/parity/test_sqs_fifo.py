"""SQS's FIFO queues, dead letters and moves with an unmodified boto3 client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.support.platform import Platform

# Botocore's clients have no types.
Sqs = Any


@pytest.fixture
def sqs(platform: Platform) -> BaseClient:
    return platform.client("sqs")


def make(platform: Platform, *, fifo: bool = False, **attributes: str) -> str:
    """A queue's URL."""
    sqs: Sqs = platform.client("sqs")
    if fifo:
        attributes["FifoQueue"] = "true"
    name = platform.new_name("q") + (".fifo" if fifo else "")
    return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def arn(url: str) -> str:
    return f"arn:aws:sqs:us-east-1:000000000000:{url.rpartition('/')[2]}"


def redrive(url: str, count: int) -> str:
    return json.dumps({"deadLetterTargetArn": arn(url), "maxReceiveCount": count})


def bodies(sqs: Sqs, url: str, **members: object) -> list[str]:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **members)
    return [one["Body"] for one in found.get("Messages", [])]


def test_groups_keep_their_order_and_are_locked(platform: Platform, sqs: Sqs) -> None:
    url = make(platform, fifo=True, ContentBasedDeduplication="true")
    sequences = [
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body[0])["SequenceNumber"]
        for body in ("a1", "a2", "b1")
    ]
    assert sequences == sorted(sequences)
    taken = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert [one["Body"] for one in taken] == ["a1"]
    assert taken[0]["Attributes"]["MessageGroupId"] == "a"
    assert taken[0]["Attributes"]["SequenceNumber"] == sequences[0]
    assert len(taken[0]["Attributes"]["MessageDeduplicationId"]) == 64
    assert bodies(sqs, url) == ["b1"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=taken[0]["ReceiptHandle"])
    assert bodies(sqs, url) == ["a2"]


def test_what_a_fifo_queue_needs_is_demanded(platform: Platform, sqs: Sqs) -> None:
    url = make(platform, fifo=True)
    group: dict[str, object] = {"MessageGroupId": "g"}
    cases: list[tuple[dict[str, object], str]] = [
        ({}, "MissingParameter"),
        (group, "InvalidParameterValue"),
        ({**group, "MessageDeduplicationId": "d", "DelaySeconds": 5}, "InvalidParameterValue"),
        ({**group, "MessageDeduplicationId": "ü"}, "InvalidParameterValue"),
    ]
    for members, error in cases:
        with pytest.raises(ClientError) as refused:
            sqs.send_message(QueueUrl=url, MessageBody="x", **members)
        assert refused.value.response["Error"]["Code"] == error
    for name, attributes in [("plain", {"FifoQueue": "true"}), ("x.fifo", {})]:
        with pytest.raises(ClientError):
            sqs.create_queue(QueueName=name, Attributes=attributes)


def test_throughput_by_group_needs_deduplication_by_group(platform: Platform, sqs: Sqs) -> None:
    by_group = {"FifoThroughputLimit": "perMessageGroupId"}
    url = make(platform, fifo=True, DeduplicationScope="messageGroup", **by_group)
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["FifoThroughputLimit"] == "perMessageGroupId"
    with pytest.raises(ClientError):
        make(platform, fifo=True, **by_group)


def test_a_receive_is_repeated_by_its_attempt_id(platform: Platform, sqs: Sqs) -> None:
    url = make(platform, fifo=True, ContentBasedDeduplication="true")
    sqs.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g")
    wanted = {"QueueUrl": url, "ReceiveRequestAttemptId": "once"}
    first, again = (sqs.receive_message(**wanted)["Messages"] for _ in range(2))
    assert first == again


def test_a_dead_letter_queue_gets_what_is_received_too_often(platform: Platform, sqs: Sqs) -> None:
    dead = make(platform)
    url = make(platform, VisibilityTimeout="0", RedrivePolicy=redrive(dead, 2))
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    assert [bodies(sqs, url) for _ in range(3)] == [["poison"], ["poison"], []]
    (found,) = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
    assert found["Attributes"]["DeadLetterQueueSourceArn"] == arn(url)
    sqs.change_message_visibility(
        QueueUrl=dead, ReceiptHandle=found["ReceiptHandle"], VisibilityTimeout=0
    )
    started = sqs.start_message_move_task(SourceArn=arn(dead))
    assert started["TaskHandle"]
    assert bodies(sqs, url, WaitTimeSeconds=10) == ["poison"]
    (task,) = sqs.list_message_move_tasks(SourceArn=arn(dead))["Results"]
    assert task["ApproximateNumberOfMessagesMoved"] == 1
    assert task["Status"] in {"RUNNING", "COMPLETED"}


def test_a_move_is_refused_where_it_makes_no_sense(platform: Platform, sqs: Sqs) -> None:
    url = make(platform)
    with pytest.raises(ClientError) as refused:
        sqs.start_message_move_task(SourceArn=arn(url))
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.start_message_move_task(SourceArn=arn("none"))
    with pytest.raises(ClientError):
        sqs.cancel_message_move_task(TaskHandle="nonsense")


def test_a_dead_letter_queue_says_whose_it_is(platform: Platform, sqs: Sqs) -> None:
    dead = make(platform, RedriveAllowPolicy='{"redrivePermission": "denyAll"}')
    url, other = make(platform), make(platform)

    def name_it(one: str, target: str = dead) -> None:
        attributes = {"RedrivePolicy": redrive(target, 1)}
        sqs.set_queue_attributes(QueueUrl=one, Attributes=attributes)

    with pytest.raises(ClientError):
        name_it(url)
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [arn(url)]}
    attributes = {"RedriveAllowPolicy": json.dumps(allowed)}
    sqs.set_queue_attributes(QueueUrl=dead, Attributes=attributes)
    name_it(url)
    with pytest.raises(ClientError):
        name_it(other)
    with pytest.raises(ClientError, match="does not exist"):
        name_it(url, "http://x/0/none")
    with pytest.raises(ClientError, match="same type"):
        name_it(url, make(platform, fifo=True))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == []
