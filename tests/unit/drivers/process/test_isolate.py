"""The daemon's half of one isolate, with a socket in the isolate's place."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator

import pytest

from mayfly.drivers.channel import ANSWER, FAILURE, FAILURE_HEAD, READY, U32, frame
from mayfly.model.errors import IsolateLost
from mayfly.model.function import Reuse
from tests.support.isolate_family import Family


@pytest.fixture(params=list(Reuse))
async def family(request: pytest.FixtureRequest) -> AsyncIterator[Family]:
    made = Family(request.param)
    yield made
    made.close()


async def test_an_answer_that_its_writer_did_not_outlive_is_still_the_answer(
    family: Family,
) -> None:
    """As much as the socket holds may lie there, unread, when the death is told."""
    await family.park()
    body = b'"' + b"x" * 150_000 + b'"'
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(family.isolate.invoke(family.bench.invocation(), timeout_s=10))
        await asyncio.sleep(0)
        family.channel.sendall(frame(ANSWER, U32.pack(1024), body))
        family.channel.close()
        family.isolate.buried(signal.SIGKILL)
    assert call.result().error_type == ""
    assert call.result().payload == body
    assert not call.result().alive


async def test_an_isolate_that_says_more_than_its_answer_is_not_used_again(
    family: Family,
) -> None:
    await family.park()
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(family.isolate.invoke(family.bench.invocation(), timeout_s=10))
        await asyncio.sleep(0)
        answer = frame(ANSWER, U32.pack(1024), b'"mine"')
        family.channel.sendall(answer + frame(ANSWER, U32.pack(1), b'"for the next one"'))
    assert call.result().payload == b'"mine"'
    assert not call.result().alive


@pytest.mark.parametrize(
    "said",
    [
        frame(READY),
        frame(ANSWER, b""),
        frame(FAILURE, b"\0\0\0\0"),
        frame(99, b"abcd"),
        b"garbage that is no frame",
        frame(ANSWER, U32.pack(0), b"x" * 6_291_557),
    ],
    ids=["READY", "no head", "half a head", "unknown kind", "garbage", "too long"],
)
async def test_what_may_not_stand_there_ends_the_isolate(family: Family, said: bytes) -> None:
    await family.park()
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(family.isolate.invoke(family.bench.invocation(), timeout_s=10))
        await asyncio.sleep(0)
        tasks.create_task(asyncio.to_thread(_send_all, family.channel, said))
    assert call.result().error_type == "Runtime.InvalidResponse"
    assert family.sent == [(b"K", 7)]


def _send_all(channel: socket.socket, data: bytes) -> None:
    try:
        channel.sendall(data)
    except OSError:
        return


async def test_a_parked_isolate_that_speaks_is_ended(family: Family) -> None:
    await family.park()
    family.channel.sendall(frame(ANSWER, U32.pack(0), b"null"))
    await family.was_told
    with pytest.raises(IsolateLost):
        await family.isolate.invoke(family.bench.invocation(), timeout_s=1)


async def test_a_failure_whose_head_lies_about_its_length_is_an_answer(family: Family) -> None:
    await family.park()
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(family.isolate.invoke(family.bench.invocation(), timeout_s=10))
        await asyncio.sleep(0)
        family.channel.sendall(frame(FAILURE, FAILURE_HEAD.pack(1, 65_535), b"\xffname"))
    assert call.result().error is not None


async def test_an_event_larger_than_the_socket_goes_in_pieces(family: Family) -> None:
    await family.park()
    event = b'"' + b"e" * 6_000_000 + b'"'

    def read_all() -> int:
        left = 6_000_000
        while left > 0:
            left -= len(family.channel.recv(1 << 16))
        return left

    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(
            family.isolate.invoke(family.bench.invocation(event), timeout_s=10)
        )
        await asyncio.to_thread(read_all)
        family.channel.sendall(frame(ANSWER, U32.pack(0), b"1"))
    assert call.result().payload == b"1"
