"""What every registry promises, the double included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mayfly.backends.sqlite.registry import SqliteRegistry
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict, NotFound, PreconditionFailed
from mayfly.model.event import EventSettings
from mayfly.model.function import Code, Function, FunctionUrl, IsolateKind, Reuse, Settings, UrlAuth
from mayfly.model.grant import GrantKind, parse_grant
from mayfly.ports import Registry
from mayfly.testing.memory import MemoryRegistry


@pytest.fixture(params=["sqlite", "memory"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    if request.param == "memory":
        yield MemoryRegistry()
        return
    store = await SqliteStore.open(tmp_path / "mayfly.db")
    yield await SqliteRegistry.open(store)
    await store.close()


def make_function(name: str = "thumbnail", revision_id: str = "r1") -> Function:
    settings = Settings(
        handler="app.handler",
        runtime="python3.11",
        environment={"SIZE": "200"},
        reuse=Reuse.WARM,
        isolate=IsolateKind.PROCESS,
        concurrency=20,
        grants=(parse_grant(GrantKind.NET, "api.example.com:443"),),
        tags={"team": "photos"},
        extra={"LoggingConfig": {"LogFormat": "JSON"}, "Layers": []},
    )
    return Function(
        name=name,
        code=Code(digest="ab" * 32, size_bytes=10, dependencies="cd" * 32),
        settings=settings,
        revision_id=revision_id,
        modified_ms=1_700_000_000_000,
    )


def make_url(function_name: str = "thumbnail", url_id: str = "abc123") -> FunctionUrl:
    cors = {"AllowOrigins": ["*"], "MaxAge": 60}
    return FunctionUrl(function_name, url_id, UrlAuth.NONE, created_ms=1, modified_ms=2, cors=cors)


async def test_a_created_function_is_there_for_the_next_read(registry: Registry) -> None:
    await registry.create_function(make_function())
    assert registry.function_nowait("thumbnail") == make_function()


async def test_an_unknown_function_is_none(registry: Registry) -> None:
    assert registry.function_nowait("nobody") is None


async def test_a_name_is_taken_once(registry: Registry) -> None:
    await registry.create_function(make_function())
    with pytest.raises(Conflict, match="thumbnail"):
        await registry.create_function(make_function(revision_id="r2"))
    found = registry.function_nowait("thumbnail")
    assert found is not None
    assert found.revision_id == "r1"


async def test_of_those_who_create_a_name_at_once_one_wins(registry: Registry) -> None:
    tried = [registry.create_function(make_function(revision_id=f"r{n}")) for n in range(8)]
    outcomes = await asyncio.gather(*tried, return_exceptions=True)
    assert [type(one) for one in outcomes if one is not None] == [Conflict] * 7


async def test_functions_come_by_name(registry: Registry) -> None:
    for name in ("b", "c", "a"):
        await registry.create_function(make_function(name))
    assert [function.name for function in registry.functions_nowait()] == ["a", "b", "c"]


async def test_a_function_is_replaced_by_who_knows_its_revision(registry: Registry) -> None:
    await registry.create_function(make_function())
    newer = replace(make_function(revision_id="r2"), modified_ms=5)
    await registry.replace_function(newer, expected_revision_id="r1")
    assert registry.function_nowait("thumbnail") == newer
    assert registry.functions_nowait() == [newer] or registry.functions_nowait() == (newer,)


async def test_who_comes_second_with_the_same_revision_is_refused(registry: Registry) -> None:
    await registry.create_function(make_function())
    await registry.replace_function(make_function(revision_id="r2"), expected_revision_id="r1")
    with pytest.raises(PreconditionFailed):
        await registry.replace_function(make_function(revision_id="r3"), expected_revision_id="r1")
    found = registry.function_nowait("thumbnail")
    assert found is not None
    assert found.revision_id == "r2"


async def test_a_function_that_is_not_there_cannot_be_replaced(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await registry.replace_function(make_function(), expected_revision_id="r1")


async def test_a_deleted_function_takes_its_url_along(registry: Registry) -> None:
    await registry.create_function(make_function())
    await registry.put_url(make_url())
    await registry.delete_function("thumbnail")
    assert registry.function_nowait("thumbnail") is None
    assert not registry.functions_nowait()
    assert registry.url_nowait("thumbnail") is None
    assert registry.url_by_id_nowait("abc123") is None
    assert not registry.urls_nowait()


async def test_a_function_that_is_not_there_cannot_be_deleted(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await registry.delete_function("nobody")


async def test_a_name_is_free_again_after_its_function_is_deleted(registry: Registry) -> None:
    await registry.create_function(make_function())
    await registry.delete_function("thumbnail")
    await registry.create_function(make_function(revision_id="r2"))
    assert registry.url_nowait("thumbnail") is None


async def test_a_url_is_found_by_function_and_by_id(registry: Registry) -> None:
    await registry.create_function(make_function())
    await registry.put_url(make_url())
    assert registry.url_nowait("thumbnail") == make_url()
    assert registry.url_by_id_nowait("abc123") == make_url()
    assert list(registry.urls_nowait()) == [make_url()]


async def test_a_url_with_a_new_id_replaces_the_old_one(registry: Registry) -> None:
    await registry.create_function(make_function())
    await registry.put_url(make_url())
    await registry.put_url(make_url(url_id="new456"))
    assert registry.url_by_id_nowait("abc123") is None
    assert registry.url_by_id_nowait("new456") == make_url(url_id="new456")


async def test_a_url_needs_its_function(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await registry.put_url(make_url())


async def test_two_functions_do_not_share_a_url_id(registry: Registry) -> None:
    await registry.create_function(make_function("a"))
    await registry.create_function(make_function("b"))
    await registry.put_url(make_url("a"))
    with pytest.raises(Conflict):
        await registry.put_url(make_url("b"))
    assert registry.url_by_id_nowait("abc123") == make_url("a")


async def test_a_deleted_url_is_gone_and_its_function_stays(registry: Registry) -> None:
    await registry.create_function(make_function())
    await registry.put_url(make_url())
    await registry.delete_url("thumbnail")
    assert registry.url_by_id_nowait("abc123") is None
    assert registry.function_nowait("thumbnail") is not None
    with pytest.raises(NotFound):
        await registry.delete_url("thumbnail")


SETTINGS = EventSettings("thumbnail", "$LATEST", 5, retries_max=0, on_failure="arn:aws:s3:::b")


async def test_what_is_set_for_events_is_there_by_function_and_qualifier(
    registry: Registry,
) -> None:
    await registry.create_function(make_function())
    other = replace(SETTINGS, qualifier="7", age_s_max=60)
    await registry.put_event_settings(other)
    await registry.put_event_settings(replace(SETTINGS, retries_max=2))
    await registry.put_event_settings(SETTINGS)
    assert registry.event_settings_nowait("thumbnail", "$LATEST") == SETTINGS
    assert registry.event_settings_nowait("thumbnail", "8") is None
    assert list(registry.all_event_settings_nowait("thumbnail")) == [SETTINGS, other]
    await registry.delete_event_settings("thumbnail", "7")
    assert list(registry.all_event_settings_nowait("thumbnail")) == [SETTINGS]
    with pytest.raises(NotFound):
        await registry.delete_event_settings("thumbnail", "7")


async def test_what_is_set_for_events_goes_with_its_function(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await registry.put_event_settings(SETTINGS)
    await registry.create_function(make_function())
    await registry.put_event_settings(SETTINGS)
    await registry.delete_function("thumbnail")
    assert registry.event_settings_nowait("thumbnail", "$LATEST") is None
    await registry.create_function(make_function())
    with pytest.raises(NotFound):
        await registry.delete_event_settings("thumbnail", "$LATEST")


async def test_what_is_set_for_events_outlives_a_restart(tmp_path: Path) -> None:
    for life in range(2):
        store = await SqliteStore.open(tmp_path / "mayfly.db")
        registry = await SqliteRegistry.open(store)
        if not life:
            await registry.create_function(make_function())
            await registry.put_event_settings(SETTINGS)
        assert registry.event_settings_nowait("thumbnail", "$LATEST") == SETTINGS
        await store.close()
