"""The stores and the sources: opened beside the engine, found by the server, run as tasks.

A store is opened on the one database, so that a change and its parcels are one transaction; it may
carry parcels itself. A source is a loop that runs until it is cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from mayfly.api.dispatch import ObjectsEndpoint, Operations, WholeService
from mayfly.api.platform import Platform
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every store and source may be built on."""

    store: SqliteStore
    outbox: Outbox
    platform: Platform
    engine: Engine


@dataclass(slots=True)
class Events:
    """What came of it: services for the server, sources to run."""

    operations: dict[str, Operations] = field(default_factory=dict)
    whole: dict[str, WholeService] = field(default_factory=dict)
    objects: ObjectsEndpoint | None = None
    sources: list[Callable[[], Coroutine[None, None, None]]] = field(default_factory=list)


async def open_events(base: Foundation, stack: contextlib.AsyncExitStack) -> Events:
    """Open every store and make every source; `stack` closes them."""
    del base, stack
    return Events()
