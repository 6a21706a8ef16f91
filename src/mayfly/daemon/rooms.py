"""Every room of the platform, opened in the order in which they need one another.

    key -> database -> code, logs -> driver -> engine -> stores -> services

`open_rooms` returns what `serve` runs; an exit stack closes it in the opposite order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from mayfly import config as configuration
from mayfly.api.control import grants as grant_control
from mayfly.api.control.audit import AuditControl
from mayfly.api.control.learn import LearnControl
from mayfly.api.control.routes import Routes
from mayfly.api.dispatch import Operations, Services
from mayfly.api.keys import Keys
from mayfly.api.lambda_.operations import LambdaOperations
from mayfly.api.listener import Listener
from mayfly.api.platform import BuiltFunction, Platform
from mayfly.api.sts.operations import StsOperations
from mayfly.api.triggers.triggers import Triggers
from mayfly.backends.files.code_store import FileCodeStore
from mayfly.backends.files.log_store import FileLogStore
from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.registry import SqliteRegistry
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.config import Config
from mayfly.daemon.events import Events, Foundation, open_events
from mayfly.daemon.grants import SnapshotGrants
from mayfly.daemon.separation import TREES, Standing, tag_of
from mayfly.daemon.triggers import open_triggers
from mayfly.daemon.world import RealClock, RealIds
from mayfly.drivers.egress.allowance import NetLimits
from mayfly.drivers.process.driver import DriverLimits, ProcessDriver
from mayfly.engine.bounds import EngineLimits
from mayfly.engine.engine import Engine
from mayfly.images.build import ImageBuilder
from mayfly.images.manifest import Manifest, to_settings
from mayfly.images.requirements import Requirements
from mayfly.images.tree import plant_tree
from mayfly.model.function import Code
from mayfly.ports import RuntimeInfo
from mayfly.sources.http import FunctionUrls
from mayfly.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Rooms:
    """What `serve` runs."""

    platform: Platform
    engine: Engine
    driver: ProcessDriver
    grants: SnapshotGrants
    services: Services
    events: Events


class Workshop:
    """The API's `Builder`, on `images`: a folder's zip in, what the registry keeps out."""

    def __init__(self, images: ImageBuilder, default_runtime: str) -> None:
        self._images = images
        self._default_runtime = default_runtime

    async def deploy(
        self, archive: bytes, on_step: Callable[[Mapping[str, object]], object]
    ) -> BuiltFunction:
        """Make the folder deployable (port `Builder`)."""

        def progress(step: str, ms: float, facts: dict[str, object]) -> None:
            on_step({"step": step, "ms": ms, **facts})

        return self._built(*await self._images.deploy(archive, progress))

    async def look(self, archive: bytes) -> BuiltFunction:
        """Say what a deploy would make (port `Builder`)."""
        return self._built(*await self._images.look(archive))

    def _built(self, manifest: Manifest, code: Code) -> BuiltFunction:
        url = manifest.url
        return BuiltFunction(
            name=manifest.name,
            settings=to_settings(manifest, self._default_runtime),
            code=code,
            url_auth=url.auth if url else None,
            url_cors=url.cors if url else None,
            triggers=manifest.triggers,
        )


async def open_rooms(
    standing: Standing, listener: Listener, stop: asyncio.Event, stack: contextlib.AsyncExitStack
) -> Rooms:
    """Open every room, in the order in which they need one another; `stack` closes them."""
    settings, data = standing.settings, standing.settings.data
    clock, ids, metrics, triggers = RealClock(), RealIds(), Metrics(), Triggers()
    keys, runtimes = Keys.open(data / "key.json"), configuration.find_runtimes()
    store, outbox = await SqliteStore.open(data / "mayfly.db"), Outbox()
    stack.push_async_callback(store.close)
    registry, backlog = await SqliteRegistry.open(store), await SqliteBacklog.open(store, outbox)
    code = await FileCodeStore.open(data, plant=_planter(runtimes))
    stack.push_async_callback(code.close)
    logs = FileLogStore(data / "logs", clock)
    stack.push_async_callback(logs.close)
    grants = SnapshotGrants(keys, metrics, clock, logs, _net_limits(settings))
    driver = await stack.enter_async_context(_driver(standing, runtimes, clock, grants))
    engine = Engine(
        driver=driver,
        registry=registry,
        code=code,
        backlog=backlog,
        logs=logs,
        clock=clock,
        ids=ids,
        limits=_engine_limits(settings),
        grants=grants,
        metrics=metrics,
    )
    platform = Platform(
        registry=registry,
        code=code,
        engine=engine,
        logs=logs,
        backlog=backlog,
        builder=_workshop(data, code, runtimes, clock, stack),
        http=FunctionUrls(),
        keys=keys,
        clock=clock,
        ids=ids,
        runtimes=runtimes,
        metrics=metrics,
        stop=stop.set,
        host=listener.host,
        endpoint=listener.endpoint,
        data=data,
        triggers=triggers,
        started_s=clock.monotonic_s(),
    )
    backlog.when_arrived(engine.events_arrived)
    outbox.employ("lambda", backlog)
    base = Foundation(store, outbox, platform, engine, settings.secrets_key)
    events = await open_events(base, stack)
    if events.secrets is not None:
        grants.use_secrets(events.secrets, engine.renew)
    further = _looking(settings, driver, grants, engine, events)
    services = _services(platform, events, further)
    await open_triggers(triggers, platform, store, services, events)
    return Rooms(platform, engine, driver, grants, services, events)


def _planter(runtimes: Mapping[str, RuntimeInfo]) -> Callable[[bytes, Path], None]:
    """Makes trees of archives, their bytecode for the newest runtime made ahead."""
    default = next(reversed(list(runtimes)), "")
    return partial(plant_tree, interpreter=runtimes[default].executable if default else None)


def _looking(
    settings: Config, driver: ProcessDriver, grants: SnapshotGrants, engine: Engine, events: Events
) -> Routes:
    """The control API's routes that look at what a function can do and does."""
    webhooks = events.webhooks.all_nowait if events.webhooks is not None else tuple
    audit = AuditControl(driver, grants.preview, webhooks, pids_max=settings.pids_max)
    return {**audit.routes, **LearnControl(grants.record, engine.rehearse).routes}


def _services(platform: Platform, events: Events, further: Routes) -> Services:
    lambda_ = LambdaOperations(platform, events.mappings)
    ours: dict[str, Operations] = {"lambda": lambda_, "sts": StsOperations()}
    return Services(
        {**ours, **events.operations},
        events.whole,
        events.objects,
        events.hooks,
        {**grant_control.ROUTES, **further, **events.control},
    )


def _workshop(
    data: Path,
    code: FileCodeStore,
    runtimes: Mapping[str, RuntimeInfo],
    clock: RealClock,
    stack: contextlib.AsyncExitStack,
) -> Workshop:
    default = next(reversed(list(runtimes)), "")
    requirements = Requirements(
        data / "dependencies", environment=configuration.installer_environment()
    )
    images = ImageBuilder(
        code, requirements, runtimes=runtimes, default_runtime=default, clock=clock
    )
    for room in (requirements, images):
        stack.push_async_callback(room.close)
    return Workshop(images, default)


@contextlib.asynccontextmanager
async def _driver(
    standing: Standing,
    runtimes: Mapping[str, RuntimeInfo],
    clock: RealClock,
    grants: SnapshotGrants,
) -> AsyncIterator[ProcessDriver]:
    settings = standing.settings
    driver = ProcessDriver(
        runtimes=runtimes,
        folder=settings.data / TREES,
        tag=tag_of(settings.data),
        clock=clock,
        driver_limits=DriverLimits(parked_memory_mib=settings.parked_memory_mib_max),
        serve_doors=grants.serve,
        privilege=standing.privilege,
    )
    try:
        yield driver
    finally:
        await driver.close()


def _net_limits(settings: Config) -> NetLimits:
    return NetLimits(
        connections_max=settings.net_connections_max,
        connections_per_s_max=settings.net_connections_per_s_max,
        bytes_per_s_max=settings.net_bytes_per_s_max,
    )


def _engine_limits(settings: Config) -> EngineLimits:
    known = {field.name for field in fields(Config)}
    shared = [field.name for field in fields(EngineLimits) if field.name in known]
    return EngineLimits(**{name: getattr(settings, name) for name in shared})
