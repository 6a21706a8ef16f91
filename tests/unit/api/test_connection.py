"""What a client may do to a connection: floods, drips, smuggling, half requests, many of them."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mayfly.api.connection import _head
from mayfly.api.platform import ServerBounds
from tests.support.serving import Served, outcome, read_all, serving, url

HASTY = ServerBounds(patience_s=0.2, pace_bytes_per_s_min=1_000, keep_alive_s=1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, urls=[url()]) as running:
        yield running


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, urls=[url()], bounds=HASTY) as running:
        yield running


def head(served: Served, *lines: str, request: str = "POST /lambda-url/u1/ HTTP/1.1") -> bytes:
    return "\r\n".join([request, f"Host: {served.host}", *lines, "", ""]).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def still_alive(served: Served) -> bool:
    return served.plain("GET", "/_mayfly/health").status == 200


def test_a_head_that_drips_is_given_up(hasty: Served) -> None:
    assert status(hasty.raw(b"POST /lambda-url/u1/ HTTP/1.1\r\nHost: loc")) == 408


def test_a_body_that_trickles_is_given_up_and_nothing_is_called(hasty: Served) -> None:
    answer = hasty.raw(head(hasty, "Content-Length: 100") + b"abc")
    assert status(answer) == 408
    assert b"x-amzn-requestid" in answer
    assert hasty.engine.invocations == []


def test_a_body_that_never_comes_is_given_up(hasty: Served) -> None:
    assert status(hasty.raw(head(hasty, "Content-Length: 100"))) == 408


def test_a_client_that_says_nothing_is_closed_after_the_keep_alive_time(hasty: Served) -> None:
    assert hasty.raw(b"") == b""


def test_a_connection_is_kept_between_requests(served: Served) -> None:
    connection = served.connect()
    for _ in range(3):
        connection.request("GET", "/_mayfly/health")
        assert connection.getresponse().read()
    connection.close()


def test_a_truncated_upload_changes_nothing(served: Served) -> None:
    with served.socket() as line:
        line.sendall(head(served, "Content-Length: 10") + b"12345")
        line.shutdown(socket.SHUT_WR)
        assert read_all(line) == b""
    assert still_alive(served)
    assert served.engine.invocations == []


def test_a_flood_of_headers_is_refused(served: Served) -> None:
    answer = served.raw(head(served, *(f"X-{n}: 1" for n in range(200))))
    assert status(answer) == 431
    assert b"x-amzn-requestid" in answer


def test_a_head_that_is_too_large_is_refused_in_one_piece_and_in_many(served: Served) -> None:
    data = head(served, "X-Long: " + "a" * 100_000)
    assert status(served.raw(data)) == 431
    with served.socket() as line:
        line.sendall(data[:10])
        for start in range(10, 90_000, 10_000):
            line.sendall(data[start : start + 10_000])
        assert status(line.recv(1_000)) == 431
    assert still_alive(served)


def test_a_large_body_behind_a_small_head_is_no_large_head(served: Served) -> None:
    body = b"x" * 1_000_000
    answer = served.plain("POST", "/lambda-url/u1/", body)
    assert answer.status == 200


SMUGGLED = [
    ("Content-Length: 4", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked", "Content-Length: 4"),
    ("Content-Length: 4", "Content-Length: 5"),
    ("Content-Length: +4",),
    ("Content-Length: 4 4",),
    ("Content-Length: -1",),
    ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding: xchunked",),
    ("Content-Length : 4",),
    (" Content-Length: 4",),
    ("X: a\x00b",),
    ("X: a\nTransfer-Encoding: chunked",),
]


@pytest.mark.parametrize("lines", SMUGGLED)
def test_no_request_is_smuggled_behind_another(served: Served, lines: tuple[str, ...]) -> None:
    hidden = b"GET /lambda-url/u1/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    with served.socket() as line:
        line.sendall(head(served, *lines) + b"0\r\n\r\n" + hidden)
        line.shutdown(socket.SHUT_WR)
        answer = read_all(line)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert all(b"hidden" not in one.payload for one in served.engine.invocations)
    assert still_alive(served)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_400_and_an_id(served: Served, data: bytes) -> None:
    with served.socket() as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        answer = read_all(line)
    assert status(answer) == 400
    assert b"x-amzn-requestid: " in answer
    assert b"Traceback" not in answer
    assert still_alive(served)


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    def one(n: int, *lines: str) -> bytes:
        request = f"POST /lambda-url/u1/{n} HTTP/1.1"
        return head(served, "Content-Length: 1", *lines, request=request) + b"x"

    with served.socket() as line:
        line.sendall(b"".join(one(n) for n in range(19)) + one(19, "Connection: close"))
        answers = read_all(line).split(b"HTTP/1.1 200 ")[1:]
    assert [b'"rawPath":"/%d"' % n in answer for n, answer in enumerate(answers)] == [True] * 20


def test_a_client_that_offers_http2_gets_an_answer(served: Served) -> None:
    answer = served.raw(
        head(
            served,
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            "Content-Length: 2",
        )
        + b"{}"
    )
    assert status(answer) == 200
    assert b"connection: close" in answer


def test_a_websocket_is_not_opened(served: Served) -> None:
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    answer = served.raw(head(served, *lines, request="GET /_mayfly/health HTTP/1.1"))
    assert status(answer) == 200


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(served: Served) -> None:
    with served.socket() as line:
        line.sendall(head(served, "Content-Length: 2", "Expect: 100-continue", "Connection: close"))
        assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"{}")
        assert status(read_all(line)) == 200


def test_two_thousand_idle_connections_are_held_and_others_are_answered(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5_000:
        pytest.skip(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 5_000), hard))
    lines: list[socket.socket] = []
    try:
        with serving(tmp_path, urls=[url()]) as served:
            lines.extend(served.socket() for _ in range(2_000))
            lines[0].sendall(head(served, "Content-Length: 2") + b"{}")
            assert lines[0].recv(1_000).startswith(b"HTTP/1.1 200 ")
            assert still_alive(served)
            assert served.server.connections >= 2_000
    finally:
        for line in lines:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Replies in one write


def test_a_reply_larger_than_one_write_arrives_whole(served: Served) -> None:
    served.engine.answer = lambda _: outcome(b'"' + b"x" * 3_000_000 + b'"')
    answer = served.plain("GET", "/lambda-url/u1/")
    assert len(answer.body) == 3_000_002
    assert "date" in answer.headers


def test_a_reply_on_http_1_0_closes_the_connection(served: Served) -> None:
    answer = served.raw(b"GET /_mayfly/health HTTP/1.0\r\n\r\n")
    assert status(answer) == 200
    assert answer.count(b"connection: close") == 1


def test_a_reply_to_head_has_the_length_and_no_body(served: Served) -> None:
    answer = served.raw(head(served, "Connection: close", request="HEAD / HTTP/1.1"))
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: " in answer


def test_a_line_break_in_a_header_is_never_sent() -> None:
    with pytest.raises(ValueError, match="line break"):
        _head(200, [(b"x-a", b"1\r\nx-forged: 1")])
    with pytest.raises(ValueError, match="line break"):
        _head(200, [(b"x-a", b"1\nx-forged: 1")])
