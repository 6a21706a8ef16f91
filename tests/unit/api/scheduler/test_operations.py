"""What the scheduler's operations do where a client over the wire would have to wait or guess."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mayfly.api.message import Headers, Principal, Request
from mayfly.api.permits import AccessDenied
from mayfly.api.scheduler.operations import SchedulerOperations
from mayfly.api.wire.model import service_model
from mayfly.api.wire.params import Params
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.stores.schedules.store import ScheduleStore
from mayfly.testing.clock import VirtualClock
from mayfly.testing.ids import SeededIds
from tests.support.immediate import ImmediateStore

OWNER = Principal("AK", "000000000000", "arn:aws:iam::000000000000:root", "scheduler", "us-east-1")
FUNCTION = Principal("AK", "000000000000", "arn", "scheduler", "us-east-1", "f", ())
TARGET = Params(Arn="arn:aws:lambda:us-east-1:000000000000:function:f", RoleArn="role")


def request(principal: Principal) -> Request:
    return Request("POST", "/", "", Headers(), b"", principal, "id")


def wanted(**members: object) -> Params:
    plain = {
        "Name": "s",
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": Params(Mode="OFF"),
        "Target": TARGET,
    }
    return Params(plain | members)


class World:
    """Operations on a store in virtual time."""

    def __init__(self, database: ImmediateStore) -> None:
        self.database = database
        self.clock = VirtualClock()

    async def open(self) -> None:
        now_ms = int(self.clock.now_ms())
        self.store = await ScheduleStore.open(self.database, Outbox(), now_ms)
        self.operations = SchedulerOperations(self.store, self.clock, SeededIds())

    async def do(self, name: str, params: Params) -> None:
        await self.operations.handle(name, params, request(OWNER))

    def due_ms(self) -> int | None:
        found = self.store.find_nowait("default", "s")
        assert found is not None
        return found.plan.due_ms


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = ImmediateStore(tmp_path / "mayfly.db")
    made = World(database)
    await made.open()
    yield made
    await database.close()


def test_every_operation_of_the_model_is_there(tmp_path: Path) -> None:
    database = ImmediateStore(tmp_path / "mayfly.db")
    operations = SchedulerOperations(ScheduleStore(database, Outbox()), VirtualClock(), SeededIds())
    names = list(service_model("scheduler").operations)
    assert len(names) == 12
    assert all(operations.implements(name) for name in names)
    database._connection.close()


async def test_a_functions_key_may_do_none_of_them(world: World) -> None:
    for name in service_model("scheduler").operations:
        with pytest.raises(AccessDenied):
            await world.operations.handle(name, Params(), request(FUNCTION))


async def test_an_update_that_leaves_the_times_alone_leaves_what_is_due_alone(
    world: World,
) -> None:
    await world.do("CreateSchedule", wanted())
    due_ms = world.due_ms()
    world.clock.step(100)
    await world.do("UpdateSchedule", wanted(Description="other"))
    assert world.due_ms() == due_ms
    await world.do("UpdateSchedule", wanted(ScheduleExpression="rate(2 hours)"))
    assert world.due_ms() == int(world.clock.now_ms())


async def test_a_disabled_schedule_is_not_due_and_an_enabled_one_keeps_its_pace(
    world: World,
) -> None:
    await world.do("CreateSchedule", wanted())
    began_ms = world.due_ms()
    assert began_ms is not None
    await world.do("UpdateSchedule", wanted(State="DISABLED"))
    assert world.due_ms() is None
    world.clock.step(1_800)
    await world.do("UpdateSchedule", wanted(State="ENABLED"))
    assert world.due_ms() == began_ms + 3_600_000
