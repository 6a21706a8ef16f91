"""The bytes between a door and what it stands for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mayfly.drivers.egress.allowance import Allowance, NetLimits
from mayfly.drivers.egress.relay import Relay
from mayfly.drivers.egress.resolve import Resolver
from mayfly.telemetry import EgressMetrics
from mayfly.testing.clock import VirtualClock

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


_LIMITS = NetLimits()


class _Everywhere(Resolver):
    """Every name is this machine."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        del host
        return ("127.0.0.1",)


@contextlib.asynccontextmanager
async def _door(
    port: int,
    *,
    host: str = "127.0.0.1",
    net_limits: NetLimits = _LIMITS,
    missing: list[str] | None = None,
) -> AsyncIterator[tuple[int, EgressMetrics]]:
    """A door to `host` and `port` on this machine; its own port, and what is counted."""
    metrics, clock = EgressMetrics(), VirtualClock()
    allowance = Allowance(net_limits, metrics, clock)
    told = [] if missing is None else missing
    relay = Relay(_Everywhere(clock), allowance, told.append, function_name="f")
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    task = asyncio.get_running_loop().create_task(relay.attend(listener, host, port))
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


async def test_connections_are_bounded() -> None:
    one_only = NetLimits(connections_max=1)
    async with (
        _service(_echo_to_the_end) as port,
        _door(port, net_limits=one_only) as (door, metrics),
    ):
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


async def test_bytes_beyond_the_rate_are_held_and_none_is_lost() -> None:
    slow = NetLimits(bytes_per_s_max=2_000_000)
    async with _service(_echo_to_the_end) as port, _door(port, net_limits=slow) as (door, metrics):
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        # Both ways together 2,020,000 bytes: a hundredth of a second more than come at once.
        sent = b"0123456789" * 101_000
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        writer.close()
    assert metrics.held_s >= 0.01


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of *.example.com and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, form, plain)
    )
    return path


@contextlib.asynccontextmanager
async def _secure(certificate: Path) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _settle()


async def _talk(door: int, certificate: Path, name: str) -> bytes:
    context = ssl.create_default_context(cafile=certificate)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", door, ssl=context, server_hostname=name
    )
    writer.write(b"through TLS")
    told = await reader.read()
    writer.close()
    return told


async def test_a_wildcard_leads_to_the_host_that_tls_names(certificate: Path) -> None:
    async with (
        _secure(certificate) as port,
        _door(port, host="*.example.com") as (door, metrics),
    ):
        assert await _talk(door, certificate, "a.example.com") == b"through TLS"
    assert (metrics.connections, metrics.failures) == (1, 0)


@pytest.mark.parametrize("name", ["a.example.org", "a.b.example.com", "example.com"])
async def test_a_wildcard_resets_who_asks_for_another_host(certificate: Path, name: str) -> None:
    missing: list[str] = []
    async with (
        _secure(certificate) as port,
        _door(port, host="*.example.com", missing=missing) as (door, metrics),
    ):
        with pytest.raises(ConnectionError):
            await _talk(door, certificate, name)
        assert missing == [f"{name}:{port}"]
    assert (metrics.connections, metrics.failures) == (0, 1)


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"]
)
async def test_a_wildcard_resets_who_speaks_no_tls(sent: bytes) -> None:
    missing: list[str] = []
    async with (
        _service(_echo_to_the_end) as port,
        _door(port, host="*.example.com", missing=missing) as (door, metrics),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        writer.write(sent)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
    assert missing == [f"HOST:{port}"]
    assert (metrics.connections, metrics.failures) == (0, 1)
