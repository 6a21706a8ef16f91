"""Asynchronous calls with boto3: destinations, dead letters, and `mayfly events`.

Nothing here waits by sleeping: a queue's long poll tells when a record has come, and what is in the
same transaction is there with it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import Functions, refusal
from tests.support.platform import Platform, zipped

FAILS_AT_TEN = """
    def handler(event, context):
        if event["n"] >= 10:
            raise KeyError("over ten")
        return {"twice": 2 * event["n"]}
"""
FAILS_ALWAYS = "def handler(event, context):\n    raise RuntimeError('never')\n"
BACK = "def handler(event, context):\n    return event\n"
PREFIX = "arn:aws:sqs:us-east-1:000000000000:"


class Queue:
    """A queue of its own."""

    def __init__(self, platform: Platform) -> None:
        self.name = platform.new_name("q")
        self.arn = f"{PREFIX}{self.name}"
        self._client = platform.client("sqs")
        self.url = self._client.create_queue(QueueName=self.name)["QueueUrl"]

    def next(self) -> dict[str, Any]:
        """The next message, deleted; waits for it."""
        found = self._client.receive_message(
            QueueUrl=self.url, WaitTimeSeconds=20, MessageAttributeNames=["All"]
        ).get("Messages")
        assert found, f"nothing came into {self.name}"
        (message,) = found
        self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        assert isinstance(message, dict)
        return message

    def next_record(self) -> dict[str, Any]:
        """The next message's document."""
        record: dict[str, Any] = json.loads(self.next()["Body"])
        return record


class Shell:
    """Runs `mayfly events` on one platform."""

    def __init__(self, platform: Platform) -> None:
        self._environment = platform.environment

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mayfly.cli", "events", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stderr if code else done.stdout


@pytest.fixture
def queue(platform: Platform) -> Iterator[Queue]:
    made = Queue(platform)
    yield made
    platform.client("sqs").delete_queue(QueueUrl=made.url)


@pytest.fixture
def shell(platform: Platform) -> Shell:
    return Shell(platform)


def put(functions: Functions, name: str, success: str = "", failure: str = "") -> None:
    functions.client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        DestinationConfig={
            "OnSuccess": {"Destination": success},
            "OnFailure": {"Destination": failure},
        },
    )


def later(functions: Functions, name: str, event: object) -> str:
    """Call asynchronously; the request's id."""
    return functions.call(name, event, InvocationType="Event").request_id


def test_a_queue_gets_the_record_of_an_answer_and_of_a_failure(
    functions: Functions, queue: Queue
) -> None:
    name = functions.make(FAILS_AT_TEN)
    put(functions, name, queue.arn, queue.arn)
    request_id = later(functions, name, {"n": 3})
    record = queue.next_record()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("timestamp"))
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST"
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": arn,
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 3},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"twice": 6},
    }
    later(functions, name, {"n": 10})
    failed = queue.next_record()
    assert failed["requestContext"]["condition"] == "RetriesExhausted"
    assert failed["responseContext"]["functionError"] == "Unhandled"
    assert failed["responsePayload"]["errorType"] == "KeyError"


def test_a_function_gets_the_record_of_anothers_answer(functions: Functions, queue: Queue) -> None:
    first, second = functions.make(FAILS_AT_TEN), functions.make(BACK)
    second_arn = functions.client.get_function(FunctionName=second)["Configuration"]["FunctionArn"]
    put(functions, first, second_arn)
    put(functions, second, queue.arn)
    request_id = later(functions, first, {"n": 4})
    record = queue.next_record()
    inner = record["responsePayload"]
    assert inner["requestContext"]["requestId"] == request_id
    assert inner["responsePayload"] == {"twice": 8}


def test_a_failure_reaches_a_bucket_and_the_dead_letters_together(
    functions: Functions, queue: Queue, platform: Platform
) -> None:
    bucket = platform.new_name("failures")
    s3 = platform.client("s3")
    s3.create_bucket(Bucket=bucket)
    name = functions.make(FAILS_AT_TEN, DeadLetterConfig={"TargetArn": queue.arn})
    put(functions, name, failure=f"arn:aws:s3:::{bucket}")
    request_id = later(functions, name, {"n": 11})
    letter = queue.next()
    assert json.loads(letter["Body"]) == {"n": 11}
    attributes = {key: one["StringValue"] for key, one in letter["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": request_id,
        "ErrorCode": "200",
        "ErrorMessage": "'over ten'",
    }
    (found,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert re.fullmatch(
        rf"aws/lambda/async/{name}/\d{{4}}/\d\d/\d\d/"
        rf"\d{{4}}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{{36}}",
        found["Key"],
    )
    record = json.loads(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
    assert record["requestPayload"] == {"n": 11}


def test_a_stopped_functions_events_are_told_and_not_called(
    functions: Functions, queue: Queue
) -> None:
    name = functions.make(BACK)
    put(functions, name, queue.arn, queue.arn)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    later(functions, name, {"n": 1})
    record = queue.next_record()
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0


def test_what_is_set_goes_out_as_it_came_in(functions: Functions, queue: Queue) -> None:
    name = functions.make(BACK)
    put(functions, name, queue.arn)
    client = functions.client
    got = client.get_function_event_invoke_config(FunctionName=name)
    assert got["DestinationConfig"]["OnSuccess"] == {"Destination": queue.arn}
    assert got["LastModified"].tzinfo is not None
    listed = client.list_function_event_invoke_configs(FunctionName=name)
    assert len(listed["FunctionEventInvokeConfigs"]) == 1
    client.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(ClientError) as refused:
        client.get_function_event_invoke_config(FunctionName=name)
    assert refusal(refused.value)[:2] == ("ResourceNotFoundException", 404)
    with pytest.raises(ClientError) as refused:
        put(functions, name, failure="arn:aws:sns:us-east-1:000000000000:topic")
    assert "SNS topics" in refusal(refused.value)[2]


def test_failed_events_are_seen_replayed_and_removed(
    functions: Functions, queue: Queue, shell: Shell
) -> None:
    name = functions.make(FAILS_AT_TEN)
    put(functions, name, queue.arn, queue.arn)
    ids = [later(functions, name, {"n": number}) for number in (10, 11, 12)]
    for _ in ids:
        queue.next_record()
    listed = shell("ls", name, "--failed")
    assert all(one in listed for one in ids)
    assert "RetriesExhausted KeyError" in listed
    told = json.loads(shell("show", ids[0], "--json"))
    assert (told["payload"], told["attempts"], told["source"]) == ('{"n": 10}', 1, "invoke")
    assert "KeyError" in shell("show", ids[0])
    functions.client.update_function_code(
        FunctionName=name, ZipFile=_zipped("def handler(event, context):\n    return 'now'\n")
    )
    assert shell("replay", ids[0]) == "1 replayed\n"
    again = queue.next_record()
    assert again["requestContext"]["requestId"] == ids[0]
    assert (again["requestContext"]["condition"], again["responsePayload"]) == ("Success", "now")
    assert "is not kept" in shell("replay", ids[0], code=1)
    assert shell("rm", ids[1]) == "1 removed\n"
    assert shell("redrive", name) == "1 replayed\n"
    assert queue.next_record()["requestContext"]["requestId"] == ids[2]
    assert json.loads(shell("ls", name, "--json"))["events"] == []


def test_dead_letters_are_driven_back_to_their_function(
    functions: Functions, queue: Queue, shell: Shell, platform: Platform
) -> None:
    letters = Queue(platform)
    name = functions.make(FAILS_ALWAYS, DeadLetterConfig={"TargetArn": letters.arn})
    put(functions, name, queue.arn, queue.arn)
    for number in range(12):
        later(functions, name, {"n": number})
    for _ in range(12):
        queue.next_record()
    platform.client("sqs").send_message(QueueUrl=letters.url, MessageBody="no JSON")
    functions.client.update_function_code(FunctionName=name, ZipFile=_zipped(BACK))
    assert "1 stay in" in shell("redrive", name, "--queue", letters.name, code=1)
    found = [queue.next_record() for _ in range(12)]
    assert sorted(one["responsePayload"]["n"] for one in found) == list(range(12))
    assert letters.next()["Body"] == "no JSON"
    assert shell("rm", "--all", "--function", name) == "12 removed\n"


def test_an_answer_whose_destination_is_gone_is_kept_and_told(
    functions: Functions, shell: Shell, queue: Queue
) -> None:
    name = functions.make(BACK)
    put(functions, name, f"{PREFIX}nowhere")
    request_id = later(functions, name, {"n": 1})
    # Calls of one function begin in order: when the second one is told, the first was judged.
    other = functions.make(BACK)
    put(functions, other, queue.arn)
    later(functions, other, {})
    queue.next_record()
    listed: list[dict[str, Any]] = []
    for _ in range(200):
        listed = json.loads(shell("ls", name, "--failed", "--json"))["events"]
        if listed:
            break
    assert [one["id"] for one in listed] == [request_id]
    assert f"{PREFIX}nowhere" in listed[0]["error"]
    shell("rm", request_id)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "nothing"), 'no event "nothing" is kept'),
        (("replay",), "name events by their ids"),
        (("redrive", "f", "--queue", "nowhere"), ""),
        (("rm", "nothing"), "nothing is not kept"),
    ],
)
def test_what_cannot_be_done_is_said(shell: Shell, words: tuple[str, ...], said: str) -> None:
    assert said in shell(*words, code=2 if words == ("replay",) else 1)


def _zipped(source: str) -> bytes:
    return zipped({"app.py": source})
