"""The daemon: the one file that knows every room, and the one door to real time and identity.

It reads the configuration, locks the data folder, opens the stores, starts the driver, the engine
and the server as tasks of one group, says where it listens, and ends them in the opposite order.

    config -> lock -> key -> socket -> stores -> driver -> engine -> server -> endpoint.json
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import resource
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from mayfly import config as configuration
from mayfly.api.dispatch import Services
from mayfly.api.keys import Keys
from mayfly.api.lambda_.environment import function_environment
from mayfly.api.lambda_.operations import LambdaOperations
from mayfly.api.listener import Listener, Server, bind
from mayfly.api.platform import BuiltFunction, Platform
from mayfly.api.server import create_app
from mayfly.api.sts.operations import StsOperations
from mayfly.backends.files.code_store import FileCodeStore
from mayfly.backends.files.log_store import FileLogStore
from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.registry import SqliteRegistry
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.config import Config
from mayfly.drivers.process.driver import DriverLimits, ProcessDriver
from mayfly.engine.bounds import EngineLimits
from mayfly.engine.engine import Engine
from mayfly.images.build import ImageBuilder
from mayfly.images.manifest import to_settings
from mayfly.images.requirements import Requirements
from mayfly.images.tree import plant_tree
from mayfly.model.errors import Conflict, InvalidManifest, MayflyError, StorageFailed
from mayfly.ports import RuntimeInfo
from mayfly.sources.http import FunctionUrls
from mayfly.telemetry import LogEvent, Metrics, event_log, open_event_log

_LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"
_TAG_LENGTH = 12
_EXIT_REFUSED = 1


class RealClock:
    """Port `Clock` on this machine's clocks."""

    def now_ms(self) -> float:
        """Wall-clock time, Unix milliseconds."""
        return time.time() * 1000  # noqa: TID251 - the one door to real time

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()  # noqa: TID251 - the one door to real time

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class RealIds:
    """Port `Ids` on the kernel's randomness.

    UUIDs are cut from a buffer of random digits, as the hot path takes one for each call.
    """

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0

    def uuid(self) -> str:
        """A random UUID (RFC 9562, version 4)."""
        if self._at >= len(self._pool):
            self._pool, self._at = os.urandom(4096).hex(), 0
        part = self._pool[self._at : self._at + 32]
        self._at += 32
        variant = "89ab"[int(part[16], 16) & 3]
        return f"{part[:8]}-{part[8:12]}-4{part[13:16]}-{variant}{part[17:20]}-{part[20:]}"

    def token(self, length: int) -> str:
        """Random characters of [a-z0-9]."""
        return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(length))


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

        manifest, code = await self._images.deploy(archive, progress)
        if manifest.grants:
            raise InvalidManifest(
                f"mayfly.toml grants {', '.join(map(str, manifest.grants))}, which this version"
                " cannot give: take [grants] out; the function then reaches nothing"
            )
        settings = to_settings(manifest, self._default_runtime)
        url = manifest.url
        return BuiltFunction(
            name=manifest.name,
            settings=settings,
            code=code,
            url_auth=url.auth if url else None,
            url_cors=url.cors if url else None,
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the platform until it is told to stop; the process's exit status."""
    flags = _parse(sys.argv[1:] if arguments is None else arguments)
    os.umask(0o022)
    _raise_open_files()
    open_event_log(sys.stderr)
    try:
        settings = configuration.load(flags)
        with _locked(settings.data):
            uvloop.run(_serve(settings))
    except MayflyError as error:
        return _refuse(error)
    except BaseExceptionGroup as group:
        ours, others = group.split(MayflyError)
        if others is not None or ours is None:
            raise
        return _refuse(*_leaves(ours))
    return 0


def _refuse(*errors: BaseException) -> int:
    for error in errors:
        sys.stderr.write(f"mayfly: {error}\n")
    return _EXIT_REFUSED


def _parse(arguments: list[str]) -> dict[str, str]:
    parser = argparse.ArgumentParser(prog="mayfly.daemon", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", help="the data folder")
    parser.add_argument("--listen", help="HOST:PORT; port 0 takes a free one")
    return {key: value for key, value in vars(parser.parse_args(arguments)).items() if value}


def _leaves(group: BaseExceptionGroup[MayflyError]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _raise_open_files() -> None:
    """Two descriptors a parked isolate: take as many as the machine lets us."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Hold the data folder: two platforms on one would each believe their own memory."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed(
            site="DATA:OPEN",
            errno=error.errno or 0,
            detail=f"the data folder {data} cannot be used; give one that can with --data",
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Conflict(
            f"another platform runs on the data folder {data}; stop it with `mayfly down`,"
            " or give another folder with --data"
        ) from None
    try:
        yield
    finally:
        os.close(fd)


async def _serve(settings: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener = bind(*settings.address)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listener.socket.close)
        platform, engine, driver = await _build(settings, listener, stop, stack)
        services = Services({"lambda": LambdaOperations(platform), "sts": StsOperations()})
        app = create_app(platform, services)
        stack.callback(app.close)
        server = Server(app, listener, bounds=platform.limits, ids=platform.ids)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(engine.run())
            await engine.started()
            serving = group.create_task(server.run())
            aside = [
                group.create_task(_warm_up(driver, platform)),
                group.create_task(_collect_code(engine, platform, settings.collect_s)),
            ]
            with _announced(settings.data, listener, platform):
                await stop.wait()
            for task in aside:
                task.cancel()
            server.stop()
            await engine.drain(settings.drain_s)
            await serving
            running.cancel()


async def _collect_code(engine: Engine, platform: Platform, every_s: float) -> None:
    """Delete code that no function has and nothing alive reads, now and then."""
    while True:
        await platform.clock.sleep(every_s)
        keep = engine.code_in_use()
        for function in platform.registry.functions_nowait():
            keep |= function.code.digests
        try:
            freed_bytes = await platform.code.collect(keep)
        except StorageFailed as error:
            event_log(LogEvent.CODE_COLLECTED, level=logging.WARNING, error=str(error))
        else:
            event_log(LogEvent.CODE_COLLECTED, level=logging.DEBUG, freed_bytes=freed_bytes)


async def _warm_up(driver: ProcessDriver, platform: Platform) -> None:
    """Bring the newest runtime up, so that the first deploy does not wait for it."""
    for name in list(platform.runtimes)[-1:]:
        try:
            await driver.prepare_runtime(name)
        except MayflyError as error:
            why = str(error)
            event_log(LogEvent.SNAPSHOT_FAILED, level=logging.WARNING, runtime=name, error=why)


async def _build(
    settings: Config, listener: Listener, stop: asyncio.Event, stack: contextlib.AsyncExitStack
) -> tuple[Platform, Engine, ProcessDriver]:
    """Open every room, in the order in which they need one another; `stack` closes them."""
    data, clock, ids, metrics = settings.data, RealClock(), RealIds(), Metrics()
    keys = Keys.open(data / "key.json")
    runtimes = configuration.find_runtimes()
    default = next(reversed(list(runtimes)), "")
    store = await SqliteStore.open(data / "mayfly.db")
    stack.push_async_callback(store.close)
    registry, backlog = await SqliteRegistry.open(store), await SqliteBacklog.open(store)
    plant = partial(plant_tree, interpreter=runtimes[default].executable if default else None)
    code = await FileCodeStore.open(data, plant=plant)
    stack.push_async_callback(code.close)
    logs = FileLogStore(data / "logs", clock)
    stack.push_async_callback(logs.close)
    driver = await stack.enter_async_context(_driver(settings, runtimes, clock))
    engine = Engine(
        driver=driver,
        registry=registry,
        code=code,
        backlog=backlog,
        logs=logs,
        clock=clock,
        ids=ids,
        limits=_engine_limits(settings),
        environment=function_environment,
        metrics=metrics,
    )
    requirements = Requirements(
        data / "dependencies", environment=configuration.installer_environment()
    )
    stack.push_async_callback(requirements.close)
    images = ImageBuilder(
        code, requirements, runtimes=runtimes, default_runtime=default, clock=clock
    )
    stack.push_async_callback(images.close)
    platform = Platform(
        registry=registry,
        code=code,
        engine=engine,
        logs=logs,
        backlog=backlog,
        builder=Workshop(images, default),
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
        started_s=clock.monotonic_s(),
    )
    return platform, engine, driver


@contextlib.asynccontextmanager
async def _driver(
    settings: Config, runtimes: Mapping[str, RuntimeInfo], clock: RealClock
) -> AsyncIterator[ProcessDriver]:
    tag = hashlib.sha256(str(settings.data).encode()).hexdigest()[:_TAG_LENGTH]
    driver = ProcessDriver(
        runtimes=runtimes,
        folder=settings.data / "runtimes",
        tag=tag,
        clock=clock,
        driver_limits=DriverLimits(parked_memory_mib=settings.parked_memory_mib_max),
    )
    try:
        yield driver
    finally:
        await driver.close()


def _engine_limits(settings: Config) -> EngineLimits:
    known = {field.name for field in fields(Config)}
    shared = [field.name for field in fields(EngineLimits) if field.name in known]
    return EngineLimits(**{name: getattr(settings, name) for name in shared})


@contextlib.contextmanager
def _announced(data: Path, listener: Listener, platform: Platform) -> Iterator[None]:
    """Say in the data folder where this platform listens, for as long as it does."""
    document = {
        "endpoint": listener.endpoint,
        "pid": os.getpid(),
        "started_ms": int(platform.clock.now_ms()),
    }
    path, partial_path = data / "endpoint.json", data / ".endpoint.json.new"
    descriptor = os.open(partial_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(document))
    partial_path.rename(path)
    event_log(LogEvent.DAEMON_STARTED, endpoint=listener.endpoint, pid=os.getpid())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        event_log(LogEvent.DAEMON_STOPPED, endpoint=listener.endpoint)


if __name__ == "__main__":
    sys.exit(main())
