"""Functions and their URLs: rows on disk, a view in memory that reads are answered from.

A write is checked against the rows, in the writer thread, where nothing can come between; the
view follows on the event loop when the commit is durable. So a read after an awaited write sees
it, and a read never waits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from mayfly.backends.sqlite.failures import Site
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict, NotFound, PreconditionFailed, StorageFailed
from mayfly.model.event import EventSettings
from mayfly.model.function import Function, FunctionUrl

T = TypeVar("T", Function, FunctionUrl, EventSettings)


class SqliteRegistry:
    """The port `Registry` on a `SqliteStore`. Made by `open`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._functions: dict[str, Function] = {}
        self._by_name: tuple[Function, ...] | None = None
        self._urls: dict[str, FunctionUrl] = {}
        self._urls_by_id: dict[str, FunctionUrl] = {}
        # By function, then by qualifier.
        self._event_settings: dict[str, dict[str, EventSettings]] = {}

    @classmethod
    async def open(cls, store: SqliteStore) -> SqliteRegistry:
        """Load everything into memory.

        Raises:
            StorageFailed: The rows cannot be read; the message names the one at fault.
        """
        registry = cls(store)
        functions, urls, settings = await store.transact(Site.REGISTRY_LOAD, _load)
        for function in functions:
            registry._keep(function)
        for url in urls:
            registry._keep_url(url)
        for one in settings:
            registry._keep_event_settings(one)
        return registry

    def function_nowait(self, name: str) -> Function | None:
        """The function now, or None."""
        return self._functions.get(name)

    def functions_nowait(self) -> Sequence[Function]:
        """All functions, by name."""
        if self._by_name is None:
            self._by_name = tuple(self._functions[name] for name in sorted(self._functions))
        return self._by_name

    def url_nowait(self, function_name: str) -> FunctionUrl | None:
        """The function's URL, or None."""
        return self._urls.get(function_name)

    def url_by_id_nowait(self, url_id: str) -> FunctionUrl | None:
        """The URL with this id, or None."""
        return self._urls_by_id.get(url_id)

    def urls_nowait(self) -> Sequence[FunctionUrl]:
        """All URLs, by function name."""
        return tuple(self._urls[name] for name in sorted(self._urls))

    async def create_function(self, function: Function) -> None:
        """Add a function. Raises Conflict, StorageFailed."""
        row = (function.name, function.revision_id, _encode(function))

        def work(connection: sqlite3.Connection) -> None:
            if _revision(connection, function.name) is not None:
                raise Conflict(f"function already exists: {function.name}")
            connection.execute("INSERT INTO function VALUES (?, ?, ?)", row)

        await self._store.transact(Site.REGISTRY_COMMIT, work, lambda _: self._keep(function))

    async def replace_function(self, function: Function, *, expected_revision_id: str) -> None:
        """Change a function. Raises NotFound, PreconditionFailed, StorageFailed."""
        row = (function.revision_id, _encode(function), function.name)

        def work(connection: sqlite3.Connection) -> None:
            revision_id = _revision(connection, function.name)
            if revision_id is None:
                raise _function_not_found(function.name)
            if revision_id != expected_revision_id:
                raise PreconditionFailed(
                    f"function {function.name} was changed meanwhile: revision "
                    f"{expected_revision_id} was expected, {revision_id} is there; read it again"
                )
            connection.execute(
                "UPDATE function SET revision_id = ?, document = ? WHERE name = ?", row
            )

        await self._store.transact(Site.REGISTRY_COMMIT, work, lambda _: self._keep(function))

    async def delete_function(self, name: str) -> None:
        """Remove a function, its URL, its events' settings. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> None:
            # The rows of other tables go with it: ON DELETE CASCADE.
            if not connection.execute("DELETE FROM function WHERE name = ?", (name,)).rowcount:
                raise _function_not_found(name)

        def applied(_: None) -> None:
            self._functions.pop(name, None)
            self._by_name = None
            self._drop_url(name)
            self._event_settings.pop(name, None)

        await self._store.transact(Site.REGISTRY_COMMIT, work, applied)

    async def put_url(self, url: FunctionUrl) -> None:
        """Add or replace a function's URL. Raises NotFound, Conflict (the id), StorageFailed."""
        row = (url.function_name, url.url_id, _encode(url))

        def work(connection: sqlite3.Connection) -> None:
            if _revision(connection, url.function_name) is None:
                raise _function_not_found(url.function_name)
            holder = connection.execute(
                "SELECT function_name FROM url WHERE url_id = ? AND function_name <> ?",
                (url.url_id, url.function_name),
            ).fetchone()
            if holder is not None:
                raise Conflict(f"url id {url.url_id} is the one of function {holder[0]}")
            connection.execute("INSERT OR REPLACE INTO url VALUES (?, ?, ?)", row)

        await self._store.transact(Site.REGISTRY_COMMIT, work, lambda _: self._keep_url(url))

    async def delete_url(self, function_name: str) -> None:
        """Remove a function's URL. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> None:
            delete = "DELETE FROM url WHERE function_name = ?"
            if not connection.execute(delete, (function_name,)).rowcount:
                raise NotFound(f"function {function_name} has no url")

        await self._store.transact(
            Site.REGISTRY_COMMIT, work, lambda _: self._drop_url(function_name)
        )

    def event_settings_nowait(self, function_name: str, qualifier: str) -> EventSettings | None:
        """What is set for a function's events, or None."""
        held = self._event_settings.get(function_name)
        return held.get(qualifier) if held else None

    def all_event_settings_nowait(self, function_name: str) -> Sequence[EventSettings]:
        """What is set for a function's events, by qualifier."""
        held = self._event_settings.get(function_name, {})
        return [held[qualifier] for qualifier in sorted(held)]

    async def put_event_settings(self, settings: EventSettings) -> None:
        """Add or replace what is set for a function's events. Raises NotFound, StorageFailed."""
        row = (settings.function_name, settings.qualifier, _encode(settings))

        def work(connection: sqlite3.Connection) -> None:
            if _revision(connection, settings.function_name) is None:
                raise _function_not_found(settings.function_name)
            connection.execute("INSERT OR REPLACE INTO event_settings VALUES (?, ?, ?)", row)

        await self._store.transact(
            Site.REGISTRY_COMMIT, work, lambda _: self._keep_event_settings(settings)
        )

    async def delete_event_settings(self, function_name: str, qualifier: str) -> None:
        """Remove what is set for a function's events. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> None:
            delete = "DELETE FROM event_settings WHERE function_name = ? AND qualifier = ?"
            if not connection.execute(delete, (function_name, qualifier)).rowcount:
                raise NotFound(f"function {function_name}:{qualifier} has no settings of events")

        def applied(_: None) -> None:
            self._event_settings.get(function_name, {}).pop(qualifier, None)

        await self._store.transact(Site.REGISTRY_COMMIT, work, applied)

    def _keep(self, function: Function) -> None:
        self._functions[function.name] = function
        self._by_name = None

    def _keep_url(self, url: FunctionUrl) -> None:
        self._drop_url(url.function_name)
        self._urls[url.function_name] = url
        self._urls_by_id[url.url_id] = url

    def _keep_event_settings(self, settings: EventSettings) -> None:
        self._event_settings.setdefault(settings.function_name, {})[settings.qualifier] = settings

    def _drop_url(self, function_name: str) -> None:
        url = self._urls.pop(function_name, None)
        if url is not None:
            self._urls_by_id.pop(url.url_id, None)


def _revision(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT revision_id FROM function WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _function_not_found(name: str) -> NotFound:
    return NotFound(f"function not found: {name}")


def _load(
    connection: sqlite3.Connection,
) -> tuple[list[Function], list[FunctionUrl], list[EventSettings]]:
    functions = connection.execute("SELECT name, document FROM function")
    urls = connection.execute("SELECT function_name, document FROM url")
    settings = connection.execute("SELECT function_name, document FROM event_settings")
    return (
        [_decode(document, Function, name) for name, document in functions],
        [_decode(document, FunctionUrl, name) for name, document in urls],
        [_decode(document, EventSettings, name) for name, document in settings],
    )


def _encode(value: Function | FunctionUrl | EventSettings) -> bytes:
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"a {type(value).__name__} cannot be kept: {value!r}")


def _decode(document: bytes, kind: type[T], name: str) -> T:
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.MsgspecError as error:
        raise StorageFailed(
            site=Site.REGISTRY_LOAD,
            detail=f"the row of function {name} cannot be read: {error}; put back a copy of the "
            "database file",
        ) from error
