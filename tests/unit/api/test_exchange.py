"""The application under another ASGI server: messages alone, no help from our connection."""

from __future__ import annotations

import pytest

from mayfly.api.asgi import Message, Scope
from mayfly.api.exchange import Disconnected, Exchange, query_number
from mayfly.api.message import Response
from mayfly.model.errors import InvalidParameter, RequestTooLarge


def exchange(
    *parts: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), whole: bool = True
) -> tuple[Exchange, list[Message]]:
    """An exchange whose body comes in these parts, and then ends or breaks off."""
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    if whole and messages:
        messages[-1]["more_body"] = False
    else:
        messages.append({"type": "http.disconnect"})
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/",
        "query_string": b"",
        "headers": list(headers),
    }
    return Exchange(scope, receive, send, "id-1"), sent


async def test_a_body_in_one_piece_is_not_copied() -> None:
    body = b"x" * 1_000
    made, _ = exchange(body)
    assert await made.read_body(bytes_max=1_000, discard_bytes_max=0) is body


async def test_a_body_in_parts_is_joined() -> None:
    made, _ = exchange(b"a", b"", b"bc")
    assert await made.read_body(bytes_max=3, discard_bytes_max=0) == b"abc"


@pytest.mark.parametrize("parts", [(), (b"a",), (b"a", b"b")])
async def test_a_body_that_breaks_off_is_no_body(parts: tuple[bytes, ...]) -> None:
    made, _ = exchange(*parts, whole=False)
    with pytest.raises(Disconnected):
        await made.read_body(bytes_max=10, discard_bytes_max=10)


async def test_an_oversize_body_is_read_to_its_end_when_that_is_near() -> None:
    made, _ = exchange(b"abc", b"d", headers=((b"content-length", b"4"),))
    with pytest.raises(RequestTooLarge, match="3 bytes, got 4"):
        await made.read_body(bytes_max=3, discard_bytes_max=10)
    assert not made.closing


async def test_an_oversize_body_is_cut_off_when_its_end_is_far() -> None:
    made, _ = exchange(headers=((b"content-length", b"99"),))
    with pytest.raises(RequestTooLarge):
        await made.read_body(bytes_max=3, discard_bytes_max=10)
    assert made.closing


async def test_a_body_longer_than_it_said_in_chunks_is_bounded() -> None:
    made, _ = exchange(b"ab", b"cd", b"e" * 20, b"f")
    with pytest.raises(RequestTooLarge):
        await made.read_body(bytes_max=3, discard_bytes_max=10)
    assert made.closing


async def test_a_reply_gets_its_length_and_id_once() -> None:
    made, sent = exchange()
    response = Response(200, [(b"x-amzn-requestid", b"own")], b"hi")
    await made.reply(response)
    assert sent[0]["headers"] == [(b"x-amzn-requestid", b"own"), (b"content-length", b"2")]
    assert response.headers == [(b"x-amzn-requestid", b"own")]
    assert sent[1]["body"] == b"hi"


async def test_a_204_has_no_length() -> None:
    made, sent = exchange()
    await made.reply(Response(204))
    assert sent[0]["headers"] == [(b"x-amzn-requestid", b"id-1")]


async def test_a_reply_after_an_unread_body_closes() -> None:
    made, sent = exchange()
    made.closing = True
    await made.reply(Response(413))
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize("text", ["x", "-1", "nan", "inf", "1e400"])
def test_a_number_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParameter, match="count"):
        query_number({"count": text}, "count", 1)


def test_a_number_that_is_missing_is_the_default() -> None:
    assert query_number({}, "count", 5) == 5
