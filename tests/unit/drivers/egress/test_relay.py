"""The bytes between a door and what it stands for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from mayfly.drivers.egress import relay as relay_module
from mayfly.drivers.egress.relay import Relay
from mayfly.drivers.egress.resolve import Resolver
from mayfly.telemetry import EgressMetrics
from mayfly.testing.clock import VirtualClock

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@contextlib.asynccontextmanager
async def _door(port: int) -> AsyncIterator[tuple[int, EgressMetrics]]:
    """A door to 127.0.0.1:`port`; its own port, and what is counted."""
    metrics = EgressMetrics()
    relay = Relay(Resolver(VirtualClock()), metrics, function_name="f")
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    task = asyncio.get_running_loop().create_task(relay.attend(listener, "127.0.0.1", port))
    try:
        yield listener.getsockname()[1], metrics
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listener.close()
        await _settle()


@contextlib.asynccontextmanager
async def _service(serve: Serve) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _settle()


async def _settle() -> None:
    """Let transports that were cut be closed: that takes them a turn of the loop or two."""
    for _ in range(3):
        await asyncio.sleep(0)


async def _echo_to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.write_eof()
    await writer.drain()
    writer.close()


async def test_bytes_and_ends_pass_both_ways() -> None:
    async with _service(_echo_to_the_end) as port, _door(port) as (door, metrics):
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        sent = b"0123456789" * 100_000
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        writer.close()
        assert (metrics.connections, metrics.failures) == (1, 0)
        assert (metrics.sent_bytes, metrics.received_bytes) == (len(sent), len(sent))


async def test_nobody_behind_a_door_is_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    async with _door(free) as (door, metrics):
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert (metrics.connections, metrics.failures) == (0, 1)


async def test_a_reset_behind_the_door_comes_through() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with _service(cut) as port, _door(port) as (door, _metrics):
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        writer.write(b"x" * 10)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "CONNECTIONS_MAX", 1)
    async with _service(_echo_to_the_end) as port, _door(port) as (door, metrics):
        first_reader, first = await asyncio.open_connection("127.0.0.1", door)
        first.write(b"x")
        second_reader, second = await asyncio.open_connection("127.0.0.1", door)
        with pytest.raises(ConnectionResetError):
            await second_reader.read()
        first.write_eof()
        assert await first_reader.read() == b"x"
        for one in (first, second):
            one.close()
        assert (metrics.connections, metrics.failures) == (1, 1)


async def test_closing_the_door_cuts_what_goes_through_it() -> None:
    async with _service(_echo_to_the_end) as port:
        async with _door(port) as (door, _metrics):
            reader, writer = await asyncio.open_connection("127.0.0.1", door)
            writer.write(b"x")
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
