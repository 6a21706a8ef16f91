"""A ClientHello is read as it comes: in pieces, from anybody, whole or not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.drivers.egress.hello import HELLO_BYTES_MAX, BadHello, read_hello, server_name


def client_hello(name: str | None) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def records(message: bytes, size: int) -> bytes:
    """The handshake message again, in records of at most `size` bytes."""
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(one).to_bytes(2) + one for one in parts)


async def read(data: bytes) -> tuple[bytes, str]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read_hello(reader)


async def test_the_name_is_read_and_nothing_is_taken_away() -> None:
    hello = client_hello("API.Example.com")
    assert await read(hello + b"more") == (hello, "api.example.com")


@pytest.mark.parametrize("size", [1, 3, 5, 100])
async def test_a_hello_may_come_in_many_records(size: int) -> None:
    cut = records(client_hello("a.example.com")[5:], size)
    assert await read(cut) == (cut, "a.example.com")


async def test_a_hello_that_names_nobody_is_refused() -> None:
    with pytest.raises(BadHello, match="names no host"):
        await read(client_hello(None))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x01\x02",
        records(b"\x01\xff\xff\xff" + bytes(HELLO_BYTES_MAX), 16_384),
    ],
    ids=["http", "empty", "another message", "too long"],
)
async def test_what_is_no_hello_is_refused(data: bytes) -> None:
    with pytest.raises(BadHello):
        await read(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_hello_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadHello):
        server_name(data)


HELLO = client_hello("a.example.com")[9:]


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_a_name_or_a_refusal(at: int, value: int) -> None:
    changed = HELLO[:at] + bytes([value]) + HELLO[at + 1 :]
    with contextlib.suppress(BadHello):
        assert server_name(changed).isascii()


@given(st.integers(0, len(HELLO) - 1))
def test_a_hello_that_breaks_off_is_refused_or_has_its_name(length: int) -> None:
    with contextlib.suppress(BadHello):
        assert server_name(HELLO[:length]) == "a.example.com"
