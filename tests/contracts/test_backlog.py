"""What every backlog promises, the double included."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict
from mayfly.model.event import Condition, Event, EventFilter, EventState
from mayfly.model.parcel import Parcel
from mayfly.ports import Backlog
from mayfly.testing.memory import MemoryBacklog

QUEUE = "arn:aws:sqs:us-east-1:000000000000:records"
GONE = "arn:aws:sqs:us-east-1:000000000000:gone"
NEXT = "arn:aws:lambda:us-east-1:000000000000:function:next"


class Queues:
    """A carrier of queues; one of them does not exist."""

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool:
        assert connection.in_transaction
        assert now_ms
        return parcel.target_arn != GONE

    def arrived(self, parcel: Parcel) -> None:
        """Nobody waits."""


@pytest.fixture(params=["sqlite", "memory"])
async def backlog(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backlog]:
    if request.param == "memory":
        memory = MemoryBacklog()
        memory.gone.add(GONE)
        yield memory
        return
    outbox = Outbox()
    store = await SqliteStore.open(tmp_path / "mayfly.db")
    real = await SqliteBacklog.open(store, outbox)
    outbox.employ("lambda", real)
    outbox.employ("sqs", Queues())
    yield real
    await store.close()


def make_event(
    event_id: str = "e1", *, due_ms: int = 1_000, name: str = "thumbnail", source: str = "invoke"
) -> Event:
    return Event(
        event_id=event_id,
        function_name=name,
        qualifier="$LATEST",
        payload=b'{"key": "\xc3\xa9"}',
        accepted_ms=900,
        due_ms=due_ms,
        client_context="e30=",
        source=source,
        trace_id="Root=1-5759e988-bd862e3fe1be46a994272793",
    )


async def lease(backlog: Backlog, now_ms: int = 1_000, count_max: int = 10) -> list[Event]:
    shares = dict.fromkeys(backlog.ready_nowait(), count_max)
    return list(await backlog.lease(now_ms=now_ms, lease_ms=500, shares=shares))


async def fail(
    backlog: Backlog, event: Event, *, now_ms: int = 5_000, parcels: Sequence[Parcel] = ()
) -> None:
    await backlog.fail(
        event,
        error="gave up",
        condition=Condition.RETRIES_EXHAUSTED,
        now_ms=now_ms,
        parcels=parcels,
    )


def parcel(target_arn: str, parcel_id: str = "p1") -> Parcel:
    return Parcel(parcel_id, target_arn, b'{"version": "1.0"}', source="destination:thumbnail")


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
    await fail(backlog, replace(event, attempts=3))
    assert await lease(backlog, now_ms=10**12) == []
    assert await backlog.counts() == {"waiting": 0, "leased": 0, "failed": 1}
    assert not backlog.ready_nowait()
    assert await backlog.event("e1") == replace(
        event,
        state=EventState.FAILED,
        attempts=3,
        error="gave up",
        condition="RetriesExhausted",
        failed_ms=5_000,
    )


@pytest.mark.parametrize("act", ["retry", "fail"])
async def test_an_event_that_was_settled_does_not_come_back(backlog: Backlog, act: str) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    await backlog.settle("e1")
    if act == "retry":
        await backlog.retry(event, due_ms=0, error="")
    else:
        await fail(backlog, event, parcels=[parcel(NEXT)])
    assert await backlog.counts() == {"waiting": 0, "leased": 0, "failed": 0}


async def test_what_an_answered_event_leaves_for_a_function_is_an_event(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    await lease(backlog)
    assert await backlog.settle("e1", parcels=[parcel(NEXT)], now_ms=2_000)
    (found,) = await lease(backlog, now_ms=2_000)
    assert (found.event_id, found.function_name) == ("p1", "next")
    assert (found.payload, found.source) == (b'{"version": "1.0"}', "destination:thumbnail")
    assert await backlog.counts() == {"waiting": 0, "leased": 1, "failed": 0}


async def test_an_event_that_is_settled_twice_leaves_its_parcel_once(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    await lease(backlog)
    for parcel_id in ("p1", "p2"):
        await backlog.settle("e1", parcels=[parcel(NEXT, parcel_id)], now_ms=2_000)
    assert [event.event_id for event in await lease(backlog, now_ms=2_000)] == ["p1"]


async def test_an_answered_event_whose_destination_is_gone_is_kept_as_failed(
    backlog: Backlog,
) -> None:
    await backlog.accept(make_event())
    await lease(backlog)
    assert not await backlog.settle("e1", parcels=[parcel(GONE)], now_ms=2_000)
    kept = await backlog.event("e1")
    assert kept is not None
    assert (kept.state, kept.condition, kept.attempts) == (EventState.FAILED, "Success", 1)
    assert GONE in kept.error
    assert await backlog.counts() == {"waiting": 0, "leased": 0, "failed": 1}
    assert not backlog.ready_nowait()


async def test_a_failed_event_posts_its_parcels_and_says_which_target_is_gone(
    backlog: Backlog,
) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    await fail(backlog, event, parcels=[parcel(NEXT), parcel(GONE, "p2"), parcel(QUEUE, "p3")])
    kept = await backlog.event("e1")
    assert kept is not None
    assert kept.error.startswith("gave up\n")
    assert GONE in kept.error
    assert QUEUE not in kept.error
    assert [one.event_id for one in await lease(backlog, now_ms=5_000)] == ["p1"]


async def test_a_function_gets_no_more_than_its_share(backlog: Backlog) -> None:
    for number in range(6):
        await backlog.accept(make_event(f"a{number}", due_ms=100, name="flood"))
    await backlog.accept(make_event("b", due_ms=900, name="other"))
    found = await backlog.lease(now_ms=1_000, lease_ms=500, shares={"flood": 2, "other": 2})
    assert [event.event_id for event in found] == ["a0", "a1", "b"]
    assert await backlog.lease(now_ms=1_000, lease_ms=500, shares={"other": 5}) == []
    assert dict(backlog.ready_nowait()) == {"flood": 100, "other": 1_500}


async def test_kept_events_are_found_by_what_they_are_newest_first(backlog: Backlog) -> None:
    await backlog.accept(make_event("e1", source="s3:photos"))
    await backlog.accept(replace(make_event("e2", source="s3:mail"), accepted_ms=2_000))
    await backlog.accept(make_event("e3", name="other"))
    (first, *_) = await lease(backlog, count_max=1)
    await fail(backlog, first)

    async def ids(count_max: int = 10, **wanted: object) -> list[str]:
        chosen = replace(EventFilter(), **wanted)  # type: ignore[arg-type]  # by name
        found = await backlog.find(chosen, count_max=count_max)
        assert not any(event.payload for event in found)
        return [event.event_id for event in found]

    assert await ids() == ["e3", "e2", "e1"]
    assert await ids(count_max=2) == ["e3", "e2"]
    assert await ids(function_name="thumbnail") == ["e2", "e1"]
    assert await ids(states=frozenset({EventState.FAILED})) == ["e1"]
    assert await ids(source="s3:") == ["e2", "e1"]
    assert await ids(source="s3:p%") == []
    assert await ids(since_ms=901) == ["e2"]
    assert await ids(until_ms=2_000) == ["e3", "e1"]
    assert await ids(event_ids=("e1", "e3", "none")) == ["e3", "e1"]
    assert await backlog.event("none") is None


async def test_a_long_error_is_cut_in_lists_alone(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    long = "\u00e9" * 10_000
    await backlog.retry(event, due_ms=9_000, error=long)
    (found,) = await backlog.find(EventFilter(), count_max=1)
    assert len(found.error) == 2_048
    whole = await backlog.event("e1")
    assert whole is not None
    assert whole.error == long


async def test_a_replayed_event_starts_anew(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    (event,) = await lease(backlog)
    await fail(backlog, replace(event, attempts=3))
    assert await backlog.replay(EventFilter(event_ids=("e1",)), now_ms=7_000) == 1
    assert dict(backlog.ready_nowait()) == {"thumbnail": 7_000}
    (again,) = await lease(backlog, now_ms=7_000)
    assert again == replace(event, due_ms=7_000, replayed_ms=7_000, error="gave up")
    assert again.begun_ms == 7_000
    assert again.accepted_ms == 900


async def test_an_event_that_waits_for_its_next_try_is_replayed_too_but_not_one_under_way(
    backlog: Backlog,
) -> None:
    for event_id in ("waits", "runs"):
        await backlog.accept(make_event(event_id))
    events = {event.event_id: event for event in await lease(backlog)}
    await backlog.retry(events["waits"], due_ms=99_000, error="again")
    assert await backlog.replay(EventFilter(), now_ms=1_200) == 1
    assert [event.event_id for event in await lease(backlog, now_ms=1_200)] == ["waits"]


async def test_many_events_are_replayed_and_removed_at_once(backlog: Backlog) -> None:
    for number in range(1_203):
        await backlog.accept(make_event(f"e{number}"))
    await backlog.accept(make_event("other", name="other"))
    for event in await lease(backlog, count_max=2_000):
        await fail(backlog, event)
    assert await backlog.replay(EventFilter(function_name="thumbnail"), now_ms=6_000) == 1_203
    assert await backlog.counts() == {"waiting": 1_203, "leased": 0, "failed": 1}
    assert await backlog.remove(EventFilter(function_name="thumbnail")) == 1_203
    assert await backlog.counts() == {"waiting": 0, "leased": 0, "failed": 1}
    assert not backlog.ready_nowait()


async def test_an_event_under_way_is_not_removed(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    await lease(backlog)
    assert await backlog.remove(EventFilter()) == 0


async def test_failed_events_that_are_too_old_or_too_many_go_the_oldest_first(
    backlog: Backlog,
) -> None:
    for number in range(6):
        await backlog.accept(make_event(f"e{number}"))
    for number, event in enumerate((await lease(backlog))[:5]):
        await fail(backlog, event, now_ms=5_000 + number)
    assert await backlog.trim(failed_max=2, before_ms=5_001) == 3
    left = await backlog.find(EventFilter(states=frozenset({EventState.FAILED})), count_max=9)
    assert [event.event_id for event in left] == ["e4", "e3"]
    assert await backlog.trim(failed_max=2, before_ms=5_001) == 0
    assert await backlog.counts() == {"waiting": 0, "leased": 1, "failed": 2}


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


async def test_an_event_is_born_leased_when_no_older_one_of_its_function_waits(
    backlog: Backlog,
) -> None:
    assert await backlog.accept(make_event("e1"), leased_until_ms=1_500) is True
    assert await backlog.accept(make_event("later", due_ms=1_001)) is False
    assert await backlog.accept(make_event("e2"), leased_until_ms=1_500) is True
    assert await backlog.accept(make_event("due")) is False
    assert await backlog.accept(make_event("e3"), leased_until_ms=1_500) is False
    assert await backlog.accept(make_event("e4", name="other"), leased_until_ms=1_500) is True
    assert await backlog.counts() == {"waiting": 3, "leased": 3, "failed": 0}
    assert dict(backlog.ready_nowait()) == {"thumbnail": 1_000, "other": 1_500}
    found = await lease(backlog, now_ms=1_400)
    assert [event.event_id for event in found] == ["due", "e3", "later"]


async def test_what_was_born_leased_ends_as_any_event_or_comes_back(backlog: Backlog) -> None:
    for event_id in ("settled", "retried", "failed", "lost"):
        await backlog.accept(make_event(event_id), leased_until_ms=1_500)
    with pytest.raises(Conflict, match="lost"):
        await backlog.accept(make_event("lost"), leased_until_ms=9_999)
    await backlog.settle("settled")
    await backlog.retry(make_event("retried"), due_ms=3_000, error="again")
    await fail(backlog, make_event("failed"))
    assert dict(backlog.ready_nowait()) == {"thumbnail": 1_500}
    assert await lease(backlog, now_ms=1_499) == []
    assert [event.event_id for event in await lease(backlog, now_ms=1_500)] == ["lost"]
    assert await backlog.counts() == {"waiting": 1, "leased": 1, "failed": 1}


async def test_at_start_what_was_born_leased_waits_again(backlog: Backlog) -> None:
    await backlog.accept(make_event(), leased_until_ms=99_999)
    assert await backlog.release(now_ms=1_001) == 1
    assert [event.event_id for event in await lease(backlog, now_ms=1_001)] == ["e1"]


async def test_events_of_other_doors_are_born_leased_as_far_as_places_are_offered(
    backlog: Backlog,
) -> None:
    begun: list[Event] = []
    backlog.serve(begun.append, lease_ms=500)
    await backlog.accept(make_event())
    for number, offered in enumerate((0, 2)):
        backlog.offer(offered)
        parcels = [parcel(f"{NEXT}-{count}", f"p{number}{count}") for count in range(3)]
        await backlog.accept(make_event(f"cause{number}", due_ms=10**12))
        await backlog.settle(f"cause{number}", parcels=parcels, now_ms=2_000)
        assert [event.event_id for event in begun] == ["p10", "p11"][:offered]
        await backlog.remove(EventFilter(source="destination:"))
    assert all(event.state is EventState.LEASED for event in begun)
    assert await backlog.event("p10") == begun[0]
    assert backlog.ready_nowait()["next-0"] == 2_500
    assert await backlog.counts() == {"waiting": 1, "leased": 2, "failed": 0}


async def test_nothing_overtakes_an_older_event_that_waits_and_is_due(backlog: Backlog) -> None:
    begun: list[Event] = []
    backlog.serve(begun.append, lease_ms=500)
    backlog.offer(2)
    await backlog.accept(make_event("older", due_ms=1_999, name="next"))
    await backlog.accept(make_event("cause"))
    await backlog.settle("cause", parcels=[parcel(NEXT)], now_ms=2_000)
    assert not begun
    assert [event.event_id for event in await lease(backlog, now_ms=2_000)] == ["older", "p1"]


async def test_many_are_settled_at_once_also_some_that_are_gone(backlog: Backlog) -> None:
    for event_id in ("e1", "e2", "e3"):
        await backlog.accept(make_event(event_id), leased_until_ms=1_500)
    await backlog.accept(make_event("e4", name="other"), leased_until_ms=1_500)
    await backlog.settle_all(["e1", "gone", "e3", "e4"])
    await backlog.settle_all([])
    assert await backlog.counts() == {"waiting": 0, "leased": 1, "failed": 0}
    assert dict(backlog.ready_nowait()) == {"thumbnail": 1_500}


async def test_the_first_due_time_of_a_function_is_known(backlog: Backlog) -> None:
    assert not backlog.ready_nowait()
    await backlog.accept(make_event("e1", due_ms=3_000))
    await backlog.accept(make_event("e2", due_ms=2_000))
    await backlog.accept(make_event("e3", due_ms=2_500, name="other"))
    assert dict(backlog.ready_nowait()) == {"thumbnail": 2_000, "other": 2_500}


async def test_the_end_of_a_lease_is_a_due_time(backlog: Backlog) -> None:
    await backlog.accept(make_event("e1", due_ms=1_000))
    await lease(backlog, now_ms=1_000)
    assert dict(backlog.ready_nowait()) == {"thumbnail": 1_500}


async def test_the_same_event_is_not_accepted_twice(backlog: Backlog) -> None:
    await backlog.accept(make_event())
    with pytest.raises(Conflict, match="e1"):
        await backlog.accept(make_event())
    assert await backlog.counts() == {"waiting": 1, "leased": 0, "failed": 0}


async def test_a_payload_of_any_bytes_is_kept_whole(backlog: Backlog) -> None:
    payload = bytes(range(256)) * 4_096
    await backlog.accept(replace(make_event(), payload=payload))
    assert (await lease(backlog))[0].payload == payload
