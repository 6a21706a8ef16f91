from __future__ import annotations

import asyncio

from mayfly.engine.alarm import Alarm
from mayfly.testing.clock import VirtualClock, in_virtual_time


@in_virtual_time
async def test_it_wakes_at_its_time(clock: VirtualClock) -> None:
    alarm = Alarm(clock)
    start_s = clock.monotonic_s()
    alarm.set(start_s + 60)
    await alarm.wait()
    assert 60 <= clock.monotonic_s() - start_s < 60.001


@in_virtual_time
async def test_an_earlier_time_moves_it_and_a_later_one_does_not(clock: VirtualClock) -> None:
    alarm = Alarm(clock)
    start_s = clock.monotonic_s()
    alarm.set(start_s + 60)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(alarm.wait())
        await clock.sleep(1)
        alarm.set(start_s + 90)
        alarm.set(start_s + 5)
        await waiting
    assert 5 <= clock.monotonic_s() - start_s < 5.001


@in_virtual_time
async def test_it_can_be_rung_before_anybody_waits(clock: VirtualClock) -> None:
    alarm = Alarm(clock)
    alarm.ring()
    await alarm.wait()


@in_virtual_time
async def test_it_is_off_after_it_rang(clock: VirtualClock) -> None:
    alarm = Alarm(clock)
    alarm.ring()
    await alarm.wait()
    try:
        async with asyncio.timeout(3600):
            await alarm.wait()
    except TimeoutError:
        return
    raise AssertionError("it rang twice")
