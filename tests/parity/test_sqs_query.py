"""SQS's older protocol, signed as old SDKs sign it, and the AWS command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from mayfly.api.wire.xml_body import parse_xml
from tests.support.platform import REGION, HttpAnswer, Platform, fetch

Ask = Callable[..., Element]
# What a command prints has no type.
Answer = Any


def send(platform: Platform, path: str, method: str = "POST", **members: str) -> HttpAnswer:
    """One signed request of the query protocol."""
    form = urlencode({"Version": "2012-11-05", **members})
    url = platform.endpoint + path + (f"?{form}" if method == "GET" else "")
    data = None if method == "GET" else form.encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = AWSRequest(method, url, data=data, headers=kind if data else {})
    # Botocore has no types.
    credentials: Any = platform.session.get_credentials()
    SigV4Auth(credentials, "sqs", REGION).add_auth(request)
    return fetch(url, data=data, method=method, headers=dict(request.headers.items()))


@pytest.fixture
def ask(platform: Platform) -> Ask:
    """An action's answer."""

    def asked(path: str = "/", method: str = "POST", **members: str) -> Element:
        answer = send(platform, path, method, **members)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "text/xml"
        return parse_xml(answer.body)

    return asked


def test_a_message_goes_its_whole_way(platform: Platform, ask: Ask) -> None:
    name = platform.new_name("q")
    made = ask(
        Action="CreateQueue",
        QueueName=name,
        **{"Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "60"},
    )
    url = made.findtext("CreateQueueResult/QueueUrl")
    assert url == f"{platform.endpoint}/000000000000/{name}"
    sent = ask(
        f"/000000000000/{name}",
        Action="SendMessage",
        MessageBody="a & b",
        **{
            "MessageAttribute.1.Name": "bin",
            "MessageAttribute.1.Value.DataType": "Binary",
            "MessageAttribute.1.Value.BinaryValue": "AP8=",
        },
    )
    came = ask(
        Action="ReceiveMessage",
        QueueUrl=url,
        MaxNumberOfMessages="10",
        **{"AttributeName.1": "All", "MessageAttributeName.1": "All"},
    )
    message = came.find("ReceiveMessageResult/Message")
    assert message is not None
    assert message.findtext("Body") == "a & b"
    assert message.findtext("MessageId") == sent.findtext("SendMessageResult/MessageId")
    assert message.findtext("MD5OfBody") == sent.findtext("SendMessageResult/MD5OfMessageBody")
    assert message.findtext("MessageAttribute/Value/BinaryValue") == "AP8="
    names = {one.findtext("Name") for one in message.findall("Attribute")}
    assert {"SenderId", "SentTimestamp", "ApproximateReceiveCount"} <= names
    handle = message.findtext("ReceiptHandle") or ""
    gone = ask(
        f"/000000000000/{name}",
        Action="DeleteMessageBatch",
        **{
            "DeleteMessageBatchRequestEntry.1.Id": "a",
            "DeleteMessageBatchRequestEntry.1.ReceiptHandle": handle,
            "DeleteMessageBatchRequestEntry.2.Id": "b",
            "DeleteMessageBatchRequestEntry.2.ReceiptHandle": "nonsense",
        },
    )
    assert gone.findtext("DeleteMessageBatchResult/DeleteMessageBatchResultEntry/Id") == "a"
    failed = gone.find("DeleteMessageBatchResult/BatchResultErrorEntry")
    assert failed is not None
    assert failed.findtext("Code") == "ReceiptHandleIsInvalid"
    assert failed.findtext("SenderFault") == "true"


def test_it_may_be_asked_by_get(platform: Platform, ask: Ask) -> None:
    name = platform.new_name("q")
    ask(Action="CreateQueue", QueueName=name)
    found = ask("/", "GET", Action="ListQueues", QueueNamePrefix=name)
    assert found.findtext("ListQueuesResult/QueueUrl") == f"{platform.endpoint}/000000000000/{name}"
    read = ask(
        f"/000000000000/{name}",
        "GET",
        Action="GetQueueAttributes",
        **{"AttributeName.1": "QueueArn"},
    )
    attribute = read.find("GetQueueAttributesResult/Attribute")
    assert attribute is not None
    assert attribute.findtext("Value") == f"arn:aws:sqs:us-east-1:000000000000:{name}"


@pytest.mark.parametrize(
    ("members", "code", "status"),
    [
        (
            {"Action": "GetQueueUrl", "QueueName": "nn"},
            "AWS.SimpleQueueService.NonExistentQueue",
            400,
        ),
        ({"Action": "Nothing"}, "InvalidAction", 404),
        ({"Action": "SendMessage"}, "MissingParameter", 400),
        ({"Action": "ListQueues", "MaxResults": "x"}, "MalformedInput", 400),
        ({"Action": "ListQueues", "MaxResults": "0"}, "InvalidParameterValue", 400),
    ],
)
def test_errors_have_their_older_names(
    platform: Platform, members: dict[str, str], code: str, status: int
) -> None:
    answer = send(platform, "/", **members)
    assert answer.status == status
    root = parse_xml(answer.body)
    assert root.tag == "ErrorResponse"
    assert root.findtext("Error/Code") == code
    assert root.findtext("Error/Type") == "Sender"


def test_the_command_line_sends_and_receives(platform: Platform, tmp_path: Path) -> None:
    environment = platform.environment | {"AWS_PAGER": "", "HOME": str(tmp_path)}
    program = Path(sys.executable).with_name("aws")
    # Version 1 puts a list of hosts of its own above AWS_ENDPOINT_URL for this service.
    endpoint = ["--endpoint-url", platform.endpoint]

    def aws(*arguments: str) -> Answer:
        ended = subprocess.run(
            [sys.executable, program, *endpoint, "sqs", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout else None

    name = platform.new_name("q")
    url = aws("create-queue", "--queue-name", name, "--attributes", "DelaySeconds=0")["QueueUrl"]
    aws("send-message", "--queue-url", url, "--message-body", "hello")
    found = aws("receive-message", "--queue-url", url, "--wait-time-seconds", "5")
    (message,) = found["Messages"]
    assert message["Body"] == "hello"
    aws("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    names = "ApproximateNumberOfMessages"
    read = aws("get-queue-attributes", "--queue-url", url, "--attribute-names", names)
    assert read["Attributes"] == {names: "0"}
    assert aws("receive-message", "--queue-url", url) is None
    aws("delete-queue", "--queue-url", url)
