"""Function URLs through the server: found by path and by host, opened by their AuthType."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mayfly.cli.signer import Key
from mayfly.model.errors import ShuttingDown, TooManyRequests
from mayfly.model.function import UrlAuth
from mayfly.model.invocation import ErrorKind
from tests.support.serving import KEY, Served, outcome, serving, url


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, urls=[url()]) as running:
        yield running


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, urls=[url("u2", UrlAuth.AWS_IAM)]) as running:
        yield running


def test_a_function_url_calls_the_function_and_names_the_call(served: Served) -> None:
    answer = served.plain("POST", "/lambda-url/u1/a%20b/../c?x=1&x=2", b"hi")
    (call,) = served.engine.invocations
    event = answer.document
    assert event["rawPath"] == "/a%20b/../c"
    assert event["queryStringParameters"] == {"x": "1,2"}
    assert answer.headers["x-amzn-requestid"] == call.request_id
    assert call.function.name == "echo"
    assert event["requestContext"]["requestId"] == call.request_id  # type: ignore[index]  # JSON


def test_a_function_url_is_reached_by_its_host_name(served: Served) -> None:
    host = f"u1.lambda-url.us-east-1.localhost:{served.port}"
    path = "/2015-03-31/functions/echo/invocations"
    answer = served.plain("POST", path, b"", headers={"host": host})
    assert answer.document["rawPath"] == path


@pytest.mark.parametrize("target", ["/lambda-url/u1", "/lambda-url/u1/", "/lambda-url/u1?a=1"])
def test_a_function_url_without_a_path_has_the_root_path(served: Served, target: str) -> None:
    assert served.plain("GET", target).document["rawPath"] == "/"


def test_a_failed_function_is_a_502(served: Served) -> None:
    served.engine.answer = lambda _: outcome(b'{"errorMessage":"x"}', error=ErrorKind.UNHANDLED)
    answer = served.plain("GET", "/lambda-url/u1/")
    assert (answer.status, answer.body) == (502, b"Internal Server Error")


def test_a_throttled_function_is_a_429(served: Served) -> None:
    served.engine.answer = lambda _: TooManyRequests("busy")
    answer = served.plain("GET", "/lambda-url/u1/")
    assert answer.status == 429
    assert answer.document["message"] == "Rate Exceeded."


def test_a_platform_that_stops_is_a_503(served: Served) -> None:
    served.engine.answer = lambda _: ShuttingDown("the platform is stopping")
    assert served.plain("GET", "/lambda-url/u1/").status == 503


def test_an_unusable_answer_is_explained_in_the_function_s_log(served: Served) -> None:
    served.engine.answer = lambda _: outcome(b'{"statusCode":200,"body":{"a":1}}')
    assert served.plain("GET", "/lambda-url/u1/").status == 502
    assert "json.dumps" in served.logs.texts()[0]


def test_an_error_nobody_foresaw_is_a_500_that_tells_no_secrets(served: Served) -> None:
    served.engine.answer = lambda _: ZeroDivisionError("secret detail")
    answer = served.plain("GET", "/lambda-url/u1/")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b"log" in answer.body
    assert served.plain("GET", "/_mayfly/health").status == 200


def test_an_iam_url_refuses_an_unsigned_request(guarded: Served) -> None:
    answer = guarded.plain("GET", "/lambda-url/u2/")
    assert (answer.status, answer.body) == (403, b'{"Message":"Forbidden"}')
    assert guarded.engine.invocations == []


@pytest.mark.parametrize(
    ("key", "service"),
    [(Key(KEY.access_key_id, "wrong"), "lambda"), (Key("AKIAOTHER", "x"), "lambda"), (KEY, "s3")],
)
def test_an_iam_url_refuses_a_wrong_signature(guarded: Served, key: Key, service: str) -> None:
    target = "/lambda-url/u2/x?a=1"
    headers = guarded.sign("POST", target, b"body", service=service, key=key)
    answer = guarded.plain("POST", target, b"body", headers)
    assert (answer.status, answer.body) == (403, b'{"Message":"Forbidden"}')


def test_an_iam_url_takes_a_signed_request_and_names_the_caller(guarded: Served) -> None:
    answer = guarded.signed("POST", "/lambda-url/u2/x?a=1", b"body")
    assert answer.status == 200
    context = answer.document["requestContext"]
    assert isinstance(context, dict)
    assert context["authorizer"]["iam"]["accessKey"] == KEY.access_key_id


def test_an_iam_url_refuses_a_body_that_was_not_signed(guarded: Served) -> None:
    headers = guarded.sign("POST", "/lambda-url/u2/", b"body")
    assert guarded.plain("POST", "/lambda-url/u2/", b"evil", headers).status == 403


def test_a_preflight_needs_no_signature(tmp_path: Path) -> None:
    guarded_url = url("u2", UrlAuth.AWS_IAM, cors={"AllowOrigins": ["*"]})
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}
    with serving(tmp_path, urls=[guarded_url]) as served:
        answer = served.plain("OPTIONS", "/lambda-url/u2/", headers=headers)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert served.engine.invocations == []
