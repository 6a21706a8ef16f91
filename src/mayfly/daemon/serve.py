"""The platform's life on the event loop: open the rooms, run them as tasks of one group, end them.

    socket -> rooms -> engine, sources, server -> endpoint.json ... stop -> the opposite order

Says in the data folder where it listens, for as long as it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from mayfly.api.listener import Listener, Server
from mayfly.api.platform import Platform
from mayfly.api.server import create_app
from mayfly.daemon.rooms import open_rooms
from mayfly.daemon.separation import Standing
from mayfly.daemon.tls import ShownCertificate, keep_fresh, open_tls
from mayfly.daemon.world import RealClock
from mayfly.drivers.process.driver import ProcessDriver
from mayfly.engine.engine import Engine
from mayfly.model.errors import MayflyError, StorageFailed
from mayfly.telemetry import LogEvent, event_log


async def serve(standing: Standing, listener: Listener) -> None:
    """Run the platform until SIGTERM, SIGINT or a caller's `down`; nothing is left when it ends.

    Args:
        standing: The configuration, and with which rights it runs.
        listener: Closed when it ends.

    Raises:
        MayflyError: It could not be started.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = standing.settings
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listener.socket.close)
        certificate = open_tls(settings, listener, RealClock())
        if certificate is not None:
            listener = replace(listener, scheme="https")
        rooms = await open_rooms(standing, listener, stop, stack)
        platform, engine = rooms.platform, rooms.engine
        app = create_app(platform, rooms.services)
        stack.callback(app.close)
        tls = certificate.context if certificate else None
        server = Server(app, listener, bounds=platform.limits, ids=platform.ids, tls=tls)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(engine.run())
            await engine.started()
            serving = group.create_task(server.run())
            doors = group.create_task(rooms.grants.run(server.attend))
            sources = [group.create_task(source()) for source in rooms.events.sources]
            aside = [
                *sources,
                group.create_task(_warm_up(rooms.driver, platform)),
                group.create_task(_collect_code(engine, platform, settings.collect_s)),
            ]
            if certificate is not None:
                aside.append(group.create_task(keep_fresh(certificate, platform.clock)))
            with _announced(standing, listener, platform, certificate):
                await stop.wait()
            for task in aside:
                task.cancel()
            server.stop()
            await engine.drain(settings.drain_s)
            await serving
            running.cancel()
            doors.cancel()


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


@contextlib.contextmanager
def _announced(
    standing: Standing, listener: Listener, platform: Platform, certificate: ShownCertificate | None
) -> Iterator[None]:
    """Say in the data folder where this platform listens, for as long as it does."""
    document: dict[str, object] = {
        "endpoint": listener.endpoint,
        "pid": os.getpid(),
        "started_ms": int(platform.clock.now_ms()),
        "user": standing.user,
        "root_because": standing.root_because,
    }
    if certificate is not None:
        document["certificate"] = str(certificate.path)
        document["fingerprint"] = certificate.fingerprint
        document["self_signed"] = certificate.is_own
    data = standing.settings.data
    path, partial_path = data / "endpoint.json", data / ".endpoint.json.new"
    descriptor = os.open(partial_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(document))
    partial_path.rename(path)
    user = standing.user
    event_log(LogEvent.DAEMON_STARTED, endpoint=listener.endpoint, pid=os.getpid(), user=user)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        event_log(LogEvent.DAEMON_STOPPED, endpoint=listener.endpoint)
