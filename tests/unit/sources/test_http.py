"""Function URLs in AWS's words: requests as events of payload format 2.0, outcomes as replies."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.model.errors import InvalidParameter, RequestTooLarge, ShuttingDown, TooManyRequests
from mayfly.model.function import FunctionUrl, UrlAuth
from mayfly.model.invocation import ErrorKind, Outcome
from mayfly.model.url_call import UrlCall, UrlCaller, UrlReply
from mayfly.sources.http import FunctionUrls

NOW_MS = 1_584_039_838_390.5
SOURCE = FunctionUrls()


def call(
    *,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    auth: UrlAuth = UrlAuth.NONE,
    cors: dict[str, object] | None = None,
    caller: UrlCaller | None = None,
) -> UrlCall:
    return UrlCall(
        url=FunctionUrl("echo", "abc123", auth, 0, 0, cors),
        method=method,
        raw_path=path,
        query_string=query,
        protocol="HTTP/1.1",
        headers=headers or {},
        body=body,
        source_ip="127.0.0.1",
        port=9000,
        request_id="e1506fd5-9e7b-434f-bd42-4f8fa224b599",
        now_ms=NOW_MS,
        caller=caller,
    )


def event(one: UrlCall) -> dict[str, object]:
    found: dict[str, object] = json.loads(SOURCE.event(one))
    return found


def reply(answer: object, one: UrlCall | None = None) -> UrlReply:
    payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return SOURCE.reply(one or call(), Outcome(payload, None, "", "$LATEST", b"", 1.0))


def named(found: UrlReply) -> dict[bytes, bytes]:
    return dict(found.headers)


def test_an_event_has_every_member_of_payload_format_2() -> None:
    found = event(
        call(
            path="/my/path",
            query="parameter1=value1&parameter1=value2&parameter2=value",
            headers={
                "host": "h",
                "header2": "value1,value2",
                "cookie": "cookie1=1; cookie2=2",
                "user-agent": "agent",
                "content-type": "text/plain",
            },
            body=b"Hello from client!",
        )
    )
    assert found == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1=1", "cookie2=2"],
        "headers": {
            "host": "h",
            "header2": "value1,value2",
            "user-agent": "agent",
            "content-type": "text/plain",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
            "x-forwarded-port": "9000",
            "x-amzn-trace-id": "Root=1-5e6a879e-e1506fd59e7b434fbd424f8f",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abc123",
            "domainName": "abc123.lambda-url.us-east-1.localhost",
            "domainPrefix": "abc123",
            "http": {
                "method": "POST",
                "path": "/my/path",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "agent",
            },
            "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_584_039_838_390,
        },
        "body": "Hello from client!",
        "isBase64Encoded": False,
    }


def test_a_request_without_body_query_or_cookies_has_no_members_for_them() -> None:
    found = event(call(method="GET"))
    assert not {"body", "queryStringParameters", "cookies"} & set(found)
    assert found["isBase64Encoded"] is False
    assert found["rawQueryString"] == ""


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "TEXT/HTML; charset=utf-8",
        "application/json",
        "application/json;charset=UTF-8",
        "application/xml",
        "application/javascript",
        "application/problem+json",
    ],
)
def test_a_body_of_a_text_type_is_text(kind: str) -> None:
    found = event(call(headers={"content-type": kind}, body="grüße".encode()))
    assert (found["body"], found["isBase64Encoded"]) == ("grüße", False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/octet-stream"},
        {"content-type": "image/jpeg"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain", "content-encoding": "gzip"},
    ],
)
def test_any_other_body_is_base64(headers: dict[str, str]) -> None:
    found = event(call(headers=headers, body=b"a=1"))
    assert (found["body"], found["isBase64Encoded"]) == ("YT0x", True)


def test_a_text_body_that_is_no_utf8_is_base64() -> None:
    found = event(call(headers={"content-type": "text/plain"}, body=b"\xff\xfe"))
    assert (found["body"], found["isBase64Encoded"]) == ("//4=", True)


@given(body=st.binary(max_size=200), kind=st.sampled_from(["text/plain", "image/png", ""]))
def test_no_body_is_changed_on_its_way_into_the_event(body: bytes, kind: str) -> None:
    found = event(call(headers={"content-type": kind}, body=body))
    text = str(found.get("body", ""))
    assert (base64.b64decode(text) if found["isBase64Encoded"] else text.encode()) == body


@given(query=st.text(st.characters(codec="ascii"), max_size=50))
def test_any_query_string_is_kept_as_it_came(query: str) -> None:
    assert event(call(query=query))["rawQueryString"] == query


def test_a_caller_is_named_in_the_event_and_its_signature_is_not() -> None:
    caller = UrlCaller("AKIA1", "111122223333", "arn:aws:iam::111122223333:root")
    found = event(
        call(auth=UrlAuth.AWS_IAM, caller=caller, headers={"authorization": "AWS4-HMAC-SHA256 x"})
    )
    context = found["requestContext"]
    assert isinstance(context, dict)
    assert context["accountId"] == "111122223333"
    assert context["authorizer"]["iam"]["accessKey"] == "AKIA1"
    assert context["authorizer"]["iam"]["userArn"] == "arn:aws:iam::111122223333:root"
    assert "authorization" not in json.dumps(found["headers"])


def test_an_open_url_passes_the_authorization_header_on() -> None:
    found = event(call(headers={"authorization": "Bearer t"}))
    assert found["headers"]["authorization"] == "Bearer t"  # type: ignore[index]  # JSON


def test_a_proxy_s_forwarded_headers_are_kept_and_our_peer_is_added() -> None:
    found = event(call(headers={"x-forwarded-for": "10.0.0.9", "x-forwarded-proto": "https"}))
    headers = found["headers"]
    assert isinstance(headers, dict)
    assert headers["x-forwarded-for"] == "10.0.0.9, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"


def test_an_explicit_reply_gives_status_headers_cookies_and_body() -> None:
    found = reply(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/html", "X-Number": 7, "X-Yes": True, "X-None": None},
            "body": "hi",
            "cookies": ["a=1; Path=/", "b=2"],
            "isBase64Encoded": False,
        }
    )
    assert (found.status, found.body, found.problem) == (201, b"hi", "")
    assert found.headers == [
        (b"content-type", b"text/html"),
        (b"x-number", b"7"),
        (b"x-yes", b"true"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"b=2"),
    ]


def test_a_base64_body_is_decoded() -> None:
    found = reply({"statusCode": "200", "body": "/9j/", "isBase64Encoded": True})
    assert (found.status, found.body) == (200, b"\xff\xd8\xff")


@pytest.mark.parametrize(
    "answer", ["Hello, world!", {"message": "x"}, [1, 2], 7, None, {"body": "no status"}]
)
def test_an_answer_without_status_code_is_sent_as_json(answer: object) -> None:
    found = reply(answer)
    assert found.status == 200
    assert found.headers == [(b"content-type", b"application/json")]
    assert json.loads(found.body) == answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"statusCode": "many"}, "statusCode"),
        ({"statusCode": True}, "statusCode"),
        ({"statusCode": 99}, "200 to 599"),
        ({"statusCode": 101}, "200 to 599"),
        ({"statusCode": 1000}, "200 to 599"),
        ({"statusCode": 200, "body": {"a": 1}}, "json.dumps"),
        ({"statusCode": 200, "body": "%%%x", "isBase64Encoded": True}, "base64"),
        ({"statusCode": 200, "headers": ["a"]}, "headers must be an object"),
        ({"statusCode": 200, "headers": {"a": {"b": 1}}}, "header a"),
        ({"statusCode": 200, "headers": {"a": "x\r\nset-cookie: y"}}, "line break"),
        ({"statusCode": 200, "headers": {"a b": "x"}}, "name"),
        ({"statusCode": 200, "headers": {"a\r\nb": "x"}}, "name"),
        ({"statusCode": 200, "headers": {"a": "€"}}, "Latin-1"),
        ({"statusCode": 200, "cookies": "a=1"}, "cookies"),
        ({"statusCode": 200, "cookies": ["a\nb"]}, "set-cookie"),
    ],
)
def test_an_unusable_answer_is_a_502_and_the_log_is_told_why(answer: object, told: str) -> None:
    found = reply(answer)
    assert (found.status, found.body) == (502, b"Internal Server Error")
    assert told in found.problem


def test_headers_of_the_connection_are_not_the_function_s_to_set() -> None:
    found = reply(
        {
            "statusCode": 200,
            "headers": {
                "Content-Length": "999",
                "Transfer-Encoding": "chunked",
                "Connection": "close",
                "Date": "never",
                "X-Amzn-RequestId": "forged",
            },
        }
    )
    assert named(found) == {
        b"x-amzn-remapped-connection": b"close",
        b"x-amzn-remapped-date": b"never",
        b"content-type": b"application/json",
    }


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_body_has_none(status: int) -> None:
    assert reply({"statusCode": status, "body": "x"}).body == b""


def test_a_failed_function_is_a_502_that_tells_nothing() -> None:
    failed = Outcome(b'{"errorMessage":"secret"}', ErrorKind.UNHANDLED, "E", "1", b"", 1.0)
    found = SOURCE.reply(call(), failed)
    assert (found.status, found.body) == (502, b"Internal Server Error")


@given(st.binary(max_size=60))
def test_no_payload_makes_the_translation_fail(payload: bytes) -> None:
    assert reply(payload).status in range(200, 600)


@given(
    st.dictionaries(
        st.sampled_from(["statusCode", "headers", "body", "cookies", "isBase64Encoded"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
def test_no_answer_makes_a_reply_that_breaks_http(answer: dict[str, object]) -> None:
    found = reply(answer)
    assert found.status in range(200, 600)
    for name, value in found.headers:
        assert name
        assert not set(b"\r\n\0:") & set(name)
        assert not set(b"\r\n\0") & set(value)


@pytest.mark.parametrize(
    ("error", "status", "document"),
    [
        (
            TooManyRequests("busy", reason="ReservedFunctionConcurrentInvocationLimitExceeded"),
            429,
            {
                "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
                "Type": "User",
                "message": "Rate Exceeded.",
            },
        ),
        (RequestTooLarge("too large"), 413, {"Message": "too large"}),
        (InvalidParameter("no"), 400, {"Message": "no"}),
        (ShuttingDown("bye"), 503, {"Message": "Service Unavailable"}),
    ],
)
def test_an_error_before_the_call_has_aws_s_form(
    error: TooManyRequests, status: int, document: object
) -> None:
    found = SOURCE.refusal(call(), error)
    assert found.status == status
    assert json.loads(found.body) == document


CORS: dict[str, object] = {
    "AllowOrigins": ["https://a.example"],
    "AllowMethods": ["GET", "POST"],
    "AllowHeaders": ["x-one", "x-two"],
    "ExposeHeaders": ["x-three"],
    "AllowCredentials": True,
    "MaxAge": 60,
}
PREFLIGHT = {"origin": "https://a.example", "access-control-request-method": "POST"}


def test_a_preflight_is_answered_from_the_url_s_configuration() -> None:
    found = SOURCE.preflight(call(method="OPTIONS", headers=PREFLIGHT, cors=CORS))
    assert found is not None
    assert (found.status, found.body) == (200, b"")
    assert named(found) == {
        b"access-control-allow-origin": b"https://a.example",
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-methods": b"GET,POST",
        b"access-control-allow-headers": b"x-one,x-two",
        b"access-control-max-age": b"60",
        b"vary": b"Origin",
    }


def test_a_preflight_from_elsewhere_is_allowed_nothing() -> None:
    headers = {**PREFLIGHT, "origin": "https://b.example"}
    found = SOURCE.preflight(call(method="OPTIONS", headers=headers, cors=CORS))
    assert found is not None
    assert found.headers == [(b"vary", b"Origin")]


def test_without_a_configuration_the_function_answers_options_itself() -> None:
    assert SOURCE.preflight(call(method="OPTIONS", headers=PREFLIGHT)) is None
    assert SOURCE.preflight(call(method="OPTIONS", cors=CORS)) is None
    assert SOURCE.preflight(call(method="POST", headers=PREFLIGHT, cors=CORS)) is None


def test_the_configuration_overrides_the_function_s_own_cors_headers() -> None:
    answer = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*", "x-a": "1"}}
    found = reply(answer, call(headers={"origin": "https://a.example"}, cors=CORS))
    assert named(found) == {
        b"x-a": b"1",
        b"content-type": b"application/json",
        b"access-control-allow-origin": b"https://a.example",
        b"access-control-allow-credentials": b"true",
        b"access-control-expose-headers": b"x-three",
        b"vary": b"Origin",
    }


def test_errors_carry_the_cors_headers_too_so_that_a_page_can_read_them() -> None:
    cors: dict[str, object] = {"AllowOrigins": ["*"]}
    one = call(headers={"origin": "https://a.example"}, cors=cors)
    assert named(SOURCE.refusal(one, TooManyRequests("busy")))[b"access-control-allow-origin"] == (
        b"https://a.example"
    )
