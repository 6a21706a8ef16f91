"""Function URLs: made, read, changed and removed by boto3, called by any HTTP client."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.functions import Functions
from tests.support.platform import HttpAnswer, fetch

MIRROR = """
    def handler(event, context):
        return event
"""


@pytest.fixture
def url(functions: Functions) -> Iterator[str]:
    """The open URL of a function that answers with the event it got."""
    name = functions.make(MIRROR)
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    yield made["FunctionUrl"]
    functions.client.delete_function_url_config(FunctionName=name)


def _event(answer: HttpAnswer) -> dict[str, object]:
    assert answer.status == 200, answer.body
    event: dict[str, object] = json.loads(answer.body)
    return event


def test_a_url_is_made_read_changed_listed_and_removed(functions: Functions) -> None:
    name = functions.make()
    client = functions.client
    made = client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["FunctionUrl"].startswith("http://")
    assert made["FunctionUrl"].endswith("/")
    assert made["FunctionArn"].endswith(f":function:{name}")
    read = client.get_function_url_config(FunctionName=name)
    assert (read["FunctionUrl"], read["AuthType"]) == (made["FunctionUrl"], "NONE")
    changed = client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert changed["AuthType"] == "AWS_IAM"
    listed = client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert [one["AuthType"] for one in listed] == ["AWS_IAM"]
    client.delete_function_url_config(FunctionName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_url_config(FunctionName=name)


def test_a_second_url_is_a_conflict(functions: Functions) -> None:
    name = functions.make()
    functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    with pytest.raises(functions.client.exceptions.ResourceConflictException):
        functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")


def test_a_request_becomes_an_event_of_format_2(url: str) -> None:
    answer = fetch(
        url + "a/b?x=1&x=2&y=%20z",
        data=b'{"k": 1}',
        method="POST",
        headers={"Content-Type": "application/json", "X-Mine": "yes", "Cookie": "a=1; b=2"},
    )
    event = _event(answer)
    assert event["version"] == "2.0"
    assert event["routeKey"] == "$default"
    assert event["rawPath"] == "/a/b"
    assert event["rawQueryString"] == "x=1&x=2&y=%20z"
    assert event["queryStringParameters"] == {"x": "1,2", "y": " z"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["body"] == '{"k": 1}'
    assert event["isBase64Encoded"] is False
    headers = event["headers"]
    assert isinstance(headers, dict)
    assert headers["x-mine"] == "yes"
    context = event["requestContext"]
    assert isinstance(context, dict)
    assert context["http"]["method"] == "POST"
    assert context["http"]["path"] == "/a/b"
    assert context["http"]["sourceIp"] == "127.0.0.1"


def test_a_binary_body_travels_in_base64(url: str) -> None:
    body = bytes(range(256))
    answer = fetch(
        url, data=body, method="POST", headers={"Content-Type": "application/octet-stream"}
    )
    event = _event(answer)
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(str(event["body"])) == body


def test_an_answer_with_a_status_is_an_http_response(functions: Functions) -> None:
    source = """
        import base64
        def handler(event, context):
            return {
                "statusCode": 418,
                "headers": {"Content-Type": "image/png", "X-Mine": "yes"},
                "cookies": ["a=1; Path=/"],
                "isBase64Encoded": True,
                "body": base64.b64encode(b"\\x89PNG").decode(),
            }
    """
    name = functions.make(source)
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    answer = fetch(made["FunctionUrl"])
    headers = {key.lower(): value for key, value in answer.headers.items()}
    assert answer.status == 418
    assert answer.body == b"\x89PNG"
    assert headers["content-type"] == "image/png"
    assert headers["x-mine"] == "yes"
    assert headers["set-cookie"] == "a=1; Path=/"


def test_an_answer_without_a_status_is_json(functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    return {'plain': True}\n")
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    answer = fetch(made["FunctionUrl"])
    headers = {key.lower(): value for key, value in answer.headers.items()}
    assert (answer.status, json.loads(answer.body)) == (200, {"plain": True})
    assert headers["content-type"] == "application/json"


def test_a_failing_function_is_a_502_that_tells_nothing(functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    raise ValueError('a secret')\n")
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    answer = fetch(made["FunctionUrl"])
    assert answer.status == 502
    assert b"a secret" not in answer.body


def test_an_iam_url_refuses_an_unsigned_request(functions: Functions) -> None:
    name = functions.make()
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert fetch(made["FunctionUrl"]).status == 403


def test_an_iam_url_takes_a_signed_request(functions: Functions) -> None:
    platform = functions.platform
    name = functions.make()
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    request = AWSRequest(method="GET", url=made["FunctionUrl"])
    key = Credentials(platform.access_key_id, platform.secret_access_key)
    SigV4Auth(key, "lambda", "us-east-1").add_auth(request)
    answer = fetch(made["FunctionUrl"], headers=dict(request.headers.items()))
    assert answer.status == 200


def test_a_removed_url_answers_no_more(functions: Functions) -> None:
    name = functions.make()
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert fetch(made["FunctionUrl"]).status == 200
    functions.client.delete_function_url_config(FunctionName=name)
    assert fetch(made["FunctionUrl"]).status in (403, 404)


def test_a_url_is_also_reached_by_its_host_name(functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    return e['rawPath']\n")
    made = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")
    url_id = urllib.parse.urlsplit(made["FunctionUrl"]).path.strip("/").rpartition("/")[2]
    port = functions.platform.endpoint.rpartition(":")[2]
    host = f"{url_id}.lambda-url.us-east-1.localhost:{port}"
    answer = functions.platform.get("/deep/path", headers={"Host": host})
    assert answer.status == 200
    assert b"/deep/path" in answer.body
