"""The bytes between an isolate and the one host:port that a door of it stands for.

    isolate --> door's listener --> inner | relay | outer --> host:port
                                      `--> a wildcard's door: the host is what TLS asks for

Each side is read only as fast as the other one takes it. Ends are passed on one by one (a
half-close is a half-close there), a failure to connect is a reset, so that a client sees what it
would see without us. Connections and bytes are counted, and kept within an `Allowance`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from functools import partial

from mayfly.drivers.egress.accepting import BLOCK_BYTES, serve_clients
from mayfly.drivers.egress.allowance import Allowance
from mayfly.drivers.egress.hello import BadHello, read_hello
from mayfly.drivers.egress.resolve import AddressRefused, Resolver
from mayfly.model.grant import covers_host
from mayfly.telemetry import LogEvent, event_log

_CONNECT_S = 10.0
_HELLO_S = 10.0
_RESET = struct.pack("ii", 1, 0)


class Relay:
    """Serves the doors of one snapshot's net grants.

    Args:
        allowance: The function's, and what counts it.
        on_missing: Told the "host:port" that a client wanted by a wildcard's door that does not
            cover it; the host is "HOST" when it named none.
        on_used: Told the "host:port" of the grant by which a client comes.
    """

    def __init__(
        self,
        resolver: Resolver,
        allowance: Allowance,
        on_missing: Callable[[str], None],
        *,
        function_name: str,
        on_used: Callable[[str], None] | None = None,
    ) -> None:
        self._resolver = resolver
        self._allowance = allowance
        self._metrics = allowance.metrics
        self._on_missing = on_missing
        self._function_name = function_name
        self._on_used = on_used

    async def attend(self, listener: socket.socket, host: str, port: int) -> None:
        """Serve one door until cancelled; then every connection through it is cut.

        Args:
            host: A name, an address, or "*.example.com": then only TLS passes, to the host that
                its client names.
        """
        await serve_clients(listener, partial(self._relay, host=host, port=port))

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        try:
            with self._allowance.connection():
                await self._allowance.admit()
                if self._on_used is not None:
                    self._on_used(f"{host}:{port}")
                hello = b""
                if host.startswith("*."):
                    hello, host = await self._wanted(reader, host, port)
                outer, to_outer = await self._connect(host, port)
                self._metrics.sent_bytes += len(hello)
                to_outer.write(hello)
                await self._splice(reader, writer, outer, to_outer)
        except (OSError, EOFError, AddressRefused, TimeoutError) as error:
            self._refuse(writer, f"{host}:{port}", str(error) or "no answer")

    async def _wanted(
        self, reader: asyncio.StreamReader, pattern: str, port: int
    ) -> tuple[bytes, str]:
        """What the client has said so far, and the host that it wants."""
        try:
            async with asyncio.timeout(_HELLO_S):
                hello, name = await read_hello(reader)
        except BadHello as error:
            self._on_missing(f"HOST:{port}")
            raise AddressRefused(
                f"a wildcard passes TLS that names its host, and this is none: {error}"
            ) from error
        if not covers_host(pattern, name):
            self._on_missing(f"{name}:{port}")
            raise AddressRefused(f"the client asks for {name}, which the wildcard does not cover")
        return hello, name

    async def _splice(
        self,
        inner: asyncio.StreamReader,
        to_inner: asyncio.StreamWriter,
        outer: asyncio.StreamReader,
        to_outer: asyncio.StreamWriter,
    ) -> None:
        """Move bytes both ways until both ends are done, or one of them is reset."""
        self._metrics.connections += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(inner, to_outer, sent=True))
                tasks.create_task(self._pump(outer, to_inner, sent=False))
        except* OSError:
            pass  # A side was reset: both are cut below, which tells the other.
        finally:
            to_outer.transport.abort()

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        failure: OSError | TimeoutError | None = None
        for address in await self._resolver.addresses(host):
            try:
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(address, port, limit=BLOCK_BYTES)
            except (OSError, TimeoutError) as error:
                failure = error
        assert failure is not None, "the resolver gives at least one address"
        raise failure

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, sent: bool
    ) -> None:
        while block := await reader.read(BLOCK_BYTES):
            await self._allowance.pass_bytes(len(block))
            if sent:
                self._metrics.sent_bytes += len(block)
            else:
                self._metrics.received_bytes += len(block)
            writer.write(block)
            await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()

    def _refuse(self, writer: asyncio.StreamWriter, target: str, why: str) -> None:
        self._metrics.failures += 1
        if self._allowance.may_log():
            name = self._function_name
            event_log(LogEvent.EGRESS_FAILED, function=name, target=target, error=why)
        # As if the other host had reset it: a close that throws unsent data away (socket(7)).
        inner = writer.get_extra_info("socket")
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
