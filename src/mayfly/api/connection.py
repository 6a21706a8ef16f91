"""One client's connection: uvicorn's httptools protocol, with bounds on what a client may do.

uvicorn bounds neither the size of a request's head nor the time that a request may take to
arrive; both are cheap to hold against a server. This adds, and costs a request nothing when its
bytes come at once:

    connected --(keep_alive_s)--> closed                      nothing was sent
    HEAD      --(patience_s, head_bytes_max)--> 408, 431      its line and headers drip or flood
    BODY      --(pace_bytes_per_s_min over patience_s)--> 408 it trickles
    DONE      the application's turn

An application that has its whole reply at hand gives it to `ReplyWriter`, which the scope's state
holds under `REPLY_WRITER`: head and body leave in one write, so in one system call and, when they
are small, in one packet, where ASGI's two messages take two.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from mayfly.api.asgi import Application
from mayfly.api.platform import ServerBounds
from mayfly.ports import Ids

REPLY_WRITER = "mayfly.reply_writer"
# In the state of what comes out of an isolate.
BY_DOOR = "mayfly.by_door"
# A body up to this is copied behind its head; a longer one is worth a write of its own.
_JOINED_BYTES_MAX = 64 * 1024
_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
}


class ConnectionConfig(uvicorn.Config):
    """uvicorn's configuration as we run it, and what a `Connection` needs beyond it."""

    def __init__(self, app: Application, *, bounds: ServerBounds, ids: Ids) -> None:
        super().__init__(
            app,
            http=Connection,
            ws="none",
            interface="asgi3",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="critical",
            backlog=bounds.backlog,
            timeout_keep_alive=bounds.keep_alive_s,
            timeout_graceful_shutdown=bounds.shutdown_s,
        )
        self.bounds = bounds
        self.ids = ids


class _Stage(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    DONE = enum.auto()


class _HeadTooLarge(Exception):
    """Raised inside a parser callback; the parser turns it into its own error."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds; made by uvicorn, one per client."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, ConnectionConfig)
        self._bounds = config.bounds
        self._ids = config.ids
        self._stage = _Stage.DONE
        self._completed = False
        self._fed_bytes = 0
        self._head_bytes = 0
        self._pace_bytes = 0
        self._pace_timer: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str] | None = None

    def connection_made(  # type: ignore[override]  # as uvicorn's
        self, transport: asyncio.Transport
    ) -> None:
        """Start the clock of a client that connects and says nothing."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks; uvicorn tells the application."""
        self._unset_keepalive_if_required()
        self._stop_pacing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; when the request is not whole afterwards, watch how the rest comes."""
        self._fed_bytes = len(data)
        self._completed = False
        super().data_received(data)
        if self._stage is not _Stage.DONE:
            self._watch(len(data))

    def on_message_begin(self) -> None:
        """A request line begins."""
        self._stage = _Stage.HEAD
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole: check its size before anything is made of it."""
        count = len(self.headers)
        if count > self._bounds.header_count_max:
            self._refuse_head(f"{count} headers are too many")
        if self._head_bytes or self._fed_bytes > self._bounds.head_bytes_max:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > self._bounds.head_bytes_max:
                self._refuse_head(f"a head of {size} bytes is too large")
        if [name for name, _ in self.headers].count(b"host") != 1:
            self._check_host()
        self._stage = _Stage.BODY
        super().on_headers_complete()
        # uvicorn starts the application in the loop's next turn: this is early enough.
        self.scope["state"][REPLY_WRITER] = ReplyWriter(self.cycle)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stage = _Stage.DONE
        self._completed = True
        if self._pace_timer is not None:
            self._stop_pacing()
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; cut one whose client does not even read its answer."""
        if not self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, with an id, in the form of the API's errors."""
        status, message = self._refusal or (400, msg)
        self._refuse(status, message)

    def _unsupported_upgrade_warning(self) -> None:
        # The parser stops at an upgrade, so that a second request would never be seen: answer
        # this one (a client that offers h2c expects that) and close.
        self.cycle.keep_alive = False

    def _watch(self, count: int) -> None:
        # Where another request ended in these bytes, it is not known how many are this head's.
        if self._stage is _Stage.HEAD and not self._completed:
            self._head_bytes += count
            if self._head_bytes > self._bounds.head_bytes_max:
                self._refuse(431, "the request's head is too large")
                return
        self._pace_bytes += count
        if self._pace_timer is None and not self.transport.is_closing():
            self._pace_bytes = 0
            self._pace_timer = self.loop.call_later(self._bounds.patience_s, self._check_pace)

    def _check_pace(self) -> None:
        self._pace_timer = None
        if self.transport.is_closing():
            return
        enough = self._bounds.pace_bytes_per_s_min * self._bounds.patience_s
        in_pace = self._stage is _Stage.BODY and self._pace_bytes >= enough
        if in_pace or self.flow.read_paused:
            self._pace_bytes = 0
            self._pace_timer = self.loop.call_later(self._bounds.patience_s, self._check_pace)
        else:
            self._refuse(408, "the request came too slowly and was given up")

    def _stop_pacing(self) -> None:
        if self._pace_timer is not None:
            self._pace_timer.cancel()
            self._pace_timer = None

    def _check_host(self) -> None:
        """Only an old client may leave Host out, and nobody may give two (RFC 9112, 3.2)."""
        named = any(name == b"host" for name, _ in self.headers)
        if named or self.parser.get_http_version() != "1.0":
            self._refuse_head("a request has one Host header", status=400)

    def _refuse_head(self, message: str, *, status: int = 431) -> None:
        self._refusal = (status, message)
        raise _HeadTooLarge

    def _refuse(self, status: int, message: str) -> None:
        """Answer on the bare connection, if no answer is under way there, and close it."""
        self._stop_pacing()
        # Before the first request there is no cycle, whatever uvicorn's annotation says.
        started = getattr(self.cycle, "response_started", False)
        if not started or self.cycle.response_complete:
            content = b'{"message":"%s"}' % message.encode("ascii", "replace")
            self.transport.write(
                b"HTTP/1.1 %d %s\r\nx-amzn-requestid: %s\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, _PHRASES[status], self._ids.uuid().encode(), len(content), content)
            )
        self.transport.close()


class ReplyWriter:
    """Sends one whole reply; does what uvicorn's `send` does for its two messages."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    async def write(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send it, waiting while the client does not read what it was sent before.

        Args:
            status: 200 to 599.
            headers: Lower-case names; Content-Length among them where there may be a body.
            body: Left out where the request was a HEAD.
        """
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if (b"connection", b"close") in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers = [*headers, (b"connection", b"close")]
        head = _head(status, [*cycle.default_headers, *headers])
        cycle.response_started = True
        if cycle.scope["method"] == "HEAD":
            body = b""
        if len(body) <= _JOINED_BYTES_MAX:
            cycle.transport.write(head + body)
        else:
            cycle.transport.write(head)
            cycle.transport.write(body)
        self._finish()

    def _finish(self) -> None:
        cycle = self._cycle
        cycle.waiting_for_100_continue = False
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [b"%b: %b\r\n" % one for one in headers]
    head = b"".join((STATUS_LINE[status], *lines, b"\r\n"))
    # Whoever made a header from what a user said must have looked at it: this is the last chance
    # to notice that a line break came through and would begin a reply of its own.
    if not head.count(b"\n") == head.count(b"\r") == len(headers) + 2:
        raise ValueError("a header with a line break")
    return head
