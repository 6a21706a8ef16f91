"""Clients that misbehave on the wire cost other clients nothing."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator

import pytest

from tests.support.control import signed
from tests.support.functions import Functions
from tests.support.needs import need
from tests.support.platform import Platform

IDLE = 10_000


def _connect(platform: Platform) -> socket.socket:
    host, _, port = platform.endpoint.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


@contextlib.contextmanager
def _room_for(descriptors: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= descriptors
    need(enough, f"a limit of {descriptors} open files (it is {hard})")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_idle_connections_leave_room_for_a_call(functions: Functions) -> None:
    name = functions.make()
    with _room_for(IDLE + 1_000), contextlib.ExitStack() as idle:
        for _ in range(IDLE):
            idle.enter_context(_connect(functions.platform))
        assert functions.call(name, "still here").value == "still here"


def test_a_client_that_stalls_in_its_headers_holds_nobody_up(functions: Functions) -> None:
    name = functions.make()
    with contextlib.ExitStack() as stalled:
        for _ in range(50):
            client = stalled.enter_context(_connect(functions.platform))
            client.sendall(b"POST /2015-03-31/functions/x/invocations HTTP/1.1\r\nHost: x\r\nX-")
        assert functions.call(name, 1).value == 1


def test_an_upload_that_breaks_off_makes_nothing(functions: Functions) -> None:
    platform = functions.platform
    name = functions.make()
    path = f"/2015-03-31/functions/{name}/invocations"
    body = b'{"whole": true}'
    headers = signed(platform, "POST", path, body, service="lambda")
    with _connect(platform) as client:
        lines = [f"POST {path} HTTP/1.1", "Host: " + platform.endpoint.removeprefix("http://")]
        lines += [f"{key}: {value}" for key, value in headers.items() if key.lower() != "host"]
        lines += [f"Content-Length: {len(body)}"]
        client.sendall("\r\n".join([*lines, "", ""]).encode() + body[:5])
    assert functions.call(name, 2).value == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Y: z\r\n" * 20_000 + b"\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /%00%ff%2e%2e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    ],
    ids=range(11),
)
def test_what_is_not_http_is_refused_and_the_next_client_is_served(
    functions: Functions, request_bytes: bytes
) -> None:
    with _connect(functions.platform) as client:
        # The platform may have closed it before all of that was said.
        with contextlib.suppress(OSError):
            client.sendall(request_bytes)
            client.shutdown(socket.SHUT_WR)
        answer = _all(client)
    if answer:
        assert answer.startswith(b"HTTP/1.")
        assert 400 <= int(answer.split(b" ", 2)[1]) < 500
    assert functions.platform.get("/_mayfly/health").status == 200


def _all(client: socket.socket) -> bytes:
    """All that comes until the other side closes, resets, or says nothing for long."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65_536):
            answer += piece
    return answer


def test_a_client_that_leaves_before_its_answer_costs_nothing(functions: Functions) -> None:
    platform = functions.platform
    name = functions.make("import time\ndef handler(e, c):\n    time.sleep(0.5)\n    return e\n")
    path = f"/2015-03-31/functions/{name}/invocations"
    for _ in range(8):
        headers = signed(platform, "POST", path, b"1", service="lambda")
        with _connect(platform) as client:
            lines = [f"POST {path} HTTP/1.1", "Host: " + platform.endpoint.removeprefix("http://")]
            lines += [f"{key}: {value}" for key, value in headers.items() if key.lower() != "host"]
            client.sendall("\r\n".join([*lines, "Content-Length: 1", "", "1"]).encode())
    assert functions.call(name, "mine").value == "mine"
