"""Webhooks on a real database: stable URLs, and each delivery once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import NotFound, StorageFailed
from mayfly.model.parcel import Parcel
from mayfly.model.webhook import Scheme, Webhook
from mayfly.stores.webhooks.store import REMEMBERED_MS, WebhookStore
from mayfly.testing.faults import Faults
from tests.support.carrier import TableCarrier

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
HOOK = Webhook("w", "id-1", "f", Scheme.GITHUB, "secret", created_ms=1, modified_ms=1)


class World:
    """The store and what it handed over."""

    def __init__(self, database: SqliteStore, faults: Faults) -> None:
        self.database = database
        self.faults = faults
        self.carrier = TableCarrier(database)
        self.outbox = Outbox()
        self.outbox.employ("lambda", self.carrier)
        self._count = 0

    async def open(self) -> None:
        await self.carrier.open()
        self.store = await WebhookStore.open(self.database, self.outbox)
        await self.store.put(HOOK)

    async def accept(self, delivery_id: str, now_ms: int = 0) -> bool:
        self._count += 1
        parcel = Parcel(f"p{self._count}", FUNCTION, delivery_id.encode())
        return await self.store.accept(HOOK, parcel, now_ms, delivery_id=delivery_id)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    faults = Faults()
    database = await SqliteStore.open(tmp_path / "mayfly.db", sites=faults)
    made = World(database, faults)
    await made.open()
    yield made
    await database.close()


async def test_a_delivery_is_kept_once(world: World) -> None:
    assert [await world.accept(one) for one in ("a", "b", "a")] == [True, True, False]
    assert [body for body, _ in world.carrier.carried()] == [b"a", b"b"]
    assert len(world.carrier.told) == 2


async def test_a_delivery_without_a_name_is_a_new_one_each_time(world: World) -> None:
    assert [await world.accept(""), await world.accept("")] == [True, True]


async def test_a_delivery_whose_write_failed_is_taken_when_it_comes_again(world: World) -> None:
    world.faults.fail("WEBHOOKS:ACCEPT", times=1)
    with pytest.raises(StorageFailed):
        await world.accept("a")
    assert world.carrier.carried() == []
    assert world.carrier.told == []
    assert await world.accept("a")
    assert len(world.carrier.carried()) == 1


async def test_a_delivery_is_forgotten_after_some_days_and_not_before(world: World) -> None:
    assert await world.accept("a", 0)
    assert not await world.accept("a", REMEMBERED_MS)
    await world.accept("b", REMEMBERED_MS + 1)
    assert await world.accept("a", REMEMBERED_MS + 1)


async def test_a_changed_webhook_keeps_its_url(world: World) -> None:
    changed = Webhook("w", "id-2", "g", Scheme.STRIPE, "other", created_ms=9, modified_ms=9)
    kept = await world.store.put(changed)
    assert (kept.hook_id, kept.created_ms, kept.function_name) == ("id-1", 1, "g")
    assert world.store.by_id_nowait("id-1") == kept
    assert world.store.by_id_nowait("id-2") is None
    assert world.store.all_nowait() == [kept]


async def test_a_removed_webhook_is_gone_with_its_deliveries(world: World) -> None:
    await world.accept("a")
    await world.store.delete("w")
    assert world.store.by_id_nowait("id-1") is None
    with pytest.raises(NotFound, match="mayfly webhook ls"):
        await world.store.delete("w")
    assert await world.accept("a")
