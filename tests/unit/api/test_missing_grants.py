"""What functions tried without its grant is told to their owners, and no flood of it."""

from __future__ import annotations

import logging

import pytest

from mayfly.api.missing_grants import LINE_EVERY_S, LINES_AT_ONCE, SAID_AGAIN_S, MissingGrants
from mayfly.model.grant import Grant, GrantKind
from mayfly.telemetry import Metrics
from mayfly.testing.clock import VirtualClock
from mayfly.testing.memory import MemoryLogStore

SEND = Grant(GrantKind.QUEUES, "orders", "send")


class World:
    def __init__(self) -> None:
        self.logs, self.metrics, self.clock = MemoryLogStore(), Metrics(), VirtualClock()
        self.missing = MissingGrants(self.logs, self.metrics, self.clock)

    async def lines(self, name: str = "f") -> list[str]:
        return [one.text for one in await self.logs.read(name)]


async def test_the_line_holds_what_to_write_into_the_manifest() -> None:
    world = World()
    world.missing.teller("f")(SEND)
    (line,) = await world.lines()
    assert 'queues = ["orders:send"] under [grants]' in line
    assert await world.lines("g") == []


async def test_every_refusal_is_counted_and_the_same_grant_is_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "mayfly")
    world = World()
    for _ in range(3):
        world.missing.tell("f", SEND)
    assert len(await world.lines()) == 1
    assert [one.getMessage() for one in caplog.records] == [
        "event=grant_missing function=f grant=queues:orders:send"
    ]
    world.clock.step(SAID_AGAIN_S)
    world.missing.tell("f", SEND)
    assert len(await world.lines()) == 2
    series = b'mayfly_grants_missing_total{function="f",grant="queues:orders:send"} 4.0'
    assert series in world.metrics.render()


async def test_many_grants_are_said_a_few_at_a_time_and_counted_within_a_bound() -> None:
    world = World()
    for number in range(1_000):
        world.missing.tell("f", Grant(GrantKind.TABLES, f"t{number}", "read"))
    assert len(await world.lines()) == LINES_AT_ONCE
    counts = world.metrics.missing_grants()["f"]
    assert sum(counts.values()) == 1_000
    assert len(counts) == 33
    assert counts["other"] == 1_000 - 32
    world.clock.step(LINE_EVERY_S)
    for number in range(1_000, 2_000):
        world.missing.tell("f", Grant(GrantKind.TABLES, f"t{number}", "read"))
    assert len(await world.lines()) == LINES_AT_ONCE + 1


async def test_objects_are_counted_by_their_bucket() -> None:
    world = World()
    for number in range(100):
        world.missing.tell("f", Grant(GrantKind.OBJECTS, f"photos/{number}", "write"))
    assert world.metrics.missing_grants()["f"] == {"objects:photos:write": 100}


@pytest.mark.parametrize("name", ["a\nb", "a\r\n[INFO] all is well", 'a"]', "\x1b[2J", "é\u2028x"])
async def test_a_name_makes_no_second_line_and_no_control_character(name: str) -> None:
    world = World()
    world.missing.tell("f", Grant(GrantKind.OBJECTS, f"photos/{name}", "read"))
    (line,) = await world.lines()
    assert line.isascii()
    assert line.isprintable()


async def test_a_long_name_is_cut() -> None:
    world = World()
    world.missing.tell("f", Grant(GrantKind.QUEUES, "q" * 100_000, "send"))
    (line,) = await world.lines()
    assert len(line) < 1_000
    assert max(len(one) for one in world.metrics.missing_grants()["f"]) < 200


async def test_the_series_go_with_the_function() -> None:
    world = World()
    world.missing.tell("f", SEND)
    world.metrics.forget("f")
    assert b"grants_missing_total{" not in world.metrics.render()
