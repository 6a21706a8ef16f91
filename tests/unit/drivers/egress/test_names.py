"""The names door: granted names and no other, whatever is sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.drivers.egress.allowance import Allowance, NetLimits
from mayfly.drivers.egress.names import NamesDoor
from mayfly.drivers.egress.question import BadQuestion, answer, read_question
from mayfly.telemetry import EgressMetrics
from mayfly.testing.clock import VirtualClock

ADDRESSES = {"api.example.com": "127.1.1.1", "*.example.org": "127.1.1.2"}


def query(name: str, wanted: int = 1, query_id: int = 7) -> bytes:
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return (
        struct.pack("!6H", query_id, 0x0100, 1, 0, 0, 0)
        + labels
        + struct.pack("!BHH", 0, wanted, 1)
    )


@contextlib.asynccontextmanager
async def names_door() -> AsyncIterator[tuple[int, list[str]]]:
    unknown: list[str] = []
    door = NamesDoor(
        ADDRESSES, Allowance(NetLimits(), EgressMetrics(), VirtualClock()), unknown.append
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    task = asyncio.get_running_loop().create_task(door.attend(listener))
    try:
        yield listener.getsockname()[1], unknown
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listener.close()
        for _ in range(3):
            await asyncio.sleep(0)


async def ask(port: int, *queries: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(struct.pack("!H", len(one)) + one for one in queries))
    replies = []
    for _ in queries:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        replies.append(await reader.readexactly(length))
    writer.close()
    return replies


def code(reply: bytes) -> int:
    return reply[3] & 15


async def test_a_granted_name_is_the_address_of_its_door() -> None:
    async with names_door() as (port, unknown):
        both = await ask(port, query("API.example.com", query_id=9), query("api.example.com", 28))
    assert both[0][:2] == struct.pack("!H", 9)
    assert both[0].endswith(socket.inet_aton("127.1.1.1"))
    assert [code(one) for one in both] == [0, 0]
    # It has no address of the other family: that is an empty answer, not a name that is not there.
    assert struct.unpack("!H", both[1][6:8]) == (0,)
    assert not unknown


async def test_another_name_is_not_there_and_is_told_once() -> None:
    async with names_door() as (port, unknown):
        replies = await ask(
            port, query("evil.test"), query("evil.test", 28), query("1.in-addr", 12)
        )
    assert [code(one) for one in replies] == [3, 3, 3]
    assert unknown == ["evil.test"]


async def test_a_wildcard_stands_for_one_label() -> None:
    async with names_door() as (port, unknown):
        names = ("a.example.org", "a.b.example.org", "example.org")
        replies = await ask(port, *(query(one) for one in names))
    assert [code(one) for one in replies] == [0, 3, 3]
    assert replies[0].endswith(socket.inet_aton("127.1.1.2"))
    assert unknown == ["a.b.example.org", "example.org"]


@pytest.mark.parametrize(
    "sent",
    [b"\0\1x", b"\xff\xff" + b"x" * 65_535, struct.pack("!H", 12) + b"\xff" * 12],
    ids=["short", "long", "response"],
)
async def test_who_speaks_no_dns_is_cut_off(sent: bytes) -> None:
    async with names_door() as (port, unknown):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        # The door goes on.
        assert code((await ask(port, query("api.example.com")))[0]) == 0
    assert not unknown


@pytest.mark.parametrize(
    "name", [b"\x03a.b\0", b"\xc0\x0c", b"\x05ab\0", b"\x02\n\n\0", b"\x40" + b"a" * 64 + b"\0"]
)
def test_a_name_that_is_none_is_refused(name: bytes) -> None:
    with pytest.raises(BadQuestion):
        read_question(struct.pack("!6H", 1, 0, 1, 0, 0, 0) + name + b"\0\1\0\1")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_question_or_refused(message: bytes) -> None:
    with contextlib.suppress(BadQuestion):
        answer(read_question(message), None)


@given(st.binary(max_size=300))
def test_any_question_is_given_back_as_it_came(tail: bytes) -> None:
    message = query("api.example.com") + tail
    assert answer(read_question(message), None)[12:] == query("api.example.com")[12:]
