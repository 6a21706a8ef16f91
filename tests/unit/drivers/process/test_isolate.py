"""The daemon's half of one isolate, with a socket in the isolate's place."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mayfly.daemon.world import RealClock
from mayfly.drivers.channel import ANSWER, FAILURE, FAILURE_HEAD, READY, U32, Hub, frame
from mayfly.drivers.process.isolate import ProcessIsolate
from mayfly.model.errors import IsolateLost
from mayfly.model.function import Reuse
from mayfly.ports import Clock, Nursery
from mayfly.testing.driver import FakeDriver
from mayfly.testing.ids import SeededIds
from tests.support.bench import Bench, Watcher
from tests.support.platform import RUNTIME


class Family:
    """Household, Nursery and the isolate's own end of the channel."""

    def __init__(self, reuse: Reuse) -> None:
        driver = FakeDriver(RealClock(), {})
        self.bench = Bench(driver, Path("/nowhere"), RUNTIME, lambda _: None, SeededIds(1))
        self.spec = self.bench.spec(reuse=reuse)
        self.watcher = Watcher()
        self.nursery: Nursery = self.watcher
        self.clock: Clock = RealClock()
        self.loop = asyncio.get_running_loop()
        self.was_told: asyncio.Future[None] = self.loop.create_future()
        self.hub = Hub(self.loop)
        self.sent: list[tuple[bytes, int]] = []
        self.dying: list[int] = []
        mine, self.channel = socket.socketpair()
        mine.setblocking(False)
        log, self.log = os.pipe2(os.O_NONBLOCK)
        self.isolate = ProcessIsolate(
            self, 7, channel=mine.detach(), log=log, namespace_pid=0, born_ms=1.0
        )

    def send(self, kind: bytes, isolate_id: int) -> None:
        self.sent.append((kind, isolate_id))
        if not self.was_told.done():
            self.was_told.set_result(None)

    def expect_death(self, isolate_id: int) -> None:
        self.dying.append(isolate_id)

    def isolate_ready(self, isolate: ProcessIsolate) -> None:
        self.nursery.isolate_parked(isolate)

    def host_pid(self, namespace_pid: int) -> int:
        return namespace_pid

    async def park(self) -> None:
        self.channel.sendall(frame(READY))
        await self.watcher.until(lambda: bool(self.watcher.parked))

    def close(self) -> None:
        self.isolate.buried(0)
        self.channel.close()
        os.close(self.log)
        self.hub.close()


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
