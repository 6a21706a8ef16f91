"""The stores and the sources: opened beside the engine, found by the server, run as tasks.

A store is opened on the one database, so that a change and its parcels are one transaction; it may
carry parcels itself. A source is a loop that runs until it is cancelled.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mayfly.api.control.routes import Route
from mayfly.api.control.secrets import SecretControl
from mayfly.api.control.webhooks import WebhookControl
from mayfly.api.dispatch import ObjectsEndpoint, Operations, WholeService
from mayfly.api.platform import Platform
from mayfly.api.scheduler.operations import SchedulerOperations
from mayfly.api.sqs.endpoint import SqsService
from mayfly.api.webhooks import WebhookReceiver
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.engine.engine import Engine
from mayfly.sources import objects
from mayfly.sources.schedule import ScheduleSource
from mayfly.sources.webhook import WebhookSource
from mayfly.stores.objects.store import ObjectStore
from mayfly.stores.queues.store import QueueStore
from mayfly.stores.schedules.store import ScheduleStore
from mayfly.stores.secrets.store import SecretStore
from mayfly.stores.webhooks.store import WebhookStore


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every store and source may be built on."""

    store: SqliteStore
    outbox: Outbox
    platform: Platform
    engine: Engine
    secrets_key: Path


@dataclass(slots=True)
class Events:
    """What came of it: services for the server, sources to run."""

    operations: dict[str, Operations] = field(default_factory=dict)
    whole: dict[str, WholeService] = field(default_factory=dict)
    objects: ObjectsEndpoint | None = None
    object_store: ObjectStore | None = None
    hooks: WebhookReceiver | None = None
    secrets: SecretStore | None = None
    queues: QueueStore | None = None
    control: dict[tuple[str, bool], Mapping[str, Route]] = field(default_factory=dict)
    sources: list[Callable[[], Coroutine[None, None, None]]] = field(default_factory=list)


async def open_events(base: Foundation, stack: contextlib.AsyncExitStack) -> Events:
    """Open every store and make every source; `stack` closes them."""
    events = Events()
    await _objects(base, events, stack)
    await _schedules(base, events)
    await _webhooks(base, events)
    await _queues(base, events)
    return events


async def _objects(base: Foundation, events: Events, stack: contextlib.AsyncExitStack) -> None:
    store = await ObjectStore.open(
        database=base.store,
        outbox=base.outbox,
        root=base.platform.data / "objects",
        clock=base.platform.clock,
        ids=base.platform.ids,
        notify=objects.notify,
        announce=objects.announce,
    )
    stack.push_async_callback(store.close)
    base.outbox.employ("s3", store.carrier)
    events.object_store = store
    events.sources.append(store.run)


async def _schedules(base: Foundation, events: Events) -> None:
    clock, ids = base.platform.clock, base.platform.ids
    store = await ScheduleStore.open(base.store, base.outbox, int(clock.now_ms()))
    events.operations["scheduler"] = SchedulerOperations(store, clock, ids)
    events.sources.append(ScheduleSource(store, clock, ids).run)


async def _webhooks(base: Foundation, events: Events) -> None:
    secrets = await SecretStore.open(base.store, base.secrets_key, os.urandom)
    store = await WebhookStore.open(base.store, base.outbox)
    platform = base.platform
    events.hooks = WebhookSource(store, secrets, platform.clock, platform.metrics)
    events.secrets = secrets
    events.control |= SecretControl(secrets).routes
    events.control |= WebhookControl(store, secrets).routes


async def _queues(base: Foundation, events: Events) -> None:
    platform = base.platform
    store = await QueueStore.open(base.store, platform.clock, platform.ids)
    base.outbox.employ("sqs", store)
    events.queues = store
    events.whole["sqs"] = SqsService(store, platform.ids, platform.endpoint)
    events.sources.append(store.run)
