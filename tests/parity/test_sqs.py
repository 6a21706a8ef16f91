"""SQS with an unmodified boto3 client on a real platform."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.support.platform import Platform

# Botocore's clients have no types.
Sqs = Any
Make = Callable[..., str]
EVERYTHING = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]}


@pytest.fixture
def sqs(platform: Platform) -> BaseClient:
    return platform.client("sqs")


@pytest.fixture
def make(platform: Platform, sqs: Sqs) -> Make:
    """Makes a queue; its URL."""

    def made(*, fifo: bool = False, **attributes: str) -> str:
        name = platform.new_name("q") + (".fifo" if fifo else "")
        if fifo:
            attributes["FifoQueue"] = "true"
        url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    return made


def arn(sqs: Sqs, url: str) -> str:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def counts(sqs: Sqs, url: str) -> tuple[str, ...]:
    names = ["", "NotVisible", "Delayed"]
    wanted = [f"ApproximateNumberOfMessages{one}" for one in names]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
    return tuple(found[one] for one in wanted)


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_a_message_comes_back_as_it_was_sent(sqs: Sqs, make: Make) -> None:
    url = make()
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße"},
        "number": {"DataType": "Number.int", "StringValue": "-12.5"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody='{"a": "ü"}',
        MessageAttributes=attributes,
        MessageSystemAttributes={
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2"}
        },
    )
    # boto3 itself compares MD5OfBody and MD5OfMessageAttributes.
    (found,) = sqs.receive_message(QueueUrl=url, **EVERYTHING)["Messages"]
    assert (found["MessageId"], found["Body"]) == (sent["MessageId"], '{"a": "ü"}')
    assert found["MessageAttributes"] == attributes
    assert found["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert found["Attributes"]["ApproximateReceiveCount"] == "1"
    assert found["Attributes"]["AWSTraceHeader"] == "Root=1-2"
    assert int(found["Attributes"]["SentTimestamp"]) > 1_600_000_000_000
    sqs.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    assert counts(sqs, url) == ("0", "0", "0")


def test_only_the_attributes_that_are_asked_for_come(sqs: Sqs, make: Make) -> None:
    url = make(VisibilityTimeout="0")
    value = {"DataType": "String", "StringValue": "v"}
    names = ["a.b", "a.c", "d"]
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=dict.fromkeys(names, value))

    def seen(*asked: str) -> set[str]:
        (found,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=[*asked])["Messages"]
        assert "Attributes" not in found
        return set(found.get("MessageAttributes", {}))

    assert seen() == set()
    assert seen("d") == {"d"}
    assert seen("a.*") == {"a.b", "a.c"}
    assert seen(".*") == seen("All") == set(names)
    (found,) = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["SenderId"])[
        "Messages"
    ]
    assert found["Attributes"] == {"SenderId": "000000000000"}


def test_batches_succeed_and_fail_entry_by_entry(sqs: Sqs, make: Make) -> None:
    url = make()
    entries: list[dict[str, object]] = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(9)]
    sent = sqs.send_message_batch(
        QueueUrl=url, Entries=[*entries, {"Id": "bad", "MessageBody": "\x00"}]
    )
    assert [one["Id"] for one in sent["Successful"]] == [str(n) for n in range(9)]
    (failed,) = sent["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == (
        "bad",
        "InvalidMessageContents",
        True,
    )
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert {one["Body"] for one in found} == {f"m{n}" for n in range(9)}
    handles = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**one, "VisibilityTimeout": 100} for one in handles]
    )
    assert len(changed["Successful"]) == 9
    gone = sqs.delete_message_batch(
        QueueUrl=url, Entries=[*handles, {"Id": "bad", "ReceiptHandle": "nonsense"}]
    )
    assert len(gone["Successful"]) == 9
    assert gone["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    assert counts(sqs, url) == ("0", "0", "0")


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(n), "MessageBody": "x"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "MessageBody": "x"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "x"}], "InvalidBatchEntryId"),
        ([{"Id": n, "MessageBody": "x" * 600_000} for n in "ab"], "BatchRequestTooLong"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(
    sqs: Sqs, make: Make, entries: list[object], code: str
) -> None:
    url = make()
    with pytest.raises(ClientError) as refused:
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert code_of(refused) == f"AWS.SimpleQueueService.{code}"
    assert isinstance(refused.value, getattr(sqs.exceptions, code))
    assert counts(sqs, url) == ("0", "0", "0")


def test_a_long_poll_returns_as_soon_as_a_message_comes(sqs: Sqs, make: Make) -> None:
    url = make(ReceiveMessageWaitTimeSeconds="20")
    came: list[str] = []
    poll = threading.Thread(
        target=lambda: came.extend(
            one["Body"] for one in sqs.receive_message(QueueUrl=url)["Messages"]
        )
    )
    poll.start()
    sqs.send_message(QueueUrl=url, MessageBody="now")
    poll.join(timeout=10)
    assert came == ["now"]


def test_a_poller_that_went_away_takes_nothing_with_it(platform: Platform, make: Make) -> None:
    url = make()
    other = platform.session.client("sqs", endpoint_url=platform.endpoint)
    config = Config(read_timeout=0.3, retries={"total_max_attempts": 1})
    impatient = platform.session.client("sqs", endpoint_url=platform.endpoint, config=config)
    with pytest.raises(ReadTimeoutError):
        impatient.receive_message(QueueUrl=url, WaitTimeSeconds=20)
    impatient.close()
    other.send_message(QueueUrl=url, MessageBody="for the living")
    found = other.receive_message(QueueUrl=url, WaitTimeSeconds=5)
    assert [one["Body"] for one in found["Messages"]] == ["for the living"]


def test_a_queue_made_again_is_the_same_one_unless_it_is_to_be_another(
    sqs: Sqs, make: Make
) -> None:
    url = make(VisibilityTimeout="7")
    name = url.rpartition("/")[2]
    again = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"})
    assert again["QueueUrl"] == sqs.create_queue(QueueName=name)["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    with pytest.raises(sqs.exceptions.QueueNameExists) as refused:
        sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "8"})
    assert code_of(refused) == "QueueAlreadyExists"


def test_queues_are_listed_by_prefix_and_page(platform: Platform, sqs: Sqs) -> None:
    prefix = platform.new_name("list")
    urls = [sqs.create_queue(QueueName=f"{prefix}-{n}")["QueueUrl"] for n in range(5)]
    assert sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"] == urls
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2}
    )
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=prefix + "none")


def test_attributes_are_set_read_and_checked(sqs: Sqs, make: Make) -> None:
    url = make(DelaySeconds="3")
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"MessageRetentionPeriod": "60", "Policy": '{"Statement": []}'}
    )
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["DelaySeconds"] == "3"
    assert found["MessageRetentionPeriod"] == "60"
    assert found["MaximumMessageSize"] == "1048576"
    assert found["VisibilityTimeout"] == "30"
    assert found["Policy"] == '{"Statement": []}'
    assert "FifoQueue" not in found
    for name, value, error in [
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("DelaySeconds", "x", "InvalidAttributeValue"),
        ("ContentBasedDeduplication", "true", "InvalidAttributeName"),
        ("Colour", "red", "InvalidAttributeName"),
        ("RedrivePolicy", "{}", "InvalidParameterValue"),
    ]:
        with pytest.raises(ClientError) as refused:
            sqs.set_queue_attributes(QueueUrl=url, Attributes={name: value})
        assert code_of(refused) == error
    with pytest.raises(ClientError) as refused:
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Colour"])
    assert code_of(refused) == "InvalidAttributeName"


def test_tags_and_permissions_are_kept(sqs: Sqs, make: Make) -> None:
    url = make()
    sqs.tag_queue(QueueUrl=url, Tags={"a": "1", "b": "2"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
    sqs.add_permission(
        QueueUrl=url, Label="l", AWSAccountIds=["111122223333"], Actions=["SendMessage"]
    )

    def policy() -> str:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        return str(found.get("Attributes", {}).get("Policy", ""))

    (statement,) = json.loads(policy())["Statement"]
    assert (statement["Sid"], statement["Action"]) == ("l", ["SQS:SendMessage"])
    sqs.remove_permission(QueueUrl=url, Label="l")
    assert policy() == ""


def test_a_message_is_refused_for_its_size_and_its_content(sqs: Sqs, make: Make) -> None:
    url = make(MaximumMessageSize="1024")
    sqs.send_message(QueueUrl=url, MessageBody="x" * 1_024)
    cases: list[tuple[dict[str, object], str]] = [
        ({"MessageBody": "x" * 1_025}, "InvalidParameterValue"),
        ({"MessageBody": ""}, "MissingParameter"),
        ({"MessageBody": "\x01"}, "InvalidMessageContents"),
        ({"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
        ({"MessageBody": "x", "MessageDeduplicationId": "d"}, "InvalidParameterValue"),
        (
            {"MessageBody": "x", "MessageAttributes": {"AWS.x": {"DataType": "String"}}},
            "InvalidParameterValue",
        ),
        (
            {
                "MessageBody": "x",
                "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "x"}},
            },
            "InvalidParameterValue",
        ),
    ]
    for members, error in cases:
        with pytest.raises(ClientError) as refused:
            sqs.send_message(QueueUrl=url, **members)
        assert code_of(refused) == error, members
    large = make()
    body = "\U0001f600" * (1_048_576 // 4)
    sqs.send_message(QueueUrl=large, MessageBody=body)
    (found,) = sqs.receive_message(QueueUrl=large)["Messages"]
    assert found["Body"] == body


def test_a_queue_that_is_not_there_is_told_by_its_exception(sqs: Sqs, make: Make) -> None:
    url = make()
    sqs.delete_queue(QueueUrl=url)
    for operation in (sqs.receive_message, sqs.purge_queue, sqs.delete_queue, sqs.list_queue_tags):
        with pytest.raises(sqs.exceptions.QueueDoesNotExist) as refused:
            operation(QueueUrl=url)
        assert code_of(refused) == "AWS.SimpleQueueService.NonExistentQueue"


def test_receipts_are_judged(sqs: Sqs, make: Make) -> None:
    url = make()
    sqs.send_message(QueueUrl=url, MessageBody="x")
    (found,) = sqs.receive_message(QueueUrl=url)["Messages"]
    handle = found["ReceiptHandle"]
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=handle[:-1] + "!", VisibilityTimeout=1
        )
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    with pytest.raises(sqs.exceptions.MessageNotInflight):
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=1)
    for _ in range(2):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)


def test_the_url_may_name_any_host(sqs: Sqs, make: Make) -> None:
    name = make().rpartition("/")[2]
    url = f"https://sqs.eu-west-1.amazonaws.com/111122223333/{name}"
    sqs.send_message(QueueUrl=url, MessageBody="x")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


def test_purging_empties_a_queue(sqs: Sqs, make: Make) -> None:
    url = make()
    sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.send_message(QueueUrl=url, MessageBody="y", DelaySeconds=900)
    assert counts(sqs, url) == ("1", "0", "1")
    sqs.purge_queue(QueueUrl=url)
    assert counts(sqs, url) == ("0", "0", "0")
