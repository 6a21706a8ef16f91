"""Waiting: nobody sleeps through an arrival, and no wake-up is lost with a cancelled poll."""

from __future__ import annotations

import asyncio

from mayfly.stores.queues.audience import Audience
from mayfly.stores.queues.timetable import Timetable
from tests.unit.stores.queues.world import HandClock, settled


async def test_an_arrival_between_looking_and_waiting_is_not_slept_through() -> None:
    clock = HandClock()
    audience = Audience(clock, Timetable(clock))
    news = audience.attend(1)
    audience.arrived(1)
    await asyncio.wait_for(audience.wait(1, news=news, until_s=1_020), 5)


async def test_a_poll_that_is_cancelled_after_it_was_woken_wakes_the_next() -> None:
    clock = HandClock()
    audience = Audience(clock, Timetable(clock))
    async with asyncio.TaskGroup() as group:
        news = audience.attend(1)
        first, second = (
            group.create_task(audience.wait(1, news=news, until_s=1_020)) for _ in range(2)
        )
        await settled()
        audience.arrived(1)
        assert first.cancel()
        await asyncio.wait_for(second, 5)
        assert first.cancelled()


async def test_acts_are_done_in_the_order_of_their_times_and_all_at_the_end() -> None:
    clock = HandClock()
    timetable = Timetable(clock)
    done: list[str] = []
    async with asyncio.TaskGroup() as group:
        running = group.create_task(timetable.run())
        timetable.at(1_009, lambda: done.append("late"))
        timetable.at(1_005, lambda: done.append("early"))
        timetable.at(1_004, lambda: done.append("never")).cancel()
        await settled()
        clock.step(5)
        await settled()
        assert done == ["early"]
        running.cancel()
    assert done == ["early", "late"]
    timetable.at(2_000, lambda: done.append("after"))
    assert done[-1] == "after"
