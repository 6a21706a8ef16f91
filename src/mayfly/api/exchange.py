"""One HTTP request and its reply: the only place that reads and sends ASGI messages.

A body is read within a bound and without copying one that came in one piece; a reply gets its
length and its id. A request that breaks off before its body ended raises `Disconnected`, so that
nothing is ever done with half a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mayfly.api.asgi import Message, Receive, Scope, Send
from mayfly.api.connection import BY_DOOR, REPLY_WRITER, ReplyWriter
from mayfly.api.message import Headers, Response
from mayfly.model.errors import InvalidParameter, RequestTooLarge

JSON_TYPE: tuple[bytes, bytes] = (b"content-type", b"application/json")
TEXT_TYPE: tuple[bytes, bytes] = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")
_ID_NAMES = frozenset({b"x-amzn-requestid", b"x-amz-request-id"})
_BODILESS = frozenset({204, 304})


class Disconnected(Exception):
    """The client is gone; there is nobody to answer."""


class Exchange:
    """A request as it came, and the way back.

    Attributes:
        started: The reply's head was sent: an error can no longer change its status.
        closing: The connection is of no use after the reply, since the body was left unread.
    """

    __slots__ = (
        "_body_ended",
        "_receive",
        "_send",
        "closing",
        "headers",
        "method",
        "raw_path",
        "request_id",
        "scope",
        "started",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.headers = Headers(scope["headers"])
        self.request_id = request_id
        self.started = False
        self.closing = False
        self._body_ended = False

    @property
    def query_string(self) -> str:
        """Percent-encoded as received, without the question mark."""
        query: bytes = self.scope["query_string"]
        return query.decode("latin-1") if query else ""

    @property
    def source_ip(self) -> str:
        """The address at the other end of the connection."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def scheme(self) -> str:
        """Of the client's connection: "https" where it is encrypted, or "http"."""
        return str(self.scope.get("scheme", "http"))

    @property
    def by_door(self) -> bool:
        """Whether it came out of an isolate, by its door."""
        return BY_DOOR in self.scope.get("state", {})

    async def read_body(self, *, bytes_max: int, discard_bytes_max: int) -> bytes:
        """The whole body.

        Raises:
            RequestTooLarge: It is over `bytes_max`. As much of the rest as `discard_bytes_max`
                allows was read and thrown away, so that a client that sends first and reads
                afterwards sees the answer; beyond it `closing` is set.
            Disconnected: The client broke off.
        """
        announced = self.announced_bytes()
        if announced is not None and announced > bytes_max:
            self.refuse_body(discard_bytes_max)
            if not self.closing:
                await self._discard(discard_bytes_max)
            raise RequestTooLarge(_too_large(announced, bytes_max))
        message = await self._receive()
        if message["type"] != "http.request":
            raise Disconnected
        body: bytes = message["body"]
        if message["more_body"]:
            return await self._read_rest(body, bytes_max, discard_bytes_max)
        if len(body) > bytes_max:
            raise RequestTooLarge(_too_large(len(body), bytes_max))
        return body

    async def _read_rest(self, first: bytes, bytes_max: int, discard_bytes_max: int) -> bytes:
        chunks, size = [first], len(first)
        while True:
            message = await self._next_chunk()
            chunks.append(message["body"])
            size += len(message["body"])
            if size > bytes_max:
                if message["more_body"]:
                    await self._discard(discard_bytes_max)
                raise RequestTooLarge(_too_large(size, bytes_max))
            if not message["more_body"]:
                return b"".join(chunks)

    def announced_bytes(self) -> int | None:
        """The Content-Length, or None for a chunked body and for none at all."""
        length = self.headers.find("content-length")
        return int(length) if length is not None and length.isdigit() else None

    def refuse_body(self, discard_bytes_max: int) -> None:
        """Decide what becomes of a body that nobody will read: thrown away, or cut off."""
        announced = self.announced_bytes()
        self.closing = (
            announced is None or announced > discard_bytes_max or "expect" in self.headers
        )

    async def next_part(self) -> tuple[bytes, bool]:
        """Some more of the body, and whether there is more; for a body that is a stream.

        Raises:
            Disconnected: The client broke off.
        """
        message = await self._next_chunk()
        return message["body"], message["more_body"]

    async def drop_body(self, discard_bytes_max: int) -> None:
        """Throw away what is left of a body, or cut it off where that is too much.

        Raises:
            Disconnected: The client broke off.
        """
        bodiless = self.announced_bytes() is None and "transfer-encoding" not in self.headers
        if bodiless or self._body_ended:
            return
        self.refuse_body(discard_bytes_max)
        if not self.closing:
            await self._discard(discard_bytes_max)

    async def _discard(self, bytes_max: int) -> None:
        size = 0
        while size <= bytes_max:
            message = await self._next_chunk()
            size += len(message["body"])
            if not message["more_body"]:
                return
        self.closing = True

    async def _next_chunk(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            raise Disconnected
        self._body_ended = not message["more_body"]
        return message

    async def wait_disconnected(self) -> None:
        """Return when the client is gone. Only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reply(self, response: Response) -> None:
        """Send a whole reply; its length and, where it is missing, its id are added."""
        headers = response.headers.copy()
        if not _is_named(headers):
            headers.append((b"x-amzn-requestid", self.request_id.encode()))
        if response.status not in _BODILESS and not response.is_head:
            headers.append((b"content-length", b"%d" % len(response.body)))
        if self.closing:
            headers.append(_CLOSE)
        self.started = True
        writer = self.scope.get("state", {}).get(REPLY_WRITER)
        if isinstance(writer, ReplyWriter):
            await writer.write(response.status, headers, response.body)
            return
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": response.body})

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin a reply whose body comes in parts."""
        self.started = True
        named = headers
        if not _is_named(headers):
            named = [*headers, (b"x-amzn-requestid", self.request_id.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": named})

    async def send_part(
        self, part: bytes | bytearray, *, timeout_s: float, more: bool = True
    ) -> None:
        """Send a part, waiting while the client reads more slowly than we write.

        Raises:
            Disconnected: The client took nothing for `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._send({"type": "http.response.body", "body": part, "more_body": more})
        except TimeoutError:
            raise Disconnected from None


def _is_named(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the reply says its id: S3 has a name of its own for it, and no other beside it."""
    return any(name in _ID_NAMES for name, _ in headers)


def query_number(query: Mapping[str, str], name: str, default: float) -> float:
    """A number of the query.

    Raises:
        InvalidParameter: It is none, or negative.
    """
    text = query.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float(1 << 53):
        raise InvalidParameter(f'{name} must be a number that is not negative, got "{text[:40]}"')
    return number


def _too_large(size: int, bytes_max: int) -> str:
    return f"Request must be smaller than {bytes_max} bytes, got {size}"
