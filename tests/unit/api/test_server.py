"""The endpoint: who is let in, what is read, and what every answer has."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import mayfly
from mayfly.api.asgi import Message
from mayfly.api.auth import presign
from mayfly.api.dispatch import Services
from mayfly.api.platform import ServerBounds
from mayfly.api.server import create_app
from mayfly.cli.signer import Key
from mayfly.model.errors import TooManyRequests
from tests.support.serving import KEY, NOW_MS, WAIT_S, Served, serving, url

BOUNDS = ServerBounds(
    payload_bytes_max=100_000,
    code_bytes_max=3_000_000,
    deploy_bytes_max=4_000_000,
    discard_bytes_max=500_000,
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, urls=[url()], bounds=BOUNDS) as running:
        yield running


# Open routes


def test_the_root_says_what_this_is_and_what_to_type(served: Served) -> None:
    answer = served.plain("GET", "/")
    assert answer.status == 200
    assert b"mayfly env" in answer.body
    assert answer.headers["content-type"].startswith("text/plain")


def test_health_names_version_and_data_folder(served: Served, tmp_path: Path) -> None:
    answer = served.plain("GET", "/_mayfly/health")
    assert answer.document == {
        "status": "ok",
        "version": mayfly.__version__,
        "data": str(tmp_path),
    }


def test_metrics_are_in_prometheus_s_form(served: Served) -> None:
    answer = served.plain("GET", "/metrics")
    assert answer.status == 200
    assert b"# HELP mayfly_isolates" in answer.body


@pytest.mark.parametrize("path", ["/", "/metrics", "/_mayfly/health", "/lambda-url/u1/"])
def test_an_open_route_refuses_a_host_that_is_not_ours(served: Served, path: str) -> None:
    answer = served.plain("GET", path, headers={"host": f"evil.example:{served.port}"})
    assert answer.status == 403
    assert b"evil.example" in answer.body
    assert b"localhost" in answer.body


def test_a_signed_request_may_come_under_any_name(served: Served) -> None:
    headers = served.sign("GET", "/_mayfly/v1/ps", service="mayfly", headers={"host": "box.lan"})
    assert served.plain("GET", "/_mayfly/v1/ps", headers=headers).status == 200


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/_mayfly/", 404),
        ("GET", "/_mayfly/v1", 404),
        ("GET", "/lambda-url/", 404),
        ("GET", "/lambda-url/unknown/x", 404),
        ("GET", "/_mayfly/code/" + "0" * 64, 403),
        ("GET", "/..%2f..%2fetc/passwd", 404),
        ("GET", "/%zz%", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "//", 404),
    ],
)
def test_what_is_not_there_is_a_clear_error_with_an_id(
    served: Served, method: str, target: str, status: int
) -> None:
    answer = served.plain(method, target)
    assert answer.status == status
    assert len(answer.headers["x-amzn-requestid"]) == 36
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.body.decode()


def test_head_is_answered_without_a_body(served: Served) -> None:
    answer = served.plain("HEAD", "/_mayfly/health")
    assert (answer.status, answer.body) == (200, b"")


# Bodies


def test_a_body_at_the_bound_is_taken_and_one_byte_more_is_not(served: Served) -> None:
    assert served.plain("POST", "/lambda-url/u1/", b"x" * 100_000).status == 200
    answer = served.plain("POST", "/lambda-url/u1/", b"x" * 100_001)
    assert answer.status == 413
    assert "connection" not in answer.headers
    assert len(served.engine.invocations) == 1


def test_a_body_far_over_the_bound_is_refused_before_it_is_read(served: Served) -> None:
    with served.socket() as line:
        line.sendall(
            b"POST /lambda-url/u1/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 9999999999\r\n\r\n"
        )
        answer = line.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_a_chunked_body_is_bounded_as_well(served: Served) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with served.socket() as line:
        line.sendall(
            b"POST /lambda-url/u1/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        line.sendall(chunk * 3 + b"0\r\n\r\n")
        assert line.recv(4_096).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_waits_for_100_continue_is_refused_without_being_asked_for(
    served: Served,
) -> None:
    with served.socket() as line:
        line.sendall(
            b"POST /lambda-url/u1/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: 200000\r\n\r\n"
        )
        answer = line.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_in_many_pieces_arrives_as_it_was_sent(served: Served) -> None:
    body = bytes(range(256)) * 300
    with served.socket() as line:
        line.sendall(
            b"POST /lambda-url/u1/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        for start in range(0, len(body), 7_777):
            line.sendall(body[start : start + 7_777])
        assert line.recv(12) == b"HTTP/1.1 200"
    event = json.loads(served.engine.invocations[0].payload)
    assert base64.b64decode(event["body"]) == body


def test_a_large_upload_by_nobody_is_refused_before_it_is_read(served: Served) -> None:
    with served.socket() as line:
        line.sendall(
            b"POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 2000000\r\n\r\n"
        )
        answer = line.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"connection: close" in answer


def test_a_large_upload_with_a_wrong_signature_is_refused_before_it_is_read(
    served: Served,
) -> None:
    headers = served.sign(
        "PUT", "/_mayfly/v1/deploy", b"x", service="mayfly", key=Key(KEY.access_key_id, "wrong")
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with served.socket() as line:
        line.sendall(
            f"PUT /_mayfly/v1/deploy HTTP/1.1\r\n{lines}Content-Length: 2000000\r\n\r\n".encode()
        )
        assert line.recv(4_096).startswith(b"HTTP/1.1 403 ")


def test_a_client_that_goes_away_leaves_its_call_to_finish(served: Served) -> None:
    served.engine.held = True
    connection = served.connect()
    connection.request("POST", "/lambda-url/u1/", b"{}")
    assert served.engine.started.wait(WAIT_S)
    connection.close()
    assert served.plain("GET", "/_mayfly/health").status == 200
    served.engine.release()
    assert served.engine.finished.wait(WAIT_S)


def test_a_client_that_resets_in_the_middle_of_its_body_calls_nothing(served: Served) -> None:
    with served.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        line.sendall(
            b"POST /lambda-url/u1/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nabc"
        )
    assert served.plain("GET", "/_mayfly/health").status == 200
    assert served.engine.invocations == []


# Archives


def put_archive(served: Served, content: bytes) -> str:
    code = asyncio.run(served.code.put_archive(content))
    return f"/_mayfly/code/{code.digest}"


def test_a_presigned_address_opens_an_archive(served: Served) -> None:
    content = bytes(range(256)) * 4_000
    path = put_archive(served, content)
    signed = presign(
        served.platform.keys,
        method="GET",
        url=served.platform.endpoint + path,
        service="lambda",
        now_ms=NOW_MS,
    )
    answer = served.plain("GET", signed.removeprefix(served.platform.endpoint))
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("expires_s", [1])
def test_an_address_that_is_expired_or_changed_opens_nothing(
    served: Served, expires_s: int
) -> None:
    path = put_archive(served, b"one")
    other = put_archive(served, b"two")
    address = served.platform.endpoint + path
    late = presign(
        served.platform.keys,
        method="GET",
        url=address,
        service="lambda",
        now_ms=NOW_MS - 10_000,
        expires_s=expires_s,
    ).removeprefix(served.platform.endpoint)
    good = presign(
        served.platform.keys, method="GET", url=address, service="lambda", now_ms=NOW_MS
    ).removeprefix(served.platform.endpoint)
    assert served.plain("GET", late).status == 403
    assert served.plain("GET", good.replace(path, other)).status == 403
    assert served.plain("GET", path).status == 403
    assert served.plain("POST", good).status == 405


@pytest.mark.parametrize("name", ["0" * 64, "x", "..%2f..%2fetc%2fpasswd", ""])
def test_an_archive_that_is_not_there_is_a_404(served: Served, name: str) -> None:
    answer = served.signed("GET", f"/_mayfly/code/{name}", service="mayfly")
    assert answer.status == 404


# AWS's APIs

INVOKE = "/2015-03-31/functions/echo/invocations"


def test_a_call_is_answered_with_the_function_s_answer_as_it_is(served: Served) -> None:
    answer = served.invoke(b'{"a": [1, 2]}')
    (call,) = served.engine.invocations
    assert (answer.status, answer.body) == (200, b'{"a": [1, 2]}')
    assert answer.headers["x-amzn-requestid"] == call.request_id
    assert answer.headers["x-amz-executed-version"] == "$LATEST"


def test_calls_on_one_connection_have_ids_of_their_own(served: Served) -> None:
    connection = served.connect()
    for _ in range(5):
        connection.request("POST", INVOKE, b"{}", served.sign("POST", INVOKE, b"{}"))
        assert connection.getresponse().read() == b"{}"
    connection.close()
    assert len({call.request_id for call in served.engine.invocations}) == 5


def test_a_qualifier_and_a_name_that_is_percent_encoded_reach_the_call(served: Served) -> None:
    arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aecho"
    target = f"/2015-03-31/functions/{arn}/invocations?Qualifier=%24LATEST"
    assert served.signed("POST", target, b"{}").status == 200
    assert served.signed("POST", f"{INVOKE}?Qualifier=7", b"{}").status == 404


def test_an_asynchronous_call_is_kept_before_202(served: Served) -> None:
    headers = served.sign("POST", INVOKE, b"{}", headers={"x-amz-invocation-type": "Event"})
    answer = served.plain("POST", INVOKE, b"{}", headers)
    assert answer.status == 202
    assert [event.event_id for event in served.engine.events] == [
        answer.headers["x-amzn-requestid"]
    ]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 403, "MissingAuthenticationTokenException"),
        ({"authorization": "Basic eDp5"}, 400, "IncompleteSignatureException"),
    ],
)
def test_an_unsigned_call_gets_aws_s_error(
    served: Served, headers: dict[str, str], status: int, code: str
) -> None:
    answer = served.plain("POST", INVOKE, b"{}", headers)
    assert answer.status == status
    assert answer.headers["x-amzn-errortype"] == code
    assert "x-amzn-requestid" in answer.headers
    assert served.engine.invocations == []


def test_a_call_whose_body_was_changed_is_refused(served: Served) -> None:
    headers = served.sign("POST", INVOKE, b"{}")
    answer = served.plain("POST", INVOKE, b"[]", headers)
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"


def test_a_throttled_call_is_a_429_in_aws_s_form(served: Served) -> None:
    served.engine.answer = lambda _: TooManyRequests("Rate Exceeded.")
    answer = served.invoke()
    assert answer.status == 429
    assert answer.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert answer.document["Reason"] == "ConcurrentInvocationLimitExceeded"


def test_a_payload_over_the_bound_is_refused_and_the_connection_goes_on(served: Served) -> None:
    body = b'"' + b"x" * 100_000 + b'"'
    connection = served.connect()
    connection.request("POST", INVOKE, body, served.sign("POST", INVOKE, body))
    response = connection.getresponse()
    assert response.status == 413
    assert response.getheader("x-amzn-errortype") == "RequestTooLargeException"
    response.read()
    connection.request("POST", INVOKE, b"{}", served.sign("POST", INVOKE, b"{}"))
    assert connection.getresponse().status == 200
    connection.close()
    assert len(served.engine.invocations) == 1


def test_a_call_that_fails_unforeseen_is_a_500_in_aws_s_form(served: Served) -> None:
    served.engine.answer = lambda _: ZeroDivisionError("secret detail")
    answer = served.invoke()
    assert answer.status == 500
    assert answer.headers["x-amzn-errortype"] == "ServiceException"
    assert b"secret" not in answer.body


def test_other_operations_go_to_their_service(served: Served) -> None:
    answer = served.signed("GET", "/2015-03-31/functions/")
    assert answer.status == 200
    functions = answer.document["Functions"]
    assert isinstance(functions, list)
    assert [one["FunctionName"] for one in functions] == ["echo"]


def test_an_operation_that_is_not_there_is_named(served: Served) -> None:
    answer = served.signed("GET", "/2015-03-31/layers")
    assert answer.status in {404, 501}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_invokes(served: Served, method: str) -> None:
    assert served.signed(method, INVOKE).status == 404
    assert served.engine.invocations == []


async def test_the_lifespan_protocol_is_spoken_and_a_websocket_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        app = create_app(served.platform, Services({}))
    asked: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return asked.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket"}, receive, send)
    assert [one["type"] for one in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
        "websocket.close",
    ]
    app.close()
