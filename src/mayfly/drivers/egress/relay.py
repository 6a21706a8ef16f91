"""The bytes between an isolate and the one host:port that a door of it stands for.

    isolate --> door's listener --> inner | relay | outer --> host:port

Each side is read only as fast as the other one takes it. Ends are passed on one by one (a
half-close is a half-close there), a failure to connect is a reset, so that a client sees what it
would see without us. Connections and bytes are counted, and connections are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from functools import partial

from mayfly.drivers.egress.accepting import BLOCK_BYTES, serve_clients
from mayfly.drivers.egress.resolve import AddressRefused, Resolver
from mayfly.telemetry import EgressMetrics, LogEvent, event_log

CONNECTIONS_MAX = 512
_CONNECT_S = 10.0
_RESET = struct.pack("ii", 1, 0)


class Relay:
    """Serves the doors of one function's net grants."""

    def __init__(self, resolver: Resolver, metrics: EgressMetrics, *, function_name: str) -> None:
        self._resolver = resolver
        self._metrics = metrics
        self._function_name = function_name
        self._connected = 0

    async def attend(self, listener: socket.socket, host: str, port: int) -> None:
        """Serve one door until cancelled; then every connection through it is cut."""
        await serve_clients(listener, partial(self._relay, host=host, port=port))

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        try:
            with self._counted():
                await self._splice(reader, writer, *await self._connect(host, port))
        except (OSError, AddressRefused, TimeoutError) as error:
            self._refuse(writer, f"{host}:{port}", str(error) or "no answer")

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        if self._connected >= CONNECTIONS_MAX:
            raise AddressRefused(f"more than {CONNECTIONS_MAX} connections at once")
        self._connected += 1
        try:
            yield
        finally:
            self._connected -= 1

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
        event_log(LogEvent.EGRESS_FAILED, function=self._function_name, target=target, error=why)
        # As if the other host had reset it: a close that throws unsent data away (socket(7)).
        inner = writer.get_extra_info("socket")
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
