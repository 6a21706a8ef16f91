from __future__ import annotations

import asyncio

import pytest

from mayfly.engine.admission import RESERVED_REASON, Admission, Lane
from mayfly.engine.bounds import EngineLimits
from mayfly.engine.turns import Turns
from mayfly.model.errors import ShuttingDown, TooManyRequests
from mayfly.testing.clock import VirtualClock, in_virtual_time


class Desk:
    """One place on the node, and turns for it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.admission = Admission(EngineLimits(node_concurrency_max=1))
        self.turns = Turns(self.admission, clock)
        self.lane = Lane("f", reserved=None, shared_max=900)
        assert self.admission.enter(self.lane, 128)

    async def wait(self, wait_s: float = 10) -> None:
        await self.turns.wait(self.lane, 128, wait_s=wait_s)

    def leave(self) -> None:
        self.turns.leave(self.lane, 128)


@in_virtual_time
async def test_a_waiting_call_runs_when_another_leaves(clock: VirtualClock) -> None:
    desk = Desk(clock)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(desk.wait())
        await clock.sleep(1)
        assert not waiting.done()
        desk.leave()
        await waiting
    assert desk.admission.busy == 1


@in_virtual_time
async def test_a_call_that_waited_too_long_is_refused(clock: VirtualClock) -> None:
    desk = Desk(clock)
    start_s = clock.monotonic_s()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(desk.turns.run())
        with pytest.raises(TooManyRequests, match="waited for one of 1 places"):
            await desk.wait(10)
        watching.cancel()
    assert 10 <= clock.monotonic_s() - start_s < 10.01
    assert desk.admission.waiting == 0


@in_virtual_time
async def test_a_shorter_wait_ends_before_a_longer_one_that_began_earlier(
    clock: VirtualClock,
) -> None:
    desk = Desk(clock)
    ended: list[float] = []

    async def wait(wait_s: float) -> None:
        with pytest.raises(TooManyRequests):
            await desk.wait(wait_s)
        ended.append(wait_s)

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(desk.turns.run())
        async with asyncio.TaskGroup() as waiting:
            waiting.create_task(wait(10))
            waiting.create_task(wait(1))
        watching.cancel()
    assert ended == [1, 10]


@in_virtual_time
async def test_a_cancelled_wait_leaves_the_line(clock: VirtualClock) -> None:
    desk = Desk(clock)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(desk.wait())
        await clock.sleep(1)
        waiting.cancel()
    assert desk.admission.waiting == 0
    desk.leave()
    assert desk.admission.busy == 0


@in_virtual_time
async def test_a_turn_that_is_granted_as_its_call_is_cancelled_goes_to_the_next(
    clock: VirtualClock,
) -> None:
    desk = Desk(clock)
    async with asyncio.TaskGroup() as tasks:
        first, second = tasks.create_task(desk.wait()), tasks.create_task(desk.wait())
        await clock.sleep(1)
        desk.leave()
        first.cancel()
        await second
    assert desk.admission.busy == 1


@in_virtual_time
async def test_a_call_that_is_cancelled_as_a_place_is_free_does_not_keep_it(
    clock: VirtualClock,
) -> None:
    desk = Desk(clock)
    async with asyncio.TaskGroup() as tasks:
        first, second = tasks.create_task(desk.wait()), tasks.create_task(desk.wait())
        await clock.sleep(1)
        first.cancel()
        desk.leave()
        await second
    assert desk.admission.busy == 1


@in_virtual_time
async def test_stopping_a_function_refuses_its_waiting_calls_with_lambdas_reason(
    clock: VirtualClock,
) -> None:
    desk = Desk(clock)
    async with asyncio.TaskGroup() as tasks:

        async def wait() -> None:
            with pytest.raises(TooManyRequests) as caught:
                await desk.wait()
            assert caught.value.reason == RESERVED_REASON

        tasks.create_task(wait())
        await clock.sleep(1)
        desk.turns.reserve(desk.lane, 0)


@in_virtual_time
async def test_when_the_engine_stops_nobody_waits_on(clock: VirtualClock) -> None:
    desk = Desk(clock)
    async with asyncio.TaskGroup() as tasks:

        async def wait() -> None:
            with pytest.raises(ShuttingDown):
                await desk.wait()

        tasks.create_task(wait())
        await clock.sleep(1)
        desk.turns.refuse_all()
