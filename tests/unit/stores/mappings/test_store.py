"""Mappings and checkpoints on disk: unique, durable, never going back, told of together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict, NotFound, StorageFailed
from mayfly.model.mapping import Lane, SourceMapping, Standing
from mayfly.model.parcel import Parcel
from mayfly.ports import Sites, unwatched
from mayfly.stores.mappings.store import MappingStore
from mayfly.stores.tables.catalog import Catalog
from mayfly.testing.faults import Faults
from tests.support.carrier import TableCarrier

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/x"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
ONE = SourceMapping("m1", "f", STREAM, 100, 0, start_sequence=7, filters=('{"a": [1]}',))
LANE = Lane("shard-1")


@contextlib.asynccontextmanager
async def opened(
    folder: Path, sites: Sites = unwatched
) -> AsyncIterator[tuple[MappingStore, TableCarrier]]:
    database = await SqliteStore.open(folder / "mayfly.db", sites=sites)
    try:
        await Catalog.open(database)
        outbox, carrier = Outbox(), TableCarrier(database)
        await carrier.open()
        outbox.employ("sqs", carrier)
        yield await MappingStore.open(database, outbox), carrier
    finally:
        await database.close()


async def test_what_was_made_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        made = await store.create(replace(ONE, tags={"a": "b"}))
        changed = await store.change("m1", lambda one: replace(one, batch_size=5))
        assert (made.revision, changed.revision) == (1, 2)
    async with opened(tmp_path) as (store, _):
        assert store.all_nowait() == [changed]
        assert store.find_nowait("m1") == changed


async def test_a_function_has_one_mapping_of_a_source(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        await store.create(ONE)
        with pytest.raises(Conflict, match="UUID m1"):
            await store.create(replace(ONE, mapping_id="m2"))
        await store.create(replace(ONE, mapping_id="m2", function_name="g"))
        await store.create(replace(ONE, mapping_id="m3", source_arn=QUEUE))
        with pytest.raises(Conflict, match="SQS arn"):
            await store.create(replace(ONE, mapping_id="m4", source_arn=QUEUE))
        with pytest.raises(Conflict):
            await store.change("m2", lambda one: replace(one, function_name="f"))
        assert [one.mapping_id for one in store.all_nowait()] == ["m1", "m2", "m3"]


async def test_what_is_gone_is_not_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        await store.create(ONE)
        await store.delete("m1")
        for act in (store.delete("m1"), store.change("m1", lambda one: one)):
            with pytest.raises(NotFound, match="does not exist"):
                await act
        with pytest.raises(NotFound):
            store.find_nowait("m1")
        assert not store.has("m1")


async def test_a_checkpoint_goes_forward_only_and_survives(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        await store.create(ONE)
        assert await store.begin_reading(ONE, ["shard-1"]) == {LANE: 7}
        await store.advance("m1", LANE, 20)
        await store.advance("m1", LANE, 10)
    async with opened(tmp_path) as (store, _):
        assert await store.begin_reading(ONE, ["shard-1", "shard-2"]) == {
            LANE: 20,
            Lane("shard-2"): 7,
        }


async def test_other_lanes_begin_at_the_hindmost(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        await store.create(ONE)
        three = replace(ONE, parallel=3)
        begun = await store.begin_reading(three, ["shard-1"])
        assert set(begun) == {Lane("shard-1", n, 3) for n in range(3)}
        for number, sequence in enumerate((30, 12, 40)):
            await store.advance("m1", Lane("shard-1", number, 3), sequence)
        begun = await store.begin_reading(replace(ONE, parallel=2), ["shard-1"])
        assert begun == {Lane("shard-1", 0, 2): 12, Lane("shard-1", 1, 2): 12}
        await store.advance("m1", Lane("shard-1", 0, 3), 99)
        assert 99 not in store.checkpoints_nowait("m1").values(), "a lane of before"


async def test_a_checkpoint_and_its_parcel_are_one(tmp_path: Path) -> None:
    faults = Faults()
    parcel = Parcel("p1", QUEUE, b"lost")
    async with opened(tmp_path, faults) as (store, carrier):
        await store.create(ONE)
        await store.begin_reading(ONE, ["shard-1"])
        faults.fail("MAPPINGS:ADVANCE", times=1)
        with pytest.raises(StorageFailed):
            await store.advance("m1", LANE, 20, parcels=[parcel], now_ms=5)
        assert not carrier.carried()
        assert store.checkpoints_nowait("m1") == {LANE: 7}
        await store.advance("m1", LANE, 20, parcels=[parcel], now_ms=5)
        await store.advance("m1", LANE, 20, parcels=[parcel], now_ms=5)
        assert carrier.carried() == [(b"lost", 5)]
        assert carrier.told == [parcel]


async def test_a_mapping_that_is_deleted_advances_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, carrier):
        await store.create(ONE)
        await store.begin_reading(ONE, ["shard-1"])
        await store.delete("m1")
        await store.advance("m1", LANE, 20, parcels=[Parcel("p1", QUEUE, b"lost")])
        await store.begin_reading(ONE, ["shard-1"])
        assert not carrier.carried()
        assert not store.checkpoints_nowait("m1")


@pytest.mark.parametrize("site", ["MAPPINGS:COMMIT"])
async def test_a_change_that_is_not_durable_is_not_seen(tmp_path: Path, site: str) -> None:
    faults = Faults()
    async with opened(tmp_path, faults) as (store, _):
        await store.create(ONE)
        faults.fail(site)
        for act in (
            store.create(replace(ONE, mapping_id="m2", function_name="g")),
            store.change("m1", lambda one: replace(one, enabled=False)),
            store.delete("m1"),
        ):
            with pytest.raises(StorageFailed, match=site):
                await act
        assert [one.enabled for one in store.all_nowait()] == [True]


async def test_changes_wake_the_source_and_standings_are_of_this_life(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, _):
        woken: list[int] = []
        store.when_changed(lambda: woken.append(1))
        await store.create(ONE)
        await store.change("m1", lambda one: replace(one, enabled=False))
        assert len(woken) == 2
        store.report("m1", revision=2)
        store.report("m1", result="OK")
        assert store.standing_nowait("m1") == Standing(2, "OK")
        store.report("stranger", revision=1)
        assert store.standing_nowait("stranger") == Standing()
    async with opened(tmp_path) as (store, _):
        assert store.standing_nowait("m1") == Standing()
