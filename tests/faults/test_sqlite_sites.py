"""Each site of the database fails once, then persistently; after a restart what was told holds."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.failures import Site
from mayfly.backends.sqlite.registry import SqliteRegistry
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import StorageFailed
from mayfly.model.event import Event, EventFilter
from mayfly.model.function import Code, Function, Settings
from mayfly.testing.faults import ALWAYS, Faults

ERRORS = [errno.EIO, errno.ENOSPC]


def function(name: str) -> Function:
    return Function(name, Code("0" * 64, 1), Settings("a.b", "python3.11"), "r1", 1)


def event(event_id: str) -> Event:
    return Event(event_id, "f", "$LATEST", b"{}", 0, 0)


class Told:
    """A life of the platform's state: what was said to be kept."""

    def __init__(self) -> None:
        self.functions: set[str] = set()
        self.events: set[str] = set()
        self.refused: list[str] = []

    async def live(self, path: Path, life: str, faults: Faults) -> None:
        """Open, do a little of everything, close. What is refused is noted by its site."""
        try:
            store = await SqliteStore.open(path, sites=faults)
        except StorageFailed as error:
            self.refused.append(error.site)
            return
        try:
            registry = await SqliteRegistry.open(store)
            backlog = await SqliteBacklog.open(store)
            for number in range(3):
                await self._create(registry, f"{life}-{number}")
                await self._accept(backlog, f"{life}-{number}")
            await backlog.find(EventFilter(), count_max=1)
        except StorageFailed as error:
            self.refused.append(error.site)
        finally:
            await store.close()

    async def _create(self, registry: SqliteRegistry, name: str) -> None:
        try:
            await registry.create_function(function(name))
        except StorageFailed as error:
            self.refused.append(error.site)
            assert registry.function_nowait(name) is None
        else:
            self.functions.add(name)
            assert registry.function_nowait(name) is not None

    async def _accept(self, backlog: SqliteBacklog, event_id: str) -> None:
        try:
            await backlog.accept(event(event_id))
        except StorageFailed as error:
            self.refused.append(error.site)
        else:
            self.events.add(event_id)

    async def check(self, path: Path) -> None:
        """After a restart: all that was said to be kept is there, and nothing that was refused."""
        store = await SqliteStore.open(path)
        registry = await SqliteRegistry.open(store)
        backlog = await SqliteBacklog.open(store)
        await backlog.release(now_ms=0)
        events = await backlog.lease(now_ms=0, lease_ms=1, shares={"f": 100})
        await store.close()
        assert {one.name for one in registry.functions_nowait()} == self.functions
        assert {one.event_id for one in events} == self.events


@pytest.mark.parametrize("site", list(Site))
@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("times", [1, ALWAYS])
async def test_what_was_told_holds_after_any_site_failed(
    tmp_path: Path, site: Site, number: int, times: int
) -> None:
    path, told, faults = tmp_path / "mayfly.db", Told(), Faults()
    await told.live(path, "before", faults)
    assert faults.visits[site]
    faults.fail(site, times=times, number=number)
    await told.live(path, "during", faults)
    assert set(told.refused) == {site}
    faults.heal()
    await told.live(path, "after", faults)
    await told.check(path)
    assert {name for name in told.functions if name.startswith(("before", "after"))} == {
        f"{life}-{n}" for life in ("before", "after") for n in range(3)
    }
