from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.testing.clock import Deadlocked, VirtualClock, in_virtual_time, run_virtual
from mayfly.testing.ids import SeededIds


@in_virtual_time
async def test_a_day_passes_in_no_time(clock: VirtualClock) -> None:
    start_ms, start_s = clock.now_ms(), clock.monotonic_s()
    await clock.sleep(86_400)
    assert clock.monotonic_s() - start_s == pytest.approx(86_400)
    assert clock.now_ms() - start_ms == pytest.approx(86_400_000)


@in_virtual_time
async def test_asyncios_own_timers_follow_the_clock(clock: VirtualClock) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await clock.sleep(61)


@in_virtual_time
async def test_sleepers_wake_in_the_order_of_their_times(clock: VirtualClock) -> None:
    order: list[int] = []

    async def sleep(seconds: int) -> None:
        await clock.sleep(seconds)
        order.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3, 1, 2):
            tasks.create_task(sleep(seconds))
    assert order == [1, 2, 3]


def test_waiting_for_nothing_is_an_error_instead_of_a_hang() -> None:
    async def wait(_clock: VirtualClock) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlocked):
        run_virtual(wait)


@in_virtual_time
async def test_a_thread_may_still_report(clock: VirtualClock) -> None:
    assert clock is not None
    assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()


@in_virtual_time
async def test_the_wall_clock_jumps_and_durations_do_not_see_it(clock: VirtualClock) -> None:
    wall_ms, start_s = clock.now_ms(), clock.monotonic_s()
    clock.jump_wall(-3_600_000)
    assert clock.now_ms() == wall_ms - 3_600_000
    assert clock.monotonic_s() == start_s


@given(seconds=st.floats(0, 1e6))
@in_virtual_time
async def test_hypothesis_sees_the_other_parameters(clock: VirtualClock, seconds: float) -> None:
    start_s = clock.monotonic_s()
    await clock.sleep(seconds)
    assert clock.monotonic_s() >= start_s + seconds


def test_a_seed_names_the_same_things_again() -> None:
    first, second, other = SeededIds(7), SeededIds(7), SeededIds(8)
    assert first.uuid() == second.uuid() != other.uuid()
    assert first.token(16) == second.token(16)
    assert len(first.token(9)) == 9
