"""The listening socket, and uvicorn run as one task of the daemon.

`bind` comes first, so that the port is known, and refused with a reason, before anything else is
made. `Server.run` serves until `stop`, or until its task is cancelled: `stop` lets running
requests finish, cancellation does not. No signal is caught here: signals are the daemon's.

    listener = bind("127.0.0.1", 0)   ->  Platform(endpoint=listener.endpoint, ...)
    server = Server(create_app(platform), listener, ...)   ->   group.create_task(server.run())
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn

from mayfly.api.asgi import Application
from mayfly.api.connection import BY_DOOR, Connection, ConnectionConfig
from mayfly.api.platform import ServerBounds
from mayfly.model.errors import Conflict, InvalidParameter, MayflyError
from mayfly.ports import Ids

# Where a client on this machine finds a server that listens on every address.
_NEAR = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound
_PORT_MAX = 65_535
_TICK_S = 1.0
_HANDSHAKE_S = 10.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, not yet listening; `Server` takes it over.

    Args:
        scheme: "http" or "https".
    """

    socket: socket.socket
    host: str
    port: int
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        """`SCHEME://HOST:PORT`, with a name or address that a client on this machine can use."""
        local = _NEAR.get(self.host, self.host)
        host = f"[{local}]" if ":" in local else local
        return f"{self.scheme}://{host}:{self.port}"


def bind(host: str, port: int) -> Listener:
    """Bind a TCP socket; port 0 takes a free one.

    Raises:
        Conflict: Something listens there.
        InvalidParameter: The address is not one of this machine, or the port is not ours to take.
    """
    if not 0 <= port <= _PORT_MAX:
        # getaddrinfo(3) takes it modulo 65,536 without a word.
        raise InvalidParameter(f"cannot listen on {host}:{port}: a port is 0 to {_PORT_MAX}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InvalidParameter(
            f'cannot listen on {host}:{port}: "{host}" is no address of this machine ({error})'
        ) from error
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Two sockets may bind one port with SO_REUSEADDR; only one may listen. Ask now.
        bound.listen(1)
    except OSError as error:
        bound.close()
        raise _refused(host, port, error) from error
    bound.setblocking(False)
    return Listener(bound, host, int(bound.getsockname()[1]))


def _refused(host: str, port: int, error: OSError) -> MayflyError:
    match error.errno:
        case errno.EADDRINUSE:
            return Conflict(
                f"cannot listen on {host}:{port}: another program has this port; is the platform "
                f"up already (`mayfly ps`)? `ss -ltnp 'sport = :{port}'` shows whose it is, "
                f"--listen {host}:0 takes a free one"
            )
        case errno.EACCES | errno.EPERM:
            return InvalidParameter(
                f"cannot listen on {host}:{port}: ports below 1024 are for root; use --listen "
                f"{host}:9000 or another high port"
            )
        case errno.EADDRNOTAVAIL:
            return InvalidParameter(
                f"cannot listen on {host}:{port}: {host} is no address of this machine; "
                "`ip address` lists them"
            )
        case _:
            return InvalidParameter(f"cannot listen on {host}:{port}: {error}")


class Server:
    """uvicorn on one listener: httptools, no access log, no signals, no lifespan task.

    Args:
        app: The ASGI application.
        listener: From `bind`; closed when `run` ends.
        ids: Names the responses that the connection itself gives (bad requests).
        tls: The listener speaks TLS by it; doors, which are nobody else's, stay plain.
    """

    def __init__(
        self,
        app: Application,
        listener: Listener,
        *,
        bounds: ServerBounds,
        ids: Ids,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._uvicorn = _Uvicorn(ConnectionConfig(app, bounds=bounds, ids=ids), tls)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._uvicorn.server_state.connections)

    async def run(self) -> None:
        """Serve until `stop`. Cancelled: every connection is cut at once."""
        try:
            await self._uvicorn.serve(sockets=[self._listener.socket])
        finally:
            self._uvicorn.cut()
            self._listener.socket.close()

    async def attend(self, listener: socket.socket) -> None:
        """Serve a function's door, whose listener the caller owns, until cancelled."""
        loop = asyncio.get_running_loop()
        attending = await loop.create_server(self._uvicorn.door_connection, sock=listener)
        try:
            await asyncio.Event().wait()
        finally:
            attending.close()

    def stop(self) -> None:
        """Take no new connection; let running requests finish, for a bounded time."""
        self._uvicorn.stop()


class _Uvicorn(uvicorn.Server):
    """uvicorn's server without signal handlers, and without waking ten times a second."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._tls = tls
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Catch none: they are the daemon's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; as uvicorn does, with a deadline for the handshakes of TLS."""
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=one,
                backlog=self.config.backlog,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else _HANDSHAKE_S,
            )
            for one in sockets or ()
        ]
        self.started = True

    async def main_loop(self) -> None:
        """Renew the Date header each second, until stopped."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK_S)

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    def door_connection(self) -> Connection:
        """A protocol for one more client that is an isolate."""
        assert isinstance(self.config, ConnectionConfig)
        return Connection(self.config, self.server_state, {BY_DOOR: True})

    def _connection(self) -> Connection:
        assert isinstance(self.config, ConnectionConfig)
        return Connection(self.config, self.server_state, {})

    def cut(self) -> None:
        """Close what a cancelled `serve` has left open."""
        for server in getattr(self, "servers", ()):
            server.close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection) and not connection.transport.is_closing():
                connection.transport.abort()
