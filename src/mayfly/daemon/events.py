"""The stores and the sources: opened beside the engine, found by the server, run as tasks.

A store is opened on the one database, so that a change and its parcels are one transaction; it may
carry parcels itself. A source is a loop that runs until it is cancelled.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mayfly.api.control.events import EventControl
from mayfly.api.control.routes import Route
from mayfly.api.control.secrets import SecretControl
from mayfly.api.control.systems import SystemControl
from mayfly.api.control.webhooks import WebhookControl
from mayfly.api.dispatch import ObjectsEndpoint, Operations, WholeService
from mayfly.api.dynamodb.endpoint import DynamoDb
from mayfly.api.dynamodbstreams.endpoint import DynamoDbStreams
from mayfly.api.lambda_.mappings import MappingOperations
from mayfly.api.platform import Platform
from mayfly.api.s3.address import Addresses
from mayfly.api.s3.call import Room
from mayfly.api.s3.endpoint import S3Endpoint
from mayfly.api.scheduler.operations import SchedulerOperations
from mayfly.api.sqs.endpoint import SqsService
from mayfly.api.webhooks import WebhookReceiver
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.daemon.mappings import open_mappings
from mayfly.engine.engine import Engine
from mayfly.sources import objects
from mayfly.sources.schedule import ScheduleSource
from mayfly.sources.webhook import WebhookSource
from mayfly.stores.objects.store import ObjectStore
from mayfly.stores.queues.store import QueueStore
from mayfly.stores.schedules.store import ScheduleStore
from mayfly.stores.secrets.store import SecretStore
from mayfly.stores.systems.store import SystemStore
from mayfly.stores.tables.figures import Counter
from mayfly.stores.tables.keeper import TableKeeper
from mayfly.stores.tables.store import TableStore
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
    webhooks: WebhookStore | None = None
    queues: QueueStore | None = None
    tables: TableStore | None = None
    mappings: MappingOperations | None = None
    control: dict[tuple[str, bool], Mapping[str, Route]] = field(default_factory=dict)
    sources: list[Callable[[], Coroutine[None, None, None]]] = field(default_factory=list)


async def open_events(base: Foundation, stack: contextlib.AsyncExitStack) -> Events:
    """Open every store and make every source; `stack` closes them."""
    events = Events()
    await _objects(base, events, stack)
    await _schedules(base, events)
    await _webhooks(base, events)
    queues = await _queues(base, events)
    tables = await _tables(base, events)
    events.mappings, mappings = await open_mappings(
        database=base.store,
        outbox=base.outbox,
        platform=base.platform,
        engine=base.engine,
        queues=queues,
        tables=tables,
    )
    events.sources.append(mappings.run)
    events.control |= SystemControl(await SystemStore.open(base.store)).routes
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
    events.objects = _s3(base.platform, store, events)
    events.sources.append(store.run)


def _s3(platform: Platform, store: ObjectStore, events: Events) -> S3Endpoint:
    def missing(arns: Sequence[str]) -> Sequence[str]:
        return [one for one in arns if not _is_there(one, platform, events)]

    return S3Endpoint(
        Room(
            store=store,
            keys=platform.keys,
            clock=platform.clock,
            ids=platform.ids,
            addresses=Addresses(urlsplit(platform.endpoint).hostname or ""),
            missing=missing,
            endpoint=platform.endpoint,
            limits=platform.limits,
        )
    )


def _is_there(arn: str, platform: Platform, events: Events) -> bool:
    """Whether a function, or a queue, that a bucket is to tell of its changes exists."""
    parts = arn.split(":")
    if parts[2:3] == ["lambda"] and len(parts) > 6:
        return platform.registry.function_nowait(parts[6]) is not None
    queues = events.queues
    return queues is not None and queues.catalogue.find(parts[-1]) is not None


async def _schedules(base: Foundation, events: Events) -> None:
    clock, ids = base.platform.clock, base.platform.ids
    store = await ScheduleStore.open(base.store, base.outbox, int(clock.now_ms()))
    events.operations["scheduler"] = SchedulerOperations(store, clock, ids)
    find = base.platform.registry.function_nowait
    source = ScheduleSource(store, clock, ids, lambda name: find(name) is not None)
    events.sources.append(source.run)


async def _webhooks(base: Foundation, events: Events) -> None:
    secrets = await SecretStore.open(base.store, base.secrets_key, os.urandom)
    store = await WebhookStore.open(base.store, base.outbox)
    platform = base.platform
    events.hooks = WebhookSource(store, secrets, platform.clock, platform.metrics)
    events.secrets = secrets
    events.webhooks = store
    events.control |= SecretControl(secrets).routes
    events.control |= WebhookControl(store, secrets).routes


async def _queues(base: Foundation, events: Events) -> QueueStore:
    platform = base.platform
    store = await QueueStore.open(base.store, platform.clock, platform.ids)
    base.outbox.employ("sqs", store)
    events.queues = store
    events.whole["sqs"] = SqsService(store, platform.ids, platform.endpoint)
    events.control |= EventControl(store).routes
    events.sources.append(store.run)
    return store


async def _tables(base: Foundation, events: Events) -> TableStore:
    platform = base.platform
    clock = platform.clock
    store = await TableStore.open(base.store, clock)
    counter = Counter(base.store, clock)
    host = platform.endpoint.partition("//")[2]
    events.tables = store
    events.whole["dynamodb"] = DynamoDb(store, counter, clock=clock, ids=platform.ids, host=host)
    events.whole["dynamodbstreams"] = DynamoDbStreams(store, clock=clock)
    events.sources.append(TableKeeper(base.store, store, clock).run)
    return store
