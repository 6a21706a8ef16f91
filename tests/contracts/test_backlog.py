"""What every backlog promises, the double included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict
from mayfly.model.event import Event, EventState
from mayfly.ports import Backlog
from mayfly.testing.memory import MemoryBacklog


@pytest.fixture(params=["sqlite", "memory"])
async def backlog(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backlog]:
    if request.param == "memory":
        yield MemoryBacklog()
        return
    store = await SqliteStore.open(tmp_path / "mayfly.db")
    yield await SqliteBacklog.open(store)
    await store.close()


def make_event(event_id: str = "e1", *, due_ms: int = 1_000) -> Event:
    return Event(
        event_id=event_id,
        function_name="thumbnail",
        qualifier="$LATEST",
        payload=b'{"key": "\xc3\xa9"}',
        accepted_ms=900,
        due_ms=due_ms,
        client_context="e30=",
    )


async def lease(backlog: Backlog, now_ms: int = 1_000, count_max: int = 10) -> list[Event]:
    return list(await backlog.lease(now_ms=now_ms, lease_ms=500, count_max=count_max))


async def test_an_accepted_event_is_leased_as_it_was_given(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    assert await lease(backlog) == [replace(make_event(), state=EventState.LEASED)]


async def test_an_event_is_not_leased_before_it_is_due(backlog: Backlog) -> None:
    await backlog.accept(make_event(due_ms=1_001))
    assert await lease(backlog, now_ms=1_000) == []
    assert len(await lease(backlog, now_ms=1_001)) == 1


async def test_events_come_by_due_time_then_in_order_of_acceptance(backlog: Backlog) -> None:
    for event_id, due_ms in (("late", 30), ("z-first", 20), ("a-second", 20), ("early", 10)):
        await backlog.accept(make_event(event_id, due_ms=due_ms))
    found = await lease(backlog)
    assert [event.event_id for event in found] == ["early", "z-first", "a-second", "late"]


async def test_no_more_are_leased_than_were_asked_for(backlog: Backlog) -> None:
    for number in range(5):
        await backlog.accept(make_event(f"e{number}"))
    assert [event.event_id for event in await lease(backlog, count_max=2)] == ["e0", "e1"]
    assert len(await lease(backlog)) == 3


async def test_a_leased_event_is_not_leased_twice(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    assert len(await lease(backlog)) == 1
    assert await lease(backlog, now_ms=1_499) == []


async def test_an_event_comes_back_when_its_lease_ends(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    await lease(backlog, now_ms=1_000)
    again = await lease(backlog, now_ms=1_500)
    assert [event.event_id for event in again] == ["e1"]
    assert again[0].due_ms == 1_000
    assert await backlog.counts() == {"waiting": 0, "leased": 1, "failed": 0}


async def test_of_those_who_lease_at_once_nobody_gets_the_same_event(backlog: Backlog) -> None:
    for number in range(20):
        await backlog.accept(make_event(f"e{number}"))
    found = await asyncio.gather(*(lease(backlog, count_max=3) for _ in range(8)))
    ids = [event.event_id for events in found for event in events]
    assert len(ids) == 20
    assert len(set(ids)) == 20


async def test_a_settled_event_is_gone_and_may_be_settled_again(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    await lease(backlog)
    await backlog.settle("e1")
    await backlog.settle("e1")
    assert await lease(backlog, now_ms=99_999) == []
    assert await backlog.counts() == {"waiting": 0, "leased": 0, "failed": 0}


async def test_a_retried_event_is_due_later_with_an_attempt_counted(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    await backlog.retry(event, due_ms=61_000, error='{"errorType": "E"}')
    assert await lease(backlog, now_ms=60_999) == []
    (again,) = await lease(backlog, now_ms=61_000)
    assert again == replace(event, due_ms=61_000, attempts=1, error='{"errorType": "E"}')


async def test_a_throttled_event_has_used_up_no_attempt(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    await backlog.retry(event, due_ms=2_000, error="throttled", attempted=False)
    (again,) = await lease(backlog, now_ms=2_000)
    assert again.attempts == 0


async def test_a_failed_event_is_kept_and_never_leased(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    await backlog.fail(event, error="gave up")
    assert await lease(backlog, now_ms=10**12) == []
    assert await backlog.counts() == {"waiting": 0, "leased": 0, "failed": 1}
    assert await backlog.next_due_ms() is None


@pytest.mark.parametrize("act", ["retry", "fail"])
async def test_an_event_that_was_settled_does_not_come_back(backlog: Backlog, act: str) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    await backlog.settle("e1")
    if act == "retry":
        await backlog.retry(event, due_ms=0, error="")
    else:
        await backlog.fail(event, error="")
    assert await backlog.counts() == {"waiting": 0, "leased": 0, "failed": 0}


async def test_at_start_every_lease_ends(backlog: Backlog) -> None:
    for event_id in ("e1", "e2", "e3"):
        await backlog.accept(make_event(event_id))
    await lease(backlog, count_max=2)
    assert await backlog.release(now_ms=1_001) == 2
    assert await backlog.release(now_ms=1_001) == 0
    found = await lease(backlog, now_ms=1_001)
    assert [event.event_id for event in found] == ["e1", "e2", "e3"]


async def test_a_released_event_is_due_even_when_the_clock_went_back(backlog: Backlog) -> None:
    await backlog.accept(make_event(due_ms=1_000))
    await lease(backlog, now_ms=1_000)
    await backlog.release(now_ms=50)
    assert len(await lease(backlog, now_ms=50)) == 1


async def test_the_next_due_time_is_the_first_of_waiting_events(backlog: Backlog) -> None:
    assert await backlog.next_due_ms() is None
    await backlog.accept(make_event("e1", due_ms=3_000))
    await backlog.accept(make_event("e2", due_ms=2_000))
    assert await backlog.next_due_ms() == 2_000


async def test_the_end_of_a_lease_is_a_due_time(backlog: Backlog) -> None:
    await backlog.accept(make_event("e1", due_ms=1_000))
    await lease(backlog, now_ms=1_000)
    assert await backlog.next_due_ms() == 1_500


async def test_the_same_event_is_not_accepted_twice(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    with pytest.raises(Conflict, match="e1"):
        await backlog.accept(make_event())
    assert await backlog.counts() == {"waiting": 1, "leased": 0, "failed": 0}


async def test_a_payload_of_any_bytes_is_kept_whole(backlog: Backlog) -> None:
    payload = bytes(range(256)) * 4_096
    await backlog.accept(replace(make_event(), payload=payload))
    assert (await lease(backlog))[0].payload == payload
