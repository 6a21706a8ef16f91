"""The source of schedules, in virtual time: on time, once, whatever the wall clock does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.sources.schedule import ScheduleSource
from mayfly.stores.schedules.schedule import Plan, Schedule, Target, first_plan
from mayfly.stores.schedules.store import ScheduleStore
from mayfly.stores.schedules.tokens import Token
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.faults import Faults
from mayfly.testing.ids import SeededIds
from tests.support.carrier import TableCarrier
from tests.support.immediate import ImmediateStore

MINUTE, HOUR, DAY = 60, 3_600, 86_400
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


class World:
    """A store of schedules, its source, and what was handed over."""

    def __init__(self, clock: VirtualClock, store: ImmediateStore) -> None:
        self.clock = clock
        self.ids = SeededIds()
        self._database = store
        self._outbox = Outbox()
        self.carrier = TableCarrier(store)
        self._outbox.employ("lambda", self.carrier)
        self.began_ms = int(clock.now_ms())
        self.gone: set[str] = set()

    async def open(self) -> None:
        await self.carrier.open()
        self.store = await ScheduleStore.open(self._database, self._outbox, self.began_ms)
        self.source = ScheduleSource(
            self.store, self.clock, self.ids, lambda name: name not in self.gone
        )

    def employ(self, service: str) -> None:
        self._outbox.employ(service, self.carrier)

    async def make(self, expression: str, **members: object) -> Schedule:
        now_ms = int(self.clock.now_ms())
        made = Schedule(
            group="default",
            name=str(members.pop("name", "s")),
            expression=expression,
            zone="UTC",
            target=Target(FUNCTION, "arn:aws:iam::000000000000:role/r", input="{}"),
            created_ms=now_ms,
            modified_ms=now_ms,
            anchor_ms=now_ms,
            revision_id="1",
        )
        made = replace(made, **members)  # type: ignore[arg-type]  # by name
        await self.store.create(made, self.plan(made), Token("", b"", now_ms))
        return made

    def plan(self, schedule: Schedule) -> Plan:
        return first_plan(schedule, int(self.clock.now_ms()), self.ids.token(8))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.source.run())
            try:
                yield
            finally:
                task.cancel()

    def seconds(self) -> list[float]:
        """When each parcel was handed over, in seconds since the beginning, by the wall clock."""
        return [round((at_ms - self.began_ms) / 1000, 1) for _, at_ms in self.carrier.carried()]


@contextlib.asynccontextmanager
async def world(
    clock: VirtualClock, folder: Path, sites: Faults | None = None
) -> AsyncIterator[World]:
    store = ImmediateStore(folder / "mayfly.db", sites or Faults())
    made = World(clock, store)
    try:
        await made.open()
        yield made
    finally:
        await store.close()


@in_virtual_time
async def test_a_rate_is_handed_over_at_once_and_at_its_pace(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one:
        await one.make("rate(5 minutes)")
        async with one.running():
            await clock.sleep(15 * MINUTE + 1)
        assert one.seconds() == [0, 300, 600, 900]
        assert len(one.carrier.told) == 4


@in_virtual_time
async def test_a_schedule_that_is_made_while_the_source_sleeps_wakes_it(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one, one.running():
        await clock.sleep(10 * DAY)
        await one.make("rate(1 hour)")
        await clock.sleep(1)
        assert one.seconds() == [10 * DAY]


@in_virtual_time
async def test_after_downtime_a_missed_schedule_is_made_up_for_once(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one:
        await one.make("rate(1 minute)")
        async with one.running():
            await clock.sleep(1)
        clock.step(5 * HOUR)
        async with one.running():
            await clock.sleep(2 * MINUTE)
        made_up = one.seconds()
        assert len(made_up) == 4
        assert made_up[1] == 5 * HOUR + 1
        assert made_up[2:] == [5 * HOUR + 60, 5 * HOUR + 120]


@in_virtual_time
async def test_a_clock_that_is_set_forward_floods_nothing_and_set_back_loses_nothing(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one:
        await one.make("rate(10 minutes)")
        async with one.running():
            await clock.sleep(MINUTE)
            clock.jump_wall(300 * DAY * 1000)
            await clock.sleep(2 * MINUTE)
            assert len(one.carrier.told) == 2
            clock.jump_wall(-300 * DAY * 1000)
            await clock.sleep(27 * MINUTE + 30)
        assert len(one.carrier.told) == 5
        first, ahead, *others = one.seconds()
        assert (first, others) == (0, [600, 1200, 1800])
        assert ahead > 299 * DAY


@in_virtual_time
async def test_a_small_correction_of_the_clock_hands_nothing_over_twice(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one:
        await one.make("rate(1 hour)")
        async with one.running():
            await clock.sleep(1)
            clock.jump_wall(-1_500)
            await clock.sleep(HOUR + 2)
        assert one.seconds() == [0, HOUR]


@in_virtual_time
async def test_the_wall_clock_is_looked_at_each_minute(clock: VirtualClock, tmp_path: Path) -> None:
    async with world(clock, tmp_path) as one:
        await one.make("at(2025-08-01T00:00:00)")
        async with one.running():
            await clock.sleep(1)
            clock.jump_wall(60 * DAY * 1000)
            await clock.sleep(MINUTE)
            assert len(one.carrier.told) == 1
            clock.jump_wall(-60 * DAY * 1000)
            await clock.sleep(60 * DAY)
        assert len(one.carrier.told) == 1


@in_virtual_time
async def test_a_one_time_schedule_is_deleted_when_it_says_so(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one:
        await one.make("at(2025-06-15T16:00:00)", name="kept")
        await one.make("at(2025-06-15T16:00:00)", name="gone", delete_after=True)
        async with one.running():
            await clock.sleep(HOUR)
        assert len(one.carrier.told) == 2
        assert one.store.find_nowait("default", "gone") is None
        kept = one.store.find_nowait("default", "kept")
        assert kept is not None
        assert kept.plan.due_ms is None


@in_virtual_time
async def test_a_write_that_fails_loses_nothing_and_doubles_nothing(
    clock: VirtualClock, tmp_path: Path
) -> None:
    faults = Faults()
    async with world(clock, tmp_path, faults) as one:
        await one.make("rate(1 hour)")
        # At the start, at once again since it was rung meanwhile, and 5 s later.
        faults.fail("SCHEDULES:FIRE", times=3)
        async with one.running():
            await clock.sleep(MINUTE)
            assert one.seconds() == [10]
            assert len(one.carrier.told) == 1
            await clock.sleep(HOUR)
        assert one.seconds() == [10, HOUR]


@in_virtual_time
async def test_a_schedule_that_is_changed_meanwhile_is_not_handed_over_as_it_was(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one:
        made = await one.make("rate(1 hour)")
        seen = one.store.find_nowait("default", "s")
        assert seen is not None
        later = replace(made, revision_id="2", enabled=False)
        assert await one.store.replace(later, one.plan(later), expected_revision_id="1")
        assert not await one.store.fire(seen, seen.plan, one.began_ms)
        async with one.running():
            await clock.sleep(2 * HOUR)
        assert one.carrier.told == []


@in_virtual_time
async def test_the_input_is_filled_in_and_without_one_there_is_a_notification(
    clock: VirtualClock, tmp_path: Path
) -> None:
    text = (
        '{"arn": "<aws.scheduler.schedule-arn>", "when": "<aws.scheduler.scheduled-time>", '
        '"id": "<aws.scheduler.execution-id>", "n": "<aws.scheduler.attempt-number>"}'
    )
    async with world(clock, tmp_path) as one:
        with_input = replace(Target(FUNCTION, "role"), input=text)
        await one.make("at(2025-06-15T16:00:00)", name="a", target=with_input)
        async with one.running():
            await clock.sleep(HOUR)
        await one.make("at(2025-06-15T17:00:00)", name="b", target=Target(FUNCTION, "role"))
        async with one.running():
            await clock.sleep(HOUR)
        filled, notified = (json.loads(body) for body, _ in one.carrier.carried())
        assert filled["arn"].endswith(":schedule/default/a")
        assert (filled["when"], filled["n"]) == ("2025-06-15T16:00:00Z", "1")
        assert len(filled["id"]) == 16
        assert notified["detail-type"] == "Scheduled Event"
        assert notified["time"] == "2025-06-15T17:00:00Z"
        assert notified["resources"] == [
            "arn:aws:scheduler:us-east-1:000000000000:schedule/default/b"
        ]
        assert one.carrier.told[0].source == "schedule:default/a"


@in_virtual_time
async def test_many_schedules_of_one_moment_are_all_handed_over(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with world(clock, tmp_path) as one:
        for number in range(300):
            await one.make("at(2025-06-15T16:00:00)", name=f"s{number}")
        async with one.running():
            await clock.sleep(HOUR)
        assert len(one.carrier.told) == 300


@in_virtual_time
async def test_what_is_for_a_function_that_is_gone_goes_to_the_dead_letter_queue(
    clock: VirtualClock, tmp_path: Path
) -> None:
    queue = "arn:aws:sqs:us-east-1:000000000000:dead"
    target = Target(FUNCTION, "role", input='{"a": 1}', dead_letter_arn=queue)
    async with world(clock, tmp_path) as one:
        one.employ("sqs")
        await one.make("rate(1 hour)", target=target)
        async with one.running():
            await clock.sleep(MINUTE)
            one.gone.add("f")
            await clock.sleep(HOUR)
        delivered, dead = one.carrier.told
        assert (delivered.target_arn, dead.target_arn) == (FUNCTION, queue)
        assert delivered.parcel_id != dead.parcel_id
        assert dead.body == b'{"a": 1}'
        assert dead.attributes["TARGET_ARN"] == FUNCTION
        assert dead.attributes["SCHEDULED_TIME"] == "2025-06-15T16:06:40Z"
        assert delivered.attributes == {}
