from __future__ import annotations

from mayfly.testing.clock import VirtualClock, in_virtual_time
from tests.unit.engine.world import World


@in_virtual_time
async def test_the_census_counts_snapshots_and_isolates(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        await world.call(await world.function())
        await clock.sleep(1)
        snapshot, isolate = world.engine.census()
    assert (snapshot.kind, snapshot.stage, snapshot.private_kib) == ("snapshot", "ready", 4_000)
    assert (isolate.kind, isolate.stage) == ("isolate", "parked")
    assert isolate.function == "echo"
    assert isolate.private_kib == 800
    assert isolate.born_ms > snapshot.born_ms


@in_virtual_time
async def test_statistics_count_what_happened(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        slow = await world.function("slow")
        await world.calls(slow, 3)
        await clock.sleep(1)
        numbers = world.engine.statistics()["slow"]
    assert (numbers.calls, numbers.errors, numbers.cold_starts, numbers.busy) == (3, 0, 3, 0)
    assert numbers.parked == 3
    assert round(numbers.p50_ms) == round(numbers.p99_ms) == 1_000


@in_virtual_time
async def test_gauges_are_brought_up_to_date(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        await world.call(await world.function())
        await clock.sleep(1)
        await world.engine.measure()
        text = world.metrics.render().decode()
    assert 'mayfly_isolates{state="parked"} 1.0' in text
    assert 'mayfly_isolates{state="busy"} 0.0' in text
    assert "mayfly_snapshots 1.0" in text
    assert 'mayfly_memory_bytes{kind="snapshots"} 4.096e+06' in text
    assert 'mayfly_memory_bytes{kind="isolates"} 819200.0' in text
    assert 'mayfly_invocations_total{function="echo",outcome="success"} 1.0' in text
